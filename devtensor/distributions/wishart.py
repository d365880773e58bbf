"""Wishart's distribution."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.chi2 import Chi2
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.distributions.multivariate_normal import OfMatrix, half_log_det
from devtensor.distributions.utils import standard_normal
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Wishart"]


class Wishart(OfMatrix, ExponentialFamily):
    """Wishart's distribution of positive definite matrices: of sums of squares of normal vectors.

    Parameters
    ----------
    df : Tensor or float
        How many vectors: the degrees of freedom, more than D - 1.
    covariance_matrix : Tensor, optional
        That of the vectors, of shape (..., D, D).
    precision_matrix : Tensor, optional
        The inverse of the covariance.
    scale_tril : Tensor, optional
        The Cholesky factor of the covariance. One of the three must be given.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Unless one matrix is given, or if `df` is too small.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Wishart
    >>> Wishart(3.0, dt.eye(2)).mean
    tensor([[3., 0.],
            [0., 3.]])
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self,
        df: Tensor | float,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        batch = self._choose(
            getattr(df, "shape", ()),
            covariance_matrix=covariance_matrix,
            precision_matrix=precision_matrix,
            scale_tril=scale_tril,
        )
        matrix = self._unbroadcasted
        if not isinstance(df, Tensor):
            df = dt.tensor(df, dtype=matrix.dtype, device=matrix.device)
        self.df = df.expand(batch)
        size = matrix.shape[-1]
        if (self.df <= size - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {size - 1}.")
        if (self.df < size).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for "
                "ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        super().__init__(batch, matrix.shape[-2:], validate_args=validate_args)
        self._factor()

    @property
    def arg_constraints(self) -> Any:
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self._event_shape[-1] - 1),
        }

    def _times(self, factor: Tensor, matrix: Tensor) -> Tensor:
        return factor.unsqueeze(-1).unsqueeze(-1) * matrix

    @property
    def mean(self) -> Tensor:
        return self._times(self.df, self.covariance_matrix)

    @property
    def mode(self) -> Tensor:
        factor = self.df - self._event_shape[-1] - 1
        return self._times(dt.where(factor <= 0, math.nan, factor), self.covariance_matrix)

    @property
    def variance(self) -> Tensor:
        matrix = self.covariance_matrix
        diagonal = matrix.diagonal(dim1=-2, dim2=-1)
        outer = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self._times(self.df, matrix.pow(2) + outer)

    def _bartlett(self, sample_shape: Sequence[int]) -> Tensor:
        """Samples, by the distribution of their Cholesky factors (Bartlett, 1933)."""
        size = self._event_shape[-1]
        lower = self._unbroadcasted_scale_tril
        freedom = self.df.unsqueeze(-1) - dt.arange(size).to(self.df)
        diagonal = Chi2(freedom, validate_args=False).rsample(sample_shape).sqrt()
        diagonal = diagonal.clamp(min=dt.finfo(diagonal.dtype).eps)
        below = standard_normal(lower, self._extended_shape(sample_shape)).tril(-1)
        factor = lower @ (below + diagonal.diag_embed())
        return factor @ factor.mT

    def rsample(
        self, sample_shape: Sequence[int] = Size(), max_try_correction: int | None = None
    ) -> Tensor:
        """Draw samples through which gradients reach the parameters.

        Parameters
        ----------
        sample_shape : sequence of int
        max_try_correction : int, optional
            How often samples that are singular for the dtype are drawn anew; 10 by default.
        """
        sample = self._bartlett(sample_shape)
        for _ in range(10 if max_try_correction is None else max_try_correction):
            singular = ~self.support.check(sample)
            if not singular.any():
                break
            warnings.warn("Singular sample detected.", stacklevel=2)
            singular = singular.unsqueeze(-1).unsqueeze(-1)
            sample = dt.where(singular, self._bartlett(sample_shape), sample)
        return sample

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        df, size, lower = self.df, self._event_shape[-1], self._unbroadcasted_scale_tril
        trace = dt.cholesky_solve(value, lower).diagonal(dim1=-2, dim2=-1).sum(-1)
        return (
            -df * (size * math.log(2) / 2 + half_log_det(lower))
            - (df / 2).mvlgamma(size)
            + (df - size - 1) / 2 * dt.linalg.slogdet(value).logabsdet
            - trace / 2
        )

    def entropy(self) -> Tensor:
        df, size = self.df, self._event_shape[-1]
        halves = (df / 2).unsqueeze(-1) - dt.arange(size).to(df) / 2
        return (
            (size + 1) * (size * math.log(2) / 2 + half_log_det(self._unbroadcasted_scale_tril))
            + (df / 2).mvlgamma(size)
            - (df - size - 1) / 2 * halves.digamma().sum(-1)
            + df * size / 2
        )

    @property
    def _natural_params(self) -> tuple[Tensor, ...]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x: Tensor, y: Tensor) -> Tensor:  # type: ignore[override]
        size = self._event_shape[-1]
        half = y + (size + 1) / 2
        log_det = size * math.log(2) - dt.linalg.slogdet(-2 * x).logabsdet
        return half * log_det + half.mvlgamma(size)
