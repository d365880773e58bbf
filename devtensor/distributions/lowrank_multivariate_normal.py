"""The multivariate normal distribution with a covariance of low rank."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.multivariate_normal import batch_mahalanobis, batch_mv, half_log_det
from devtensor.distributions.utils import lazy_property, standard_normal
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["LowRankMultivariateNormal"]


def batch_capacitance_tril(factor: Tensor, diagonal: Tensor) -> Tensor:
    """The Cholesky factor of ``I + Wᵀ D⁻¹ W``, small where the covariance is large."""
    inner = (factor.mT / diagonal.unsqueeze(-2)) @ factor
    identity = dt.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
    return dt.linalg.cholesky(inner + identity)


def batch_lowrank_logdet(diagonal: Tensor, capacitance_tril: Tensor) -> Tensor:
    """The logarithm of the determinant of ``W Wᵀ + D``."""
    return 2 * half_log_det(capacitance_tril) + diagonal.log().sum(-1)


def batch_lowrank_mahalanobis(
    factor: Tensor, diagonal: Tensor, vectors: Tensor, capacitance_tril: Tensor
) -> Tensor:
    """``xᵀ (W Wᵀ + D)⁻¹ x``, by Woodbury's identity."""
    seen = batch_mv(factor.mT / diagonal.unsqueeze(-2), vectors)
    return (vectors.pow(2) / diagonal).sum(-1) - batch_mahalanobis(capacitance_tril, seen)


class LowRankMultivariateNormal(Distribution):
    """The multivariate normal distribution whose covariance is ``W Wᵀ + D``.

    Parameters
    ----------
    loc : Tensor
        The mean, of shape (..., D).
    cov_factor : Tensor
        W, of shape (..., D, M) with M smaller than D.
    cov_diag : Tensor
        The diagonal of D, of shape (..., D), positive.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import LowRankMultivariateNormal
    >>> normal = LowRankMultivariateNormal(dt.zeros(2), dt.ones(2, 1), dt.ones(2))
    >>> normal.covariance_matrix
    tensor([[2., 1.],
            [1., 2.]])
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True
    mean = mode = property(attrgetter("loc"))

    def __init__(
        self,
        loc: Tensor,
        cov_factor: Tensor,
        cov_diag: Tensor,
        validate_args: bool | None = None,
    ) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event = loc.shape[-1:]
        if cov_factor.ndim < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        if cov_factor.shape[-2:-1] != event:
            raise ValueError(
                f"cov_factor must be a batch of matrices with shape {event[0]} x m, but its shape "
                f"is {tuple(cov_factor.shape)}"
            )
        if cov_diag.shape[-1:] != event:
            raise ValueError(
                f"cov_diag must be a batch of vectors with shape {event}, but its shape is "
                f"{tuple(cov_diag.shape)}"
            )
        try:
            batch = dt.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, "
                f"cov_diag {cov_diag.shape}"
            ) from error
        self.loc = loc.expand((*batch, -1))
        self.cov_factor = cov_factor.expand((*batch, -1, -1))
        self.cov_diag = cov_diag.expand((*batch, -1))
        self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag = cov_factor, cov_diag
        self._capacitance_tril = batch_capacitance_tril(cov_factor, cov_diag)
        super().__init__(batch, event, validate_args=validate_args)

    @lazy_property
    def variance(self) -> Tensor:
        return self.cov_factor.pow(2).sum(-1) + self.cov_diag

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor of the covariance."""
        root = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        scaled = self._unbroadcasted_cov_factor / root
        identity = dt.eye(self._event_shape[0], dtype=root.dtype, device=root.device)
        lower = root * dt.linalg.cholesky(scaled @ scaled.mT + identity)
        return lower.expand(self._batch_shape + self._event_shape * 2)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The covariance."""
        factor = self._unbroadcasted_cov_factor
        matrix = factor @ factor.mT + self._unbroadcasted_cov_diag.diag_embed()
        return matrix.expand(self._batch_shape + self._event_shape * 2)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """The inverse of the covariance, by Woodbury's identity."""
        diagonal = self._unbroadcasted_cov_diag
        seen = self._unbroadcasted_cov_factor.mT / diagonal.unsqueeze(-2)
        inner = dt.linalg.solve_triangular(self._capacitance_tril, seen, upper=False)
        matrix = diagonal.reciprocal().diag_embed() - inner.mT @ inner
        return matrix.expand(self._batch_shape + self._event_shape * 2)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        shape = self._extended_shape(sample_shape)
        shared = standard_normal(self.loc, shape[:-1] + self.cov_factor.shape[-1:])
        own = standard_normal(self.loc, shape)
        return (
            self.loc
            + batch_mv(self._unbroadcasted_cov_factor, shared)
            + self._unbroadcasted_cov_diag.sqrt() * own
        )

    def _log_det(self) -> Tensor:
        return batch_lowrank_logdet(self._unbroadcasted_cov_diag, self._capacitance_tril)

    def _mahalanobis(self, vectors: Tensor) -> Tensor:
        return batch_lowrank_mahalanobis(
            self._unbroadcasted_cov_factor,
            self._unbroadcasted_cov_diag,
            vectors,
            self._capacitance_tril,
        )

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        plain = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (plain + self._log_det() + self._mahalanobis(value - self.loc))

    def entropy(self) -> Tensor:
        plain = self._event_shape[0] * (1 + math.log(2 * math.pi))
        return (0.5 * (plain + self._log_det())).expand(self._batch_shape)
