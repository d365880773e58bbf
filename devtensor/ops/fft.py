"""Discrete Fourier transforms.

All are made of three operations: complex to complex, real to complex, and complex to real. The
second and third know that a real signal has a spectrum that is its own mirror image, of which only
the first half is kept. The gradient of each is one of the others.

What PyTorch calls ``torch.fft.rfft`` is named `fft_rfft` here, as in PyTorch's own operator list;
the module `devtensor.fft` gives these their short names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from devtensor.dtype import complex64, complex128, float32, float64, get_default_dtype, of
from devtensor.example import complexes
from devtensor.op import composite, derivative, op
from devtensor.ops.arguments import axis
from devtensor.ops.convert import cast
from devtensor.ops.create import arange
from devtensor.ops.elementwise import conj
from devtensor.ops.shape import cat, narrow, roll
from devtensor.options import check_out, write_out

if TYPE_CHECKING:
    from devtensor.tensor import Tensor

Dims = Sequence[int]

# How a transform is scaled: not at all, by one over the root of the number of elements, or by one
# over their number. The library has other words for it, which depend on the direction.
FORWARD = {"none": "backward", "root": "ortho", "all": "forward"}
INVERSE = {"none": "forward", "root": "ortho", "all": "backward"}


# ---- the three transforms


@op(
    ordered=True,
    public=False,
    promotes=None,
    accepts=("complex",),
    node="FftC2CBackward0",
    examples=[
        (complexes(4), (0,), "none", True),
        (complexes(3, 4), (0, 1), "root", False),
        (complexes(3, 4), (1,), "all", True),
        (complexes(2), (), "none", True),
    ],
)
def fft_c2c(xp, input, /, dims, scale, forward):
    """The transform of complex numbers over `dims`, or with its exponents negated."""
    if not dims:
        return xp.asarray(input, copy=True)
    if forward:
        return xp.fft.fftn(input, axes=dims, norm=FORWARD[scale])
    return xp.fft.ifftn(input, axes=dims, norm=INVERSE[scale])


derivative(
    fft_c2c, input=lambda xp, g, dims, scale, forward: xp.fft_c2c(g, dims, scale, not forward)
)


@op(
    ordered=True,
    public=False,
    promotes=None,
    accepts=("float",),
    node="FftR2CBackward0",
    examples=[
        ((4,), (0,), "none", True),
        ((3, 5), (1,), "all", True),
        ((3, 4), (0, 1), "root", True),
        ((3, 4), (1, 0), "root", False),
    ],
)
def fft_r2c(xp, input, /, dims, scale, onesided):
    """The transform of real numbers over `dims`; of the last one the first half, if `onesided`."""
    if not onesided:
        dtype = xp.complex128 if input.dtype == xp.float64 else xp.complex64
        return xp.fft.fftn(xp.astype(input, dtype), axes=dims, norm=FORWARD[scale])
    result = xp.fft.rfft(input, axis=dims[-1], norm=FORWARD[scale])
    return xp.fft.fftn(result, axes=dims[:-1], norm=FORWARD[scale]) if dims[1:] else result


def r2c_rule(xp, g, input_shape, dims, scale, onesided):
    if onesided:
        g = xp.fft_widened(g, dims[-1], input_shape[dims[-1]])
    return xp.real(xp.fft_c2c(g, dims, scale, False))


derivative(fft_r2c, input=r2c_rule)


@op(
    ordered=True,
    public=False,
    promotes=None,
    accepts=("complex",),
    node="FftC2RBackward0",
    examples=[
        (complexes(3), (0,), "none", 4),
        (complexes(3, 2), (0, 1), "root", 3),
        (complexes(2, 3), (1, 0), "all", 2),
    ],
)
def fft_c2r(xp, input, /, dims, scale, size):
    """The real numbers, `size` along the last of `dims`, whose half of a spectrum is `input`."""
    if dims[1:]:
        input = xp.fft.ifftn(input, axes=dims[:-1], norm=INVERSE[scale])
    return xp.fft.irfft(input, n=size, axis=dims[-1], norm=INVERSE[scale])


def c2r_rule(xp, g, dims, scale, size):
    # What is not the mirror image of itself counts for two.
    return xp.fft_doubled(xp.fft_r2c(g, dims, scale, True), dims[-1], size - size // 2 - 1)


derivative(fft_c2r, input=c2r_rule)


def along(dim: int, part: slice) -> tuple[slice, ...]:
    """The key of a part of dimension `dim`."""
    return (*(slice(None),) * dim, part)


@op(public=False, promotes=None, examples=[((2, 3), 1, 5), ((2, 3), 0, 2)])
def fft_widened(xp, input, /, dim, size):
    """`input` with zeros behind it along `dim`."""
    if input.shape[dim] == size:
        return xp.asarray(input, copy=True)
    shape = list(input.shape)
    shape[dim] = size - shape[dim]
    return xp.concat([input, xp.zeros(tuple(shape), dtype=input.dtype)], axis=dim)


derivative(
    fft_widened,
    input=lambda g, input_shape, dim: g[(*along(dim, slice(input_shape[dim])), ...)],
)


@op(public=False, promotes=None, examples=[((2, 5), 1, 2), ((3, 2), 0, 0)])
def fft_doubled(xp, input, /, dim, count):
    """`input` with `count` elements along `dim`, behind the first, doubled."""
    if not count:
        return xp.asarray(input, copy=True)
    first, middle, last = (
        input[(*along(dim, part), ...)]
        for part in (slice(1), slice(1, 1 + count), slice(1 + count, None))
    )
    return xp.concat([first, middle + middle, last], axis=dim)


derivative(fft_doubled, input=lambda xp, g, dim, count: xp.fft_doubled(g, dim, count))


# ---- what the public functions share


def scale_of(norm: str | None, forward: bool, name: str) -> str:
    """How the transform is scaled.

    Raises
    ------
    RuntimeError
        If `norm` is not known.
    TypeError
        If it is no string.
    """
    if norm is None:
        norm = "backward"
    if not isinstance(norm, str):
        raise TypeError(
            f"{name}(): argument 'norm' must be str, not {type(norm).__name__}: one of "
            "'forward', 'backward', 'ortho'"
        )
    if norm not in ("forward", "backward", "ortho"):
        raise RuntimeError(
            f'Invalid normalization mode: "{norm}": not one of "forward", "backward", "ortho"'
        )
    if norm == "ortho":
        return "root"
    return "all" if forward == (norm == "forward") else "none"


def floating(input: Tensor, imaginary: bool = False) -> Tensor:
    """The input as real or complex numbers of a type that there are transforms for."""
    dtype = of(input.dtype)
    if dtype.kind in ("bool", "int"):
        dtype = get_default_dtype()
    if dtype.kind == "float" and dtype.itemsize == 2:
        raise RuntimeError(f"Unsupported dtype {dtype.legacy}: convert the input with .float()")
    if imaginary and dtype.kind == "float":
        dtype = complex64 if dtype is float32 else complex128
    result: Tensor = input if input.dtype is dtype else cast(input, dtype)
    return result


def require_real(name: str, input: Tensor) -> None:
    """Raise RuntimeError if the input is complex."""
    dtype = of(input.dtype)
    if dtype.kind == "complex":
        if name.startswith("ihfft") and name != "ihfft":
            raise RuntimeError(
                f"Only supports floating-point dtypes, but found: {dtype.legacy}: {name}() takes "
                "real numbers"
            )
        valued = "real" if name in ("rfft", "ihfft") else "real-valued"
        raise RuntimeError(f"{name} expects a {valued} input tensor, but got {dtype.legacy}")


def one_dim(input: Tensor, dim: int) -> int:
    """A dimension counted from the front; a tensor without dimensions has none.

    Raises
    ------
    IndexError
        If there is no such dimension.
    """
    if not input.ndim:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    return axis(dim, input.ndim)


def several(
    input: Tensor, s: int | Dims | None, dim: int | Dims | None
) -> tuple[tuple[int, ...], list[int]]:
    """The dimensions of a transform, and the lengths asked for, -1 for those that stay.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If the arguments do not fit each other.
    """
    sizes = None if s is None else [s] if isinstance(s, int) else list(s)
    if dim is not None:
        dims = tuple([one_dim(input, d) for d in ((dim,) if isinstance(dim, int) else dim)])
        if len(set(dims)) < len(dims):
            raise RuntimeError(f"FFT dims must be unique, got {list(dims)}")
        if sizes is not None and len(sizes) != len(dims):
            raise RuntimeError(
                "When given, dim and shape arguments must have the same length: got "
                f"{len(dims)} dimensions and {len(sizes)} lengths"
            )
    elif sizes is None:
        dims = tuple(range(input.ndim))
    else:
        if len(sizes) > input.ndim:
            raise RuntimeError(
                f"Got shape with {len(sizes)} values but input tensor only has {input.ndim} "
                "dimensions."
            )
        dims = tuple(range(input.ndim - len(sizes), input.ndim))
    return dims, [-1] * len(dims) if sizes is None else sizes


def require_points(count: int) -> int:
    """`count`; RuntimeError unless it is a number of points that can be transformed."""
    if count < 1:
        raise RuntimeError(f"Invalid number of data points ({count}) specified")
    return count


def resized(input: Tensor, dims: Dims, sizes: Dims) -> Tensor:
    """The input cut, or with zeros added, to `sizes` along `dims`; -1 leaves a dimension."""
    for dim, size in zip(dims, sizes, strict=True):
        count = input.shape[dim]
        if size == -1:
            require_points(count)
        elif count < require_points(size):
            input = fft_widened(input, dim, size)
        elif count > size:
            input = narrow(input, dim, 0, size)
    return input


def half(input: Tensor, dims: Dims, sizes: Dims, name: str) -> tuple[Tensor, int]:
    """The input as the half of a spectrum, and the length of its last dimension as a signal.

    Raises
    ------
    RuntimeError
        If no dimension is to be transformed, or none can.
    """
    require_one(name, dims)
    last = sizes[-1] if sizes[-1] != -1 else 2 * (input.shape[dims[-1]] - 1)
    input = resized(input, dims, [*sizes[:-1], require_points(last) // 2 + 1])
    return input, last


def require_one(name: str, dims: Dims) -> None:
    """Raise RuntimeError if there is no dimension."""
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")


def length(n: int | None, name: str) -> int:
    """The length asked for; -1 if none is.

    Raises
    ------
    RuntimeError
        If there is no such length.
    TypeError
        If it is no integer.
    """
    if n is None:
        return -1
    if not hasattr(n, "__index__"):
        raise TypeError(f"{name}(): argument 'n' (position 2) must be int, not {type(n).__name__}")
    return require_points(n.__index__())


def place(result: Tensor, out: Tensor | None, name: str) -> Tensor:
    """The result, or `out` after the result was written to it.

    Raises
    ------
    RuntimeError
        If gradients are wanted, or the type of `out` does not suit.
    """
    if out is None:
        return result
    if result.dtype.is_complex != out.dtype.is_complex:
        wanted = "complex" if result.dtype.is_complex else "floating point"
        raise RuntimeError(f"{name} expects a {wanted} output tensor, but got {out.dtype.legacy}")
    if result.requires_grad or out.requires_grad:
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    check_out(fft_c2c.op, result, out)
    return write_out(name, result, out)


def c2c(
    input: Tensor, s: Any, dim: Any, norm: str | None, forward: bool, name: str, out: Tensor | None
) -> Tensor:
    """`fftn` or its inverse."""
    scale = scale_of(norm, forward, f"fft_{name}")
    dims, sizes = several(input, s, dim)
    if of(input.dtype).kind != "complex" and dims:
        real = resized(floating(input), dims, sizes)
        result = fft_r2c(real, dims, scale, False)
        return place(result if forward else conj(result), out, name)
    whole = resized(floating(input, True), dims, sizes)
    return place(fft_c2c(whole, dims, scale, forward), out, name)


def r2c(
    input: Tensor, s: Any, dim: Any, norm: str | None, forward: bool, name: str, out: Tensor | None
) -> Tensor:
    """`rfftn`, or the inverse transform of real numbers, `ihfftn`."""
    scale = scale_of(norm, forward, f"fft_{name}")
    require_real(name.replace("fft2", "fftn") if forward else name, input)
    dims, sizes = several(input, s, dim)
    require_one(name, dims)
    result = fft_r2c(resized(floating(input), dims, sizes), dims, scale, True)
    return place(result if forward else conj(result), out, name)


def c2r(
    input: Tensor, s: Any, dim: Any, norm: str | None, forward: bool, name: str, out: Tensor | None
) -> Tensor:
    """`irfftn`, or the forward transform to real numbers, `hfftn`."""
    scale = scale_of(norm, forward, f"fft_{name}")
    dims, sizes = several(input, s, dim)
    whole, last = half(floating(input, True), dims, sizes, name)
    return place(fft_c2r(conj(whole) if forward else whole, dims, scale, last), out, name)


def beside(name: str) -> Callable[..., Any]:
    """The function of PyTorch."""

    def call(torch: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(torch.fft, name)(*args, **kwargs)

    return call


# ---- over one dimension


@composite(
    home="fft",
    oracle=beside("fft"),
    examples=[((4,),), ((3, 5), {"n": 4, "dim": 0}), ((2, 3), {"n": 2, "norm": "ortho"})],
)
def fft_fft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Discrete Fourier transform.

    Parameters
    ----------
    input : Tensor
        Real or complex.
    n : int, optional
        The length to which the input is cut, or filled up with zeros, first.
    dim : int, optional
        The dimension that is transformed.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by nothing, by ``1 / sqrt(n)`` or by ``1 / n``.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or `norm` is not known.
    """
    name = "fft"
    return c2c(input, length(n, "fft_fft"), one_dim(input, dim), norm, True, name, out)


@composite(
    home="fft",
    oracle=beside("ifft"),
    examples=[((4,),), ((3, 5), {"n": 4, "dim": 0}), ((2, 3), {"n": 2, "norm": "ortho"})],
)
def fft_ifft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of the discrete Fourier transform.

    Parameters
    ----------
    input : Tensor
        Real or complex.
    n : int, optional
        The length to which the input is cut, or filled up with zeros, first.
    dim : int, optional
        The dimension that is transformed.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by ``1 / n``, by ``1 / sqrt(n)`` or by nothing.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or `norm` is not known.
    """
    name = "ifft"
    return c2c(input, length(n, "fft_ifft"), one_dim(input, dim), norm, False, name, out)


@composite(
    home="fft",
    oracle=beside("rfft"),
    examples=[((4,),), ((3, 5), {"n": 4, "dim": 0}), ((2, 3), {"n": 2, "norm": "ortho"})],
)
def fft_rfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """First half of the discrete Fourier transform of real numbers.

    Parameters
    ----------
    input : Tensor
        Real numbers.
    n : int, optional
        The length to which the input is cut, or filled up with zeros, first.
    dim : int, optional
        The dimension that is transformed.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by nothing, by ``1 / sqrt(n)`` or by ``1 / n``.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, the input is complex, or `norm` is not known.
    """
    name = "rfft"
    return r2c(input, length(n, "fft_rfft"), one_dim(input, dim), norm, True, name, out)


@composite(
    home="fft",
    oracle=beside("irfft"),
    examples=[((4,),), ((3, 5), {"n": 4, "dim": 0}), ((2, 3), {"n": 2, "norm": "ortho"})],
)
def fft_irfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of `rfft`: real numbers from the first half of their spectrum.

    Parameters
    ----------
    input : Tensor
        The first half of a spectrum; real numbers are taken as complex ones.
    n : int, optional
        The length of the result; by default ``2 * (m - 1)`` for an input of length `m`.
    dim : int, optional
        The dimension that is transformed.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by ``1 / n``, by ``1 / sqrt(n)`` or by nothing.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or `norm` is not known.
    """
    name = "irfft"
    return c2r(input, length(n, "fft_irfft"), one_dim(input, dim), norm, False, name, out)


@composite(
    home="fft",
    oracle=beside("hfft"),
    examples=[((4,),), ((3, 5), {"n": 4, "dim": 0}), ((2, 3), {"n": 2, "norm": "ortho"})],
)
def fft_hfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Real spectrum of a signal that is its own conjugate mirror image, from its first half.

    Parameters
    ----------
    input : Tensor
        The first half of a signal; real numbers are taken as complex ones.
    n : int, optional
        The length of the result; by default ``2 * (m - 1)`` for an input of length `m`.
    dim : int, optional
        The dimension that is transformed.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by nothing, by ``1 / sqrt(n)`` or by ``1 / n``.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or `norm` is not known.
    """
    name = "hfft"
    return c2r(input, length(n, "fft_hfft"), one_dim(input, dim), norm, True, name, out)


@composite(
    home="fft",
    oracle=beside("ihfft"),
    examples=[((4,),), ((3, 5), {"n": 4, "dim": 0}), ((2, 3), {"n": 2, "norm": "ortho"})],
)
def fft_ihfft(
    input: Tensor,
    n: int | None = None,
    dim: int = -1,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of `hfft`: the first half of a signal from its real spectrum.

    Parameters
    ----------
    input : Tensor
        Real numbers.
    n : int, optional
        The length to which the input is cut, or filled up with zeros, first.
    dim : int, optional
        The dimension that is transformed.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by ``1 / n``, by ``1 / sqrt(n)`` or by nothing.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, the input is complex, or `norm` is not known.
    """
    name = "ihfft"
    return r2c(input, length(n, "fft_ihfft"), one_dim(input, dim), norm, False, name, out)


# ---- over two dimensions, and over any number


@composite(
    home="fft",
    oracle=beside("fft2"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (2, 4)}), ((2, 3), {"dim": (1, 0), "norm": "forward"})],
)
def fft_fft2(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Discrete Fourier transform over two dimensions.

    Parameters
    ----------
    input : Tensor
        Real or complex.
    s : sequence of int, optional
        The lengths to which the input is cut or filled up with zeros; -1 leaves one as it is.
    dim : sequence of int, optional
        The two dimensions.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by nothing, by ``1 / sqrt(n)`` or by ``1 / n``.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or the arguments do not fit.
    """
    return c2c(input, s, dim, norm, True, "fft2", out)


@composite(
    home="fft",
    oracle=beside("ifft2"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (2, 4)}), ((2, 3), {"dim": (1, 0), "norm": "forward"})],
)
def fft_ifft2(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of the discrete Fourier transform over two dimensions.

    Parameters
    ----------
    input : Tensor
        Real or complex.
    s : sequence of int, optional
        The lengths to which the input is cut or filled up with zeros; -1 leaves one as it is.
    dim : sequence of int, optional
        The two dimensions.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by ``1 / n``, by ``1 / sqrt(n)`` or by nothing.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or the arguments do not fit.
    """
    return c2c(input, s, dim, norm, False, "ifft2", out)


@composite(
    home="fft",
    oracle=beside("rfft2"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (2, 4)}), ((2, 3), {"dim": (1, 0), "norm": "forward"})],
)
def fft_rfft2(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """First half of the discrete Fourier transform of real numbers over two dimensions.

    Parameters
    ----------
    input : Tensor
        Real numbers.
    s : sequence of int, optional
        The lengths to which the input is cut or filled up with zeros; -1 leaves one as it is.
    dim : sequence of int, optional
        The two dimensions; of the last the half is kept or given.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by nothing, by ``1 / sqrt(n)`` or by ``1 / n``.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, the input is complex, or the arguments do not fit.
    """
    return r2c(input, s, dim, norm, True, "rfft2", out)


@composite(
    home="fft",
    oracle=beside("irfft2"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (2, 4)}), ((2, 3), {"dim": (1, 0), "norm": "forward"})],
)
def fft_irfft2(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of `rfft2`: real numbers from the first half of their spectrum.

    Parameters
    ----------
    input : Tensor
        The half of a spectrum; real numbers are taken as complex ones.
    s : sequence of int, optional
        The lengths of the result; the last by default ``2 * (m - 1)`` for an input of length `m`.
    dim : sequence of int, optional
        The two dimensions; of the last the half is kept or given.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by ``1 / n``, by ``1 / sqrt(n)`` or by nothing.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or the arguments do not fit.
    """
    return c2r(input, s, dim, norm, False, "irfft2", out)


@composite(
    home="fft",
    oracle=beside("hfft2"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (2, 4)}), ((2, 3), {"dim": (1, 0), "norm": "forward"})],
)
def fft_hfft2(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Real spectrum of a signal that is its own conjugate mirror image over two dimensions.

    Parameters
    ----------
    input : Tensor
        The half of a signal; real numbers are taken as complex ones.
    s : sequence of int, optional
        The lengths of the result; the last by default ``2 * (m - 1)`` for an input of length `m`.
    dim : sequence of int, optional
        The two dimensions; of the last the half is kept or given.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by nothing, by ``1 / sqrt(n)`` or by ``1 / n``.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or the arguments do not fit.
    """
    return c2r(input, s, dim, norm, True, "hfft2", out)


@composite(
    home="fft",
    oracle=beside("ihfft2"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (2, 4)}), ((2, 3), {"dim": (1, 0), "norm": "forward"})],
)
def fft_ihfft2(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims = (-2, -1),
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of `hfft2`: the first half of a signal from its real spectrum.

    Parameters
    ----------
    input : Tensor
        Real numbers.
    s : sequence of int, optional
        The lengths to which the input is cut or filled up with zeros; -1 leaves one as it is.
    dim : sequence of int, optional
        The two dimensions; of the last the half is kept or given.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by ``1 / n``, by ``1 / sqrt(n)`` or by nothing.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, the input is complex, or the arguments do not fit.
    """
    return r2c(input, s, dim, norm, False, "ihfft2", out)


@composite(
    home="fft",
    oracle=beside("fftn"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (4,)}), ((2, 3, 2), {"dim": (2, 0), "norm": "ortho"})],
)
def fft_fftn(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Discrete Fourier transform over several dimensions.

    Parameters
    ----------
    input : Tensor
        Real or complex.
    s : sequence of int, optional
        The lengths to which the input is cut or filled up with zeros; -1 leaves one as it is.
    dim : sequence of int, optional
        The dimensions; by default the last ``len(s)``, or all.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by nothing, by ``1 / sqrt(n)`` or by ``1 / n``.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or the arguments do not fit.
    """
    return c2c(input, s, dim, norm, True, "fftn", out)


@composite(
    home="fft",
    oracle=beside("ifftn"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (4,)}), ((2, 3, 2), {"dim": (2, 0), "norm": "ortho"})],
)
def fft_ifftn(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of the discrete Fourier transform over several dimensions.

    Parameters
    ----------
    input : Tensor
        Real or complex.
    s : sequence of int, optional
        The lengths to which the input is cut or filled up with zeros; -1 leaves one as it is.
    dim : sequence of int, optional
        The dimensions; by default the last ``len(s)``, or all.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by ``1 / n``, by ``1 / sqrt(n)`` or by nothing.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or the arguments do not fit.
    """
    return c2c(input, s, dim, norm, False, "ifftn", out)


@composite(
    home="fft",
    oracle=beside("rfftn"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (4,)}), ((2, 3, 2), {"dim": (2, 0), "norm": "ortho"})],
)
def fft_rfftn(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """First half of the discrete Fourier transform of real numbers over several dimensions.

    Parameters
    ----------
    input : Tensor
        Real numbers.
    s : sequence of int, optional
        The lengths to which the input is cut or filled up with zeros; -1 leaves one as it is.
    dim : sequence of int, optional
        The dimensions; by default the last ``len(s)``, or all.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by nothing, by ``1 / sqrt(n)`` or by ``1 / n``.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, the input is complex, or the arguments do not fit.
    """
    return r2c(input, s, dim, norm, True, "rfftn", out)


@composite(
    home="fft",
    oracle=beside("irfftn"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (4,)}), ((2, 3, 2), {"dim": (2, 0), "norm": "ortho"})],
)
def fft_irfftn(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of `rfftn`: real numbers from the first half of their spectrum.

    Parameters
    ----------
    input : Tensor
        The half of a spectrum; real numbers are taken as complex ones.
    s : sequence of int, optional
        The lengths of the result; the last by default ``2 * (m - 1)`` for an input of length `m`.
    dim : sequence of int, optional
        The dimensions; by default the last ``len(s)``, or all.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by ``1 / n``, by ``1 / sqrt(n)`` or by nothing.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or the arguments do not fit.
    """
    return c2r(input, s, dim, norm, False, "irfftn", out)


@composite(
    home="fft",
    oracle=beside("hfftn"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (4,)}), ((2, 3, 2), {"dim": (2, 0), "norm": "ortho"})],
)
def fft_hfftn(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Real spectrum of a signal that is its own conjugate mirror image over several dimensions.

    Parameters
    ----------
    input : Tensor
        The half of a signal; real numbers are taken as complex ones.
    s : sequence of int, optional
        The lengths of the result; the last by default ``2 * (m - 1)`` for an input of length `m`.
    dim : sequence of int, optional
        The dimensions; by default the last ``len(s)``, or all.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by nothing, by ``1 / sqrt(n)`` or by ``1 / n``.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, or the arguments do not fit.
    """
    return c2r(input, s, dim, norm, True, "hfftn", out)


@composite(
    home="fft",
    oracle=beside("ihfftn"),
    examples=[((3, 4),), ((2, 3, 4), {"s": (4,)}), ((2, 3, 2), {"dim": (2, 0), "norm": "ortho"})],
)
def fft_ihfftn(
    input: Tensor,
    s: Dims | None = None,
    dim: Dims | None = None,
    norm: str | None = None,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """Inverse of `hfftn`: the first half of a signal from its real spectrum.

    Parameters
    ----------
    input : Tensor
        Real numbers.
    s : sequence of int, optional
        The lengths to which the input is cut or filled up with zeros; -1 leaves one as it is.
    dim : sequence of int, optional
        The dimensions; by default the last ``len(s)``, or all.
    norm : {"backward", "ortho", "forward"}, optional
        Scale by ``1 / n``, by ``1 / sqrt(n)`` or by nothing.
    out : Tensor, optional
        Where to write the result.

    Raises
    ------
    IndexError
        If there is no such dimension.
    RuntimeError
        If there is no point to transform, the input is complex, or the arguments do not fit.
    """
    return r2c(input, s, dim, norm, False, "ihfftn", out)


# ---- frequencies


def frequencies(first: int, last: int, n: int, d: float, name: str, options: Any) -> Tensor:
    """The whole numbers from `first` to below `last`, in units of ``1 / (n * d)``."""
    dtype = options.pop("dtype", None) or get_default_dtype()
    if of(dtype).kind not in ("float", "complex"):
        raise RuntimeError(f"{name} requires a floating point or complex dtype, got {dtype}")
    unit = n * d
    steps = arange(first, last, dtype=dtype, device=options.get("device"))
    if first < 0:  # the negative ones come last
        steps = cat([narrow(steps, 0, -first, last), narrow(steps, 0, 0, -first)])
    result: Tensor = steps * (1.0 / unit if unit else math.inf)
    out = options.get("out")
    if out is not None:
        check_out(fft_c2c.op, result, out)
        return write_out(name, result, out, new=True)
    return result.requires_grad_() if options.get("requires_grad") else result


@composite(
    home="fft",
    oracle=beside("fftfreq"),
    examples=[(5,), (4, 0.5), (3, {"dtype": float64})],
)
def fft_fftfreq(n: int, d: float = 1.0, **options: Any) -> Tensor:
    """Frequencies of the elements of a transform of length `n`: 0, positive, negative.

    Parameters
    ----------
    n : int
    d : float, optional
        The time between two samples.
    dtype, device, requires_grad, out
        As for all new tensors.

    Raises
    ------
    RuntimeError
        If `n` is negative, or the dtype is not floating.
    """
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    return frequencies(-(n // 2), (n + 1) // 2, n, d, "fftfreq", options)


@composite(
    home="fft",
    oracle=beside("rfftfreq"),
    examples=[(5,), (4, 0.5), (3, {"dtype": float64})],
)
def fft_rfftfreq(n: int, d: float = 1.0, **options: Any) -> Tensor:
    """Frequencies of the elements of `rfft` of a signal of length `n`: 0 and the positive ones.

    Parameters
    ----------
    n : int
    d : float, optional
        The time between two samples.
    dtype, device, requires_grad, out
        As for all new tensors.

    Raises
    ------
    RuntimeError
        If `n` is negative, or the dtype is not floating.
    """
    if n < -1:
        size = n // 2 + 1
        raise RuntimeError(f"Trying to create tensor with negative dimension {size}: [{size}]")
    return frequencies(0, n // 2 + 1, n, d, "rfftfreq", options)


def shifted(input: Tensor, dim: int | Dims | None, back: bool) -> Tensor:
    """The input with the halves of its dimensions exchanged."""
    dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else dim
    places = [one_dim(input, d) for d in dims]
    if not places:
        raise RuntimeError("`shifts` required: there is no dimension to shift")
    sizes = [input.shape[d] for d in places]
    result: Tensor = roll(input, [(n + 1) // 2 if back else n // 2 for n in sizes], places)
    return result


@composite(
    home="fft",
    oracle=beside("fftshift"),
    examples=[((5,),), ((3, 4),), ((3, 4), {"dim": 0})],
)
def fft_fftshift(input: Tensor, dim: int | Dims | None = None) -> Tensor:
    """Exchange the halves of a spectrum, so that the frequency 0 is in the middle.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The dimensions whose halves are exchanged; by default all.
    """
    return shifted(input, dim, False)


@composite(
    home="fft",
    oracle=beside("ifftshift"),
    examples=[((5,),), ((3, 4),), ((3, 4), {"dim": (0, 1)})],
)
def fft_ifftshift(input: Tensor, dim: int | Dims | None = None) -> Tensor:
    """Undo `fftshift`.

    Parameters
    ----------
    input : Tensor
    dim : int or sequence of int, optional
        The dimensions whose halves are exchanged; by default all.
    """
    return shifted(input, dim, True)
