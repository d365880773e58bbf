"""Fourier transforms by NumPy's own, which also knows those of real numbers that are not halved."""

from __future__ import annotations

from typing import Any

import numpy as np

from devtensor.ops.fft import FORWARD, INVERSE

from .linalg import Array


def fft_c2c(xp: Any, input: Array, /, dims: Any, scale: str, forward: bool) -> Array:
    """`fft_c2c`."""
    norm: Any = FORWARD[scale] if forward else INVERSE[scale]
    if len(dims) == 1:
        return (np.fft.fft if forward else np.fft.ifft)(input, axis=dims[0], norm=norm)
    if not dims:
        return input.copy()
    return (np.fft.fftn if forward else np.fft.ifftn)(input, axes=dims, norm=norm)


def fft_r2c(xp: Any, input: Array, /, dims: Any, scale: str, onesided: bool) -> Array:
    """`fft_r2c`."""
    norm: Any = FORWARD[scale]
    result = (np.fft.rfft if onesided else np.fft.fft)(input, axis=dims[-1], norm=norm)
    return np.fft.fftn(result, axes=dims[:-1], norm=norm) if dims[1:] else result


def fft_c2r(xp: Any, input: Array, /, dims: Any, scale: str, size: int) -> Array:
    """`fft_c2r`."""
    norm: Any = INVERSE[scale]
    if dims[1:]:
        input = np.fft.ifftn(input, axes=dims[:-1], norm=norm)
    return np.fft.irfft(input, size, dims[-1], norm)


KERNELS = {"fft_c2c": fft_c2c, "fft_r2c": fft_r2c, "fft_c2r": fft_c2r}
