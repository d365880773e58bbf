"""The LKJ distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.beta import Beta
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.utils import broadcast_all, standard_normal
from devtensor.nn import functional as F
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices.

    The density of the matrix is its determinant to the power ``concentration - 1``: uniform for 1,
    concentrated around the identity above it. Lewandowski, Kurowicka and Joe, "Generating random
    correlation matrices based on vines and extended onion method", 2009.

    Parameters
    ----------
    dim : int
        The size of the matrices.
    concentration : Tensor or float
    validate_args : bool, optional

    Raises
    ------
    ValueError
        If `dim` is less than 2.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import LKJCholesky
    >>> factor = LKJCholesky(3, 0.5).sample()
    >>> dt.allclose((factor @ factor.T).diagonal(), dt.ones(3))
    True
    """

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self,
        dim: int,
        concentration: Tensor | float = 1.0,
        validate_args: bool | None = None,
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        shape = self.concentration.shape
        # the squared length of the new row's part, when the matrix grows by a row
        row = 0.5 * F.pad(dt.arange(dim - 1).to(self.concentration), [1, 0])
        other = (self.concentration + 0.5 * (dim - 2)).unsqueeze(-1) - row
        self._beta = Beta(row + 0.5, other, validate_args=validate_args)
        super().__init__(shape, (dim, dim), validate_args)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with dt.no_grad():
            square = self._beta.sample(sample_shape).unsqueeze(-1)
            normal = standard_normal(square, self._extended_shape(sample_shape)).tril(-1)
            length = normal.norm(dim=-1, keepdim=True)
            rows = square.sqrt() * normal / dt.where(length > 0, length, 1.0)
            rest = (1 - (rows**2).sum(-1)).clamp(min=dt.finfo(rows.dtype).tiny)
            return rows + rest.sqrt().diag_embed()

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        shape, rows = self.concentration, self.dim - 1
        order = dt.arange(2, self.dim + 1).to(shape)
        power = 2 * (shape - 1).unsqueeze(-1) + self.dim - order
        density = (power * value.diagonal(dim1=-1, dim2=-2)[..., 1:].log()).sum(-1)
        top = shape + 0.5 * rows
        norm = 0.5 * rows * math.log(math.pi) + (top - 0.5).mvlgamma(rows) - top.lgamma() * rows
        return density - norm
