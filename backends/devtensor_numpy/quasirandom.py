"""Sobol's sequences, for which SciPy is needed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class Sobol:
    """SciPy's sequence, which may be cut anywhere.

    Parameters
    ----------
    dimension, bits : int
    seed : int or None
        If there is one, the points are moved at random.

    Raises
    ------
    ImportError
        If SciPy is not installed.
    """

    def __init__(self, dimension: int, bits: int, seed: int | None) -> None:
        try:
            from scipy.stats import qmc
        except ImportError as reason:
            raise ImportError(
                "Sobol sequences are computed by SciPy, which is not installed: run "
                "pip install scipy"
            ) from reason
        source = None if seed is None else np.random.default_rng(seed)
        self.engine = qmc.Sobol(dimension, scramble=seed is not None, bits=bits, rng=source)

    def random(self, count: int) -> Array:
        """The next points, as rows."""
        if not count:
            return np.empty((0, self.engine.d))
        with warnings.catch_warnings():  # of numbers that are no power of two
            warnings.simplefilter("ignore")
            found: Array = self.engine.random(count)
        return found

    def fast_forward(self, count: int) -> None:
        """Pass over points."""
        if count:
            self.engine.fast_forward(count)

    def reset(self) -> None:
        """Begin anew."""
        self.engine.reset()
