"""The multivariate normal distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.utils import lazy_property, standard_normal
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["MultivariateNormal", "OfMatrix"]


def batch_mv(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Matrices times vectors, both in batches."""
    return (matrices @ vectors.unsqueeze(-1)).squeeze(-1)


def batch_mahalanobis(lower: Tensor, vectors: Tensor) -> Tensor:
    """``|L⁻¹ x|²`` for triangular L.

    Batch dimensions that the vectors have and the matrices have not become right-hand sides, so
    that each matrix is solved with once.
    """
    more = max(vectors.ndim - lower.ndim + 1, 0)
    lead, size = vectors.shape[:more], vectors.shape[more:]
    columns = vectors.reshape((lead.numel(), *size)).movedim(0, -1)
    squares = dt.linalg.solve_triangular(lower, columns, upper=False).pow(2).sum(-2)
    return squares.movedim(-1, 0).reshape(lead + squares.shape[:-1])


def half_log_det(lower: Tensor) -> Tensor:
    """The logarithm of the determinant of L, half of that of ``L Lᵀ``."""
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def precision_to_scale_tril(precision: Tensor) -> Tensor:
    """The Cholesky factor of the inverse."""
    upper = dt.linalg.cholesky(precision.flip((-2, -1))).flip((-2, -1)).mT
    identity = dt.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return dt.linalg.solve_triangular(upper, identity, upper=False)


class OfMatrix(Distribution):
    """A distribution of a matrix, which is given by itself, its inverse, or its factor."""

    _given: str
    _unbroadcasted_scale_tril: Tensor

    def _choose(self, batch: Any, **given: Tensor | None) -> Size:
        """Keep the one matrix that is given, of a batch that is broadcast with another's.

        Returns
        -------
        Size
            The shape of the batch.

        Raises
        ------
        ValueError
            Unless there is just one, of two dimensions at least.
        """
        found = {name: value for name, value in given.items() if value is not None}
        if len(found) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                f"specified, but {len(found)} are given."
            )
        ((name, value),) = found.items()
        if value.ndim < 2:
            raise ValueError(
                f"{name} matrix must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        size = dt.broadcast_shapes(value.shape[:-2], batch)
        self._given = name
        self.__dict__[name] = value.expand((*size, -1, -1))
        self._unbroadcasted = value
        return Size(size)

    def _factor(self) -> None:
        """Find the factor, once the matrix is known to be valid."""
        factors = {
            "scale_tril": lambda x: x,
            "covariance_matrix": dt.linalg.cholesky,
            "precision_matrix": precision_to_scale_tril,
        }
        self._unbroadcasted_scale_tril = factors[self._given](self.__dict__.pop("_unbroadcasted"))

    def _matrices(self, value: Tensor) -> Tensor:
        n = self._unbroadcasted_scale_tril.shape[-1]
        return value.expand((*self._batch_shape, n, n))

    @lazy_property
    def scale_tril(self) -> Tensor:
        """The Cholesky factor."""
        return self._matrices(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Tensor:
        """The matrix."""
        lower = self._unbroadcasted_scale_tril
        return self._matrices(lower @ lower.mT)

    @lazy_property
    def precision_matrix(self) -> Tensor:
        """Its inverse."""
        return self._matrices(dt.cholesky_inverse(self._unbroadcasted_scale_tril))


class MultivariateNormal(OfMatrix):
    """The multivariate normal distribution.

    Parameters
    ----------
    loc : Tensor
        The mean, of shape (..., D).
    covariance_matrix : Tensor, optional
        Of shape (..., D, D), positive definite.
    precision_matrix : Tensor, optional
        The inverse of the covariance.
    scale_tril : Tensor, optional
        The Cholesky factor of the covariance. It is what is used; one of the three must be given.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Unless one matrix is given, and `loc` has a dimension.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import MultivariateNormal
    >>> normal = MultivariateNormal(dt.zeros(2), covariance_matrix=dt.eye(2))
    >>> normal.log_prob(dt.zeros(2)), normal.event_shape
    (tensor(-1.8379), torch.Size([2]))
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True
    mean = mode = property(attrgetter("loc"))

    def __init__(
        self,
        loc: Tensor,
        covariance_matrix: Tensor | None = None,
        precision_matrix: Tensor | None = None,
        scale_tril: Tensor | None = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        batch = self._choose(
            loc.shape[:-1],
            covariance_matrix=covariance_matrix,
            precision_matrix=precision_matrix,
            scale_tril=scale_tril,
        )
        self.loc = loc.expand((*batch, -1))
        super().__init__(batch, loc.shape[-1:], validate_args=validate_args)
        self._factor()

    @property
    def variance(self) -> Tensor:
        squares = self._unbroadcasted_scale_tril.pow(2).sum(-1)
        return squares.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        noise = standard_normal(self.loc, self._extended_shape(sample_shape))
        return self.loc + batch_mv(self._unbroadcasted_scale_tril, noise)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        lower = self._unbroadcasted_scale_tril
        square = batch_mahalanobis(lower, value - self.loc)
        count = self._event_shape[0]
        return -0.5 * (count * math.log(2 * math.pi) + square) - half_log_det(lower)

    def entropy(self) -> Tensor:
        plain = 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi))
        return (plain + half_log_det(self._unbroadcasted_scale_tril)).expand(self._batch_shape)
