"""Transforms of vectors and matrices, and of the parts of tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions._transform import Transform, check_dimensions
from devtensor.distributions._transforms_elementwise import Plain, clipped_sigmoid
from devtensor.distributions.utils import _sum_rightmost, tril_matrix_to_vec, vec_to_tril_matrix
from devtensor.nn import functional as F
from devtensor.size import Size
from devtensor.tensor import Tensor


class ReshapeTransform(Transform):
    """Another shape of the last dimensions.

    Parameters
    ----------
    in_shape, out_shape : sequence of int
    cache_size : int

    Raises
    ------
    ValueError
        If they differ in their numbers of elements.
    """

    bijective = True

    def __init__(
        self, in_shape: Sequence[int], out_shape: Sequence[int], cache_size: int = 0
    ) -> None:
        self.in_shape, self.out_shape = Size(in_shape), Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError(
                "in_shape, out_shape have different numbers of elements: "
                f"{tuple(self.in_shape)} and {tuple(self.out_shape)}"
            )
        super().__init__(cache_size=cache_size)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.independent(constraints.real, len(self.in_shape))

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[: x.ndim - len(self.in_shape)] + self.out_shape)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.reshape(y.shape[: y.ndim - len(self.out_shape)] + self.in_shape)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x.new_zeros(x.shape[: x.ndim - len(self.in_shape)])

    def forward_shape(self, shape: Any) -> Any:
        return _replaced(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return _replaced(shape, self.out_shape, self.in_shape)


def _replaced(shape: Any, old: Size, new: Size) -> Size:
    cut = len(check_dimensions(shape, len(old))) - len(old)
    if Size(shape[cut:]) != old:
        raise ValueError(f"Shape mismatch: expected {Size(shape[cut:])} but got {old}")
    return Size(shape[:cut]) + new


class SoftmaxTransform(Plain):
    """Vectors to probabilities, which stay the same when all numbers grow by the same."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Tensor) -> Tensor:
        return F.softmax(x, dim=-1)

    def _inverse(self, y: Tensor) -> Tensor:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        return check_dimensions(shape, 1)

    inverse_shape = forward_shape


class StickBreakingTransform(Plain):
    """Vectors to probabilities that are one more: each number breaks its share off what is left.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import StickBreakingTransform
    >>> StickBreakingTransform()(dt.zeros(3))
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    @staticmethod
    def _offset(x: Tensor) -> Tensor:
        """The logarithms of how many shares are still to come, so that 0 breaks off even ones."""
        n = x.shape[-1]
        return dt.arange(n, 0, -1, dtype=x.dtype, device=x.device).log()

    def _call(self, x: Tensor) -> Tensor:
        share = clipped_sigmoid(x - self._offset(x))
        left = (1 - share).cumprod(-1)
        return F.pad(share, [0, 1], value=1.0) * F.pad(left, [1, 0], value=1.0)

    def _inverse(self, y: Tensor) -> Tensor:
        share = y[..., :-1]
        left = (1 - share.cumsum(-1)).clamp(min=dt.finfo(y.dtype).tiny)
        return share.log() - left.log() + self._offset(share)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        x = x - self._offset(x)
        return (-x + F.logsigmoid(x) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        return Size((*check_dimensions(shape, 1)[:-1], shape[-1] + 1))

    def inverse_shape(self, shape: Any) -> Any:
        return Size((*check_dimensions(shape, 1)[:-1], shape[-1] - 1))


class LowerCholeskyTransform(Plain):
    """Square matrices to lower triangles with positive diagonals."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Tensor) -> Tensor:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Tensor) -> Tensor:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Plain):
    """Square matrices to positive definite ones."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Tensor) -> Tensor:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return LowerCholeskyTransform().inv(dt.linalg.cholesky(y))


class CorrCholeskyTransform(Transform):
    """Vectors of length ``D * (D - 1) / 2`` to the Cholesky factors of correlations, D × D.

    The numbers become partial correlations, by `tanh`, and each row of the factor a point of the
    sphere, by breaking its length into shares.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import CorrCholeskyTransform
    >>> CorrCholeskyTransform()(dt.zeros(1))
    tensor([[1., 0.],
            [0., 1.]])
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        eps = dt.finfo(x.dtype).eps
        r = vec_to_tril_matrix(x.tanh().clamp(min=eps - 1, max=1 - eps), diag=-1)
        left = (1 - r**2).sqrt().cumprod(-1)
        r = r + dt.eye(r.shape[-1], dtype=r.dtype, device=r.device)
        return r * F.pad(left[..., :-1], [1, 0], value=1.0)

    def _inverse(self, y: Tensor) -> Tensor:
        left = F.pad(1 - (y * y).cumsum(-1)[..., :-1], [1, 0], value=1.0)
        r = tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(left, diag=-1).sqrt()
        return (r.log1p() - (-r).log1p()) / 2

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor, intermediates: Any = None) -> Tensor:
        left = tril_matrix_to_vec(1 - (y * y).cumsum(-1), diag=-2)
        slope = (x + F.softplus(-2 * x) - math.log(2)).sum(-1)
        return 0.5 * left.log().sum(-1) - 2 * slope

    def forward_shape(self, shape: Any) -> Any:
        count = check_dimensions(shape, 1)[-1]
        size = round((0.25 + 2 * count) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != count:
            raise ValueError(
                f"Input is not a flattened lower-diagonal number: there is no D with "
                f"D * (D - 1) / 2 == {count}"
            )
        return Size((*shape[:-1], size, size))

    def inverse_shape(self, shape: Any) -> Any:
        size = check_dimensions(shape, 2)[-1]
        if shape[-2] != size:
            raise ValueError(f"Input is not square: {tuple(shape)}")
        return Size((*shape[:-2], size * (size - 1) // 2))


class _Several(Transform):
    """Transforms of the parts of a tensor along a dimension."""

    transforms: list[Any]
    dim: int

    def __init__(self, tseq: Sequence[Any], dim: int = 0, cache_size: int = 0) -> None:
        for t in tseq:
            if not isinstance(t, Transform):
                raise AssertionError(
                    f"All elements of tseq must be Transform instances, not {type(t).__name__}"
                )
        super().__init__(cache_size=cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.dim = dim

    def _split(self, x: Tensor) -> list[Tensor]:
        raise NotImplementedError

    def _join(self, parts: list[Any]) -> Tensor:
        raise NotImplementedError

    def _check(self, x: Tensor, expected: int) -> None:
        if not -x.ndim <= self.dim < x.ndim:
            raise AssertionError(f"dim {self.dim} out of range for tensor with {x.ndim} dimensions")
        if x.shape[self.dim] != expected:
            raise AssertionError(f"x.size({self.dim}) = {x.shape[self.dim]} must equal {expected}")

    def _call(self, x: Tensor) -> Tensor:
        return self._join([t(v) for t, v in zip(self.transforms, self._split(x), strict=True)])

    def _inverse(self, y: Tensor) -> Tensor:
        return self._join([t.inv(v) for t, v in zip(self.transforms, self._split(y), strict=True)])

    def _jacobians(self, x: Tensor, y: Tensor) -> list[Tensor]:
        parts = zip(self.transforms, self._split(x), self._split(y), strict=True)
        return [t.log_abs_det_jacobian(before, after) for t, before, after in parts]

    @property
    def bijective(self) -> Any:
        return all(t.bijective for t in self.transforms)


class CatTransform(_Several):
    """A transform to each part of a tensor, of given lengths.

    Parameters
    ----------
    tseq : sequence of Transform
    dim : int
    lengths : sequence of int, optional
        1 each by default.
    cache_size : int

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import CatTransform, ExpTransform, identity_transform
    >>> CatTransform([ExpTransform(), identity_transform], lengths=[1, 2])(dt.zeros(3))
    tensor([1., 0., 0.])
    """

    def __init__(
        self,
        tseq: Sequence[Any],
        dim: int = 0,
        lengths: Sequence[int] | None = None,
        cache_size: int = 0,
    ) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError(
                f"lengths ({len(self.lengths)}) must match transforms ({len(self.transforms)})"
            )

    @property
    def event_dim(self) -> int:
        return max(t.event_dim for t in self.transforms)

    @property
    def length(self) -> int:
        """That of all parts together."""
        return sum(self.lengths)

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    def _split(self, x: Tensor) -> list[Tensor]:
        self._check(x, self.length)
        return list(x.split(self.lengths, self.dim))

    def _join(self, parts: list[Any]) -> Tensor:
        return dt.cat(parts, dim=self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        terms = [
            _sum_rightmost(term, self.event_dim - t.event_dim)
            for t, term in zip(self.transforms, self._jacobians(x, y), strict=True)
        ]
        dim = (self.dim if self.dim < 0 else self.dim - x.ndim) + self.event_dim
        return dt.cat(terms, dim=dim) if dim < 0 else sum(terms[1:], terms[0])

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)


class StackTransform(_Several):
    """A transform to each slice of a tensor.

    Parameters
    ----------
    tseq : sequence of Transform
    dim : int
    cache_size : int

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import ExpTransform, StackTransform, identity_transform
    >>> StackTransform([ExpTransform(), identity_transform])(dt.zeros(2, 2))
    tensor([[1., 1.],
            [0., 0.]])
    """

    def with_cache(self, cache_size: int = 1) -> Any:
        if self._cache_size == cache_size:
            return self
        return StackTransform(self.transforms, self.dim, cache_size)

    def _split(self, x: Tensor) -> list[Tensor]:
        self._check(x, len(self.transforms))
        return list(x.unbind(self.dim))

    def _join(self, parts: list[Any]) -> Tensor:
        return dt.stack(parts, dim=self.dim)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return dt.stack(self._jacobians(x, y), dim=self.dim)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.stack([t.codomain for t in self.transforms], self.dim)
