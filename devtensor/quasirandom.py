"""Points that fill a cube evenly: Sobol's sequences, which SciPy computes."""

from __future__ import annotations

from typing import Any

from devtensor.backend import load
from devtensor.dtype import dtype as Dtype
from devtensor.dtype import get_default_dtype
from devtensor.host import tensor
from devtensor.ops.random import randint
from devtensor.tensor import Tensor

__all__ = ["SobolEngine"]


class SobolEngine:
    """A sequence of points in the unit cube that leave no large part of it out.

    Parameters
    ----------
    dimension : int
        The dimension of the cube, up to 21201.
    scramble : bool, optional
        Whether the points are moved at random, in a way that keeps them even.
    seed : int, optional
        For that; drawn from the default generator if it is not given.

    Attributes
    ----------
    num_generated : int
        How many points have been drawn or passed over.

    Raises
    ------
    ValueError
        If there are no sequences of this dimension.
    ImportError
        If SciPy is not installed.

    Notes
    -----
    Points that are not moved are those of PyTorch's ``SobolEngine``. The method is from Joe and
    Kuo, "Constructing Sobol sequences with better two-dimensional projections" (2008).

    Examples
    --------
    >>> import devtensor as torch
    >>> torch.quasirandom.SobolEngine(2).draw(3)
    tensor([[0.0000, 0.0000],
            [0.5000, 0.5000],
            [0.7500, 0.2500]])
    """

    MAXBIT = 30
    MAXDIM = 21201

    def __init__(self, dimension: int, scramble: bool = False, seed: int | None = None) -> None:
        if not 1 <= dimension <= self.MAXDIM:
            raise ValueError(
                f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}], "
                f"not {dimension}"
            )
        self.dimension, self.scramble, self.seed = dimension, scramble, seed
        if scramble and seed is None:
            seed = int(randint(0, 2**31 - 1, ()))
        host: Any = load("cpu")
        self._points = host.sobol(dimension, self.MAXBIT, seed if scramble else None)
        self.num_generated = 0

    def draw(self, n: int = 1, out: Tensor | None = None, dtype: Dtype | None = None) -> Tensor:
        """The next points.

        Parameters
        ----------
        n : int, optional
            How many.
        out : Tensor, optional
            Where they are put; it is resized.
        dtype : dtype, optional
            The default dtype if not given.

        Returns
        -------
        Tensor
            Shape ``(n, dimension)``.

        Raises
        ------
        RuntimeError
            If `n` is negative.
        """
        if n < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: [{n}, {self.dimension}]"
            )
        found: Tensor = tensor(self._points.random(n), dtype=dtype or get_default_dtype())
        self.num_generated += n
        return found if out is None else out.resize_(found.shape).copy_(found)

    def draw_base2(self, m: int, out: Tensor | None = None, dtype: Dtype | None = None) -> Tensor:
        """The next ``2 ** m`` points, so that as many as a power of two have been drawn in all.

        Raises
        ------
        ValueError
            If there would be another number of them.
        """
        n = 2**m
        total = self.num_generated + n
        if total & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require n to be a power of 2. "
                f"{self.num_generated} points have been previously generated, then: "
                f"n={self.num_generated}+2**{m}={total}. If you still want to do this, please use "
                "'SobolEngine.draw()' instead."
            )
        return self.draw(n, out, dtype)

    def reset(self) -> SobolEngine:
        """Begin anew."""
        self._points.reset()
        self.num_generated = 0
        return self

    def fast_forward(self, n: int) -> SobolEngine:
        """Pass over `n` points."""
        self._points.fast_forward(n)
        self.num_generated += n
        return self

    def __repr__(self) -> str:
        parts = [f"dimension={self.dimension}"]
        parts += [f"scramble={self.scramble}"] if self.scramble else []
        parts += [f"seed={self.seed}"] if self.seed is not None else []
        return f"SobolEngine({', '.join(parts)})"
