"""What ``python -m devtensor`` tells about this backend."""

from __future__ import annotations

import os

import numpy as np

__all__ = ["about"]

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


def about() -> dict[str, str]:
    """Names and what is to be said about them."""
    return {"NumPy": np.__version__, "BLAS": blas(), "threads": threads()}


def blas() -> str:
    """The library that multiplies matrices, as NumPy was built with it."""
    config = np.show_config(mode="dicts")
    built = config.get("Build Dependencies", {}).get("blas", {}) if config else {}
    return f"{built.get('name', 'unknown')} {built.get('version', '')}".strip()


def threads() -> str:
    """How many threads it may use, and what says so."""
    usable = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))(0)
    for name in THREADS:
        if os.environ.get(name):
            return f"{os.environ[name]} ({name}), {len(usable)} processors"
    return f"one to each of {len(usable)} processors; {THREADS[0]} limits them"
