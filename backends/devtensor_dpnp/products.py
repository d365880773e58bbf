"""Linear algebra and Fourier transforms: dpnp's, with operands that it gets right."""

from __future__ import annotations

from threading import Lock
from types import SimpleNamespace
from typing import Any

import dpnp

from . import guarded
from .memory import dense

NAMES = """
cholesky cross det diagonal eig eigh eigvals eigvalsh inv matrix_norm matrix_power matrix_rank
matrix_transpose outer pinv qr slogdet solve svd svdvals trace vector_norm
"""
VIEWS = ("diagonal", "matrix_transpose")


TRANSFORMS = """
fft fftn hfft ifft ifftn ihfft irfft irfftn rfft rfftn
"""


_alone = Lock()
"""Held by the thread that is in one of dpnp's solvers or transforms."""


def guard(module: Any, name: str) -> Any:
    """A function whose arrays have no strides below 1: of broadcast ones dpnp makes garbage.

    It is called when the queue is empty and by one thread at a time. Inside it waits for work under
    way with Python's lock held, and ends of work wait for that lock; so do the first calls of two
    threads for each other.
    """
    function = getattr(module, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        given = [dense(a) if isinstance(a, dpnp.ndarray) else a for a in args]
        for a in given:
            if isinstance(a, dpnp.ndarray):
                a.sycl_queue.wait()
        with _alone:
            return function(*given, **kwargs)

    call.__name__, call.__doc__ = name, function.__doc__
    return function if name in VIEWS else call


linalg = SimpleNamespace(
    **{name: guard(dpnp.linalg, name) for name in NAMES.split()},
    matmul=guarded.matmul,
    vecdot=guarded.vecdot,
    tensordot=guarded.tensordot,
)
fft = SimpleNamespace(**{name: guard(dpnp.fft, name) for name in TRANSFORMS.split()})
