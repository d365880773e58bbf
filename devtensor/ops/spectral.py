"""Spectra of short pieces of a signal, and signals from them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from devtensor.dtype import of
from devtensor.example import complexes, positive
from devtensor.op import composite
from devtensor.ops.arguments import anywhere
from devtensor.ops.create import arange
from devtensor.ops.fft import fft_fft, fft_ifft, fft_irfft, fft_rfft
from devtensor.ops.index import index_add
from devtensor.ops.shape import pad, view_as_real

if TYPE_CHECKING:
    from devtensor.tensor import Tensor


def is_complex(*tensors: Tensor | None) -> bool:
    """Whether one of the tensors is complex."""
    return any(x is not None and of(x.dtype).kind == "complex" for x in tensors)


def call_text(name: str, input: Tensor, **options: Any) -> str:
    """The call as messages have it."""
    shown = [f"{key}={list(x.shape) if hasattr(x, 'shape') else x}" for key, x in options.items()]
    return f"{name}({of(input.dtype).legacy}Tensor{list(input.shape)}, {', '.join(shown)})"


def padded_window(window: Tensor | None, like: Tensor, length: int, size: int) -> Tensor:
    """The window, of ones if there is none, in the middle of `size` numbers."""
    if window is None:
        window = like.real.new_ones((length,))
    left = (size - length) // 2
    result: Tensor = pad(window, (left, size - length - left)) if length < size else window
    return result


def opened(x: Tensor, sides: tuple[int, int], mode: str) -> Tensor:
    """A batch of signals with something before and behind."""
    result: Tensor = pad(x.unsqueeze(1), sides, mode).squeeze(1)
    return result


@composite(
    method=True,
    examples=[
        ((20,), 8, {"return_complex": True}),
        ((2, 20), 8, 3, 6, positive(6), {"return_complex": True, "normalized": True}),
        ((20,), 8, {"return_complex": True, "center": False, "onesided": False}),
    ],
)
def stft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:
    """Fourier transforms of pieces of a signal, which overlap.

    Parameters
    ----------
    input : Tensor
        Shape ``(time)`` or ``(batch, time)``.
    n_fft : int
        The length of a piece.
    hop_length : int, optional
        From one piece to the next; a quarter of `n_fft` by default.
    win_length : int, optional
        The length of the window, in the middle of a piece; `n_fft` by default.
    window : Tensor, optional
        What pieces are multiplied by, shape ``(win_length,)``; ones by default.
    center : bool, optional
        Whether the signal is made longer at both ends, so that the first piece is about its start.
    pad_mode : str, optional
        With what, as for `nn.functional.pad`.
    normalized : bool, optional
        Whether to divide by the root of `n_fft`.
    onesided : bool, optional
        Whether to give the first half of spectra only; so by default for real signals.
    return_complex : bool
        Must be True for real signals; with False pairs of real numbers come back.
    align_to_window : bool, optional
        Without `center`: whether the first window, not the first piece, begins with the signal.

    Returns
    -------
    Tensor
        Shape ``(batch, frequencies, pieces)``.

    Raises
    ------
    RuntimeError
        If the arguments do not fit.
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    imaginary = is_complex(input, window)
    if return_complex is None:
        if not imaginary:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will "
                "further require that return_complex=True in a future PyTorch release."
            )
        return_complex = True
    if not return_complex:
        warnings.warn(
            "stft with return_complex=False is deprecated. In a future pytorch release, stft will "
            "return complex tensors for all inputs, and return_complex=False will raise an error.",
            UserWarning,
            stacklevel=2,
        )
    if center and align_to_window is not None:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    text = call_text("stft", input, n_fft=n_fft, hop_length=hop, win_length=length, window=window)
    if of(input.dtype).kind not in ("float", "complex"):
        raise RuntimeError(f"{text}: expected a tensor of floating point or complex values")
    if input.ndim not in (1, 2):
        raise RuntimeError(f"{text}: expected a 1D or 2D tensor")
    x = input.unsqueeze(0) if input.ndim == 1 else input
    if center:
        x = opened(x, (n_fft // 2, n_fft // 2), pad_mode)
    elif align_to_window and length < n_fft:
        left = (n_fft - length) // 2
        x = opened(x, (left, n_fft - length - left), "constant")
    if not 0 < n_fft <= x.shape[-1]:
        raise RuntimeError(f"{text}: expected 0 < n_fft < {x.shape[-1]}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(f"{text}: expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(f"{text}: expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is not None and tuple(window.shape) != (length,):
        raise RuntimeError(
            f"{text}: expected a 1D window tensor of size equal to win_length={length}, but got "
            f"window with size {list(window.shape)}"
        )
    if onesided is None:
        onesided = not imaginary
    elif onesided and imaginary:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    pieces = x.unfold(-1, n_fft, hop)
    if window is not None or length < n_fft:
        pieces = pieces * padded_window(window, x, length, n_fft)
    transform = fft_rfft if onesided else fft_fft
    spectra = transform(pieces, norm="ortho" if normalized else None).mT
    spectra = spectra.squeeze(0) if input.ndim == 1 else spectra
    result: Tensor = spectra if return_complex else view_as_real(spectra)
    return result


@composite(
    method=True,
    examples=[
        (complexes(5, 4), 8),
        (complexes(2, 5, 4), 8, 2, 6, positive(6), {"normalized": True}),
        (complexes(8, 4), 8, {"onesided": False, "length": 5, "return_complex": True}),
    ],
)
def istft(
    input: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Tensor | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signal of which `stft` gave the transforms, as nearly as possible.

    Parameters
    ----------
    input : Tensor
        Complex, shape ``(batch, frequencies, pieces)``, perhaps without the first.
    n_fft, hop_length, win_length, window, center, normalized, onesided
        As for `stft`.
    length : int, optional
        The length of the signal, which is cut, or filled up with zeros.
    return_complex : bool, optional
        Whether the signal is complex.

    Returns
    -------
    Tensor
        Shape ``(batch, time)``.

    Raises
    ------
    RuntimeError
        If the arguments do not fit, or the windows leave places out.
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    size = n_fft if win_length is None else win_length
    if not is_complex(input):
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    text = call_text("istft", input, n_fft=n_fft, hop_length=hop, win_length=size, window=window)
    if not input.numel():
        raise RuntimeError(f"{text}: input tensor cannot be empty.")
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"{text}: expected a tensor with 3 or 4 dimensions, but got {input.ndim + 1}"
        )
    onesided = n_fft != input.shape[-2] if onesided is None else onesided
    expected = n_fft // 2 + 1 if onesided else n_fft
    if input.shape[-2] != expected:
        raise RuntimeError(
            f"{text}: expected the frequency dimension (3rd to the last) of the input tensor to "
            f"match n_fft{' / 2 + 1' if onesided else ''} when onesided={onesided}, but got "
            f"{input.shape[-2]}"
        )
    if not 0 < size <= n_fft:
        raise RuntimeError(f"{text}: expected 0 < win_length <= n_fft")
    if not 0 < hop <= size:
        raise RuntimeError(f"{text}: expected 0 < hop_length <= win_length")
    if window is not None and tuple(window.shape) != (size,):
        raise RuntimeError(
            f"{text}: Invalid window shape. window has to be 1D and length of `win_length`"
        )
    if return_complex and onesided:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if not return_complex and is_complex(window):
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    shape = padded_window(window, input, size, n_fft)
    norm = "ortho" if normalized else None
    spectra = (input if input.ndim == 3 else input.unsqueeze(0)).mT
    if return_complex:
        pieces = fft_ifft(spectra, norm=norm)
    else:  # of a whole spectrum the first half counts
        pieces = fft_irfft(spectra[..., : n_fft // 2 + 1], n_fft, norm=norm)
    count = spectra.shape[1]
    signal = overlapped(pieces * shape, hop)
    weights = overlapped((shape * shape).to(signal.dtype).expand(1, count, n_fft), hop)
    first = n_fft // 2 if center else 0
    whole = signal.shape[-1]
    last = whole - first if length is None else min(first + length, whole)
    signal, weights = signal[:, first:last], weights[:, first:last]
    if anywhere(weights.abs() < 1e-11):
        raise RuntimeError(
            f"{text} window overlap add min: 1: there are places that no window covers"
        )
    signal = signal / weights
    if length is not None and signal.shape[-1] < length:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded "
            "with zeros in the tail. Please check your center and hop_length settings.",
            UserWarning,
            stacklevel=2,
        )
        signal = pad(signal, (0, length - signal.shape[-1]))
    result: Tensor = signal if input.ndim == 3 else signal.squeeze(0)
    return result


def overlapped(pieces: Tensor, hop: int) -> Tensor:
    """The sum of pieces ``(batch, pieces, length)``, each `hop` behind the one before."""
    batch, count, size = pieces.shape
    starts = arange(count, device=pieces.device).unsqueeze(1) * hop
    places = (starts + arange(size, device=pieces.device)).reshape(-1)
    blank = pieces.new_zeros((batch, (count - 1) * hop + size))
    result: Tensor = index_add(blank, 1, places, pieces.reshape(batch, count * size))
    return result
