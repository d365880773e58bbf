"""Spectra of pieces of a signal, against PyTorch."""

import numpy as np
import pytest
import torch
from beside_torch import floats, refused, same, tensors

import devtensor as dt

pytestmark = pytest.mark.filterwarnings("ignore:A window was not provided|stft with return_complex")

OPTIONS = [
    {},
    {"hop_length": 3},
    {"win_length": 5},
    {"win_length": 5, "center": False},
    {"win_length": 4, "center": False, "align_to_window": True},
    {"win_length": 6, "center": False, "align_to_window": False},
    {"center": False},
    {"pad_mode": "constant"},
    {"pad_mode": "replicate"},
    {"normalized": True},
    {"onesided": False},
    {"onesided": True, "normalized": True, "hop_length": 5},
    {"return_complex": False},
]


def real(m, x):
    return m.view_as_real(x) if x.dtype.is_complex else x


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("n_fft", [8, 7])
def test_stft(options, n_fft):
    options = {"return_complex": True, **options}
    if n_fft == 7 and "align_to_window" in options:
        options["win_length"] -= 1  # PyTorch reads behind the signal where the rest is odd
    length = options.get("win_length", n_fft)

    def call(m, x, *window):
        return real(m, m.stft(x, n_fft, window=window[0] if window else None, **options))

    for shape in ((30,), (2, 31)):
        same(call, floats(*shape))
        same(call, floats(*shape), np.abs(floats(length, seed=1)))


def test_stft_of_complex_signals():
    def call(m, x, y, w):
        return real(m, m.stft(m.complex(x, y), 8, window=w))

    same(call, floats(2, 30), floats(2, 30, seed=1), floats(8, seed=2))
    same(lambda m, x, w: real(m, m.stft(x, 8, window=m.complex(w, w))), floats(30), floats(8))


def test_second_gradients():
    found = []
    for m in (dt, torch):
        x, w = tensors(m, (floats(20), np.abs(floats(8, seed=1))), True)
        out = real(m, m.stft(x, 8, window=w, return_complex=True))
        slopes = m.autograd.grad((out**3).sum(), (x, w), create_graph=True)
        sum((s * s).sum() for s in slopes).backward()
        found.append((x.grad.numpy(), w.grad.numpy()))
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one, two)


ISTFT = [
    {},
    {"length": 30},
    {"length": 12},
    {"length": 60},
    {"normalized": True},
    {"win_length": 6},
    {"onesided": False},
    {"onesided": False, "return_complex": True},
    {"hop_length": 3, "length": 20},
]


@pytest.mark.parametrize("options", ISTFT)
@pytest.mark.filterwarnings("ignore:The length of signal")
def test_istft(options):
    count = 5 if options.get("onesided", True) else 8
    length = options.get("win_length", 8)

    def call(m, x, y, *window):
        z = m.complex(x, y)
        return real(m, m.istft(z, 8, window=window[0] if window else None, **options))

    for batch in ((), (2,)):
        x, y = floats(*batch, count, 7), floats(*batch, count, 7, seed=1)
        same(call, x, y)
        same(call, x, y, np.abs(floats(length, seed=2)) + 0.2)


def test_without_centre():
    def call(m, x, y):
        return m.istft(m.complex(x, y), 8, center=False)

    same(call, floats(5, 7), floats(5, 7, seed=1))


def test_there_and_back():
    x = dt.tensor(floats(2, 64))
    for options in ({}, {"normalized": True}, {"hop_length": 3}, {"win_length": 12}):
        w = dt.hann_window(options.get("win_length", 16), dtype=dt.float64)
        spectra = dt.stft(x, 16, window=w, return_complex=True, **options)
        again = dt.istft(spectra, 16, window=w, length=60, **options)
        np.testing.assert_allclose(again.numpy(), x.numpy()[:, :60], atol=1e-12)


def test_stft_refused():
    x, w = floats(2, 30), floats(8)

    def bad(phrase, *args, **options):
        options.setdefault("return_complex", True)
        refused(lambda m, x: m.stft(x, *args, **options), x, phrase=phrase)

    bad("requires the return_complex parameter", 8, return_complex=None)
    bad("expected 0 < n_fft < 30, but got n_fft=0", 0)
    bad("expected 0 < n_fft < 30, but got n_fft=40", 40, center=False)
    bad("expected hop_length > 0, but got hop_length=0", 8, 0)
    bad("expected 0 < win_length <= n_fft, but got win_length=9", 8, win_length=9)
    bad("expected 0 < win_length <= n_fft, but got win_length=0", 8, win_length=0)
    bad("should only be set when center = false", 8, align_to_window=True)
    refused(
        lambda m, x, w: m.stft(x, 9, window=w, return_complex=True), x, w,
        phrase="expected a 1D window tensor of size equal to win_length=9, but got window with",
    )  # fmt: skip
    refused(lambda m, x: m.stft(x.long(), 8, return_complex=True), x, phrase="floating point or")
    refused(
        lambda m, x: m.stft(x[None], 8, return_complex=True), x, phrase="expected a 1D or 2D tensor"
    )
    refused(
        lambda m, x: m.stft(m.complex(x, x), 8, onesided=True), x,
        phrase="Cannot have onesided output if window or input is complex",
    )  # fmt: skip


def test_istft_refused():
    x = floats(5, 7)

    def bad(phrase, change=lambda m, z: z, **options):
        options.setdefault("n_fft", 8)
        refused(lambda m, x: m.istft(change(m, m.complex(x, x)), **options), x, phrase=phrase)

    bad("requires a complex-valued input tensor", lambda m, z: z.real)
    bad("input tensor cannot be empty", lambda m, z: z[:, :0])
    bad("expected a tensor with 3 or 4 dimensions, but got 5", lambda m, z: z[None, None])
    bad("to match n_fft / 2 + 1 when onesided=True, but got 5", n_fft=10)
    bad("expected 0 < win_length <= n_fft", win_length=9)
    bad("expected 0 < hop_length <= win_length", hop_length=9)
    bad("window overlap add min: 1", center=False, win_length=4)
    bad("Cannot have onesided output", return_complex=True)
    refused(
        lambda m, x: m.istft(m.complex(x, x), 8, window=m.ones(7)), x,
        phrase="Invalid window shape. window has to be 1D and length of `win_length`",
    )  # fmt: skip
    refused(
        lambda m, x: m.istft(m.complex(x, x), 8, window=m.ones(8) * 1j), x,
        phrase="Complex windows are incompatible with return_complex=False",
    )  # fmt: skip
