"""What distributions share: broadcasting, logits, lazy properties, triangles as vectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.tensor import Tensor

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant = 0.57721566490153286060


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Numbers and tensors as tensors of one shape.

    Numbers take the dtype and the device of the first tensor; if there is none, the default dtype.

    Raises
    ------
    ValueError
        If a value is neither a number nor a tensor.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions.utils import broadcast_all
    >>> broadcast_all(1.0, dt.zeros(2))
    (tensor([1., 1.]), tensor([0., 0.]))
    """
    for value in values:
        if not isinstance(value, (Tensor, Number)):
            raise ValueError(
                "Input arguments must all be instances of Number, torch.Tensor or objects "
                f"implementing __torch_function__, but one is a {type(value).__name__}: {value!r}"
            )
    first = next((value for value in values if isinstance(value, Tensor)), None)
    place: dict[str, Any] = {"dtype": dt.get_default_dtype()}
    if first is not None:
        place = {"dtype": first.dtype, "device": first.device}
    tensors = [v if isinstance(v, Tensor) else dt.tensor(v, **place) for v in values]
    if all(v.shape == tensors[0].shape for v in tensors):
        return tuple(tensors)
    return tuple(dt.broadcast_tensors(*tensors))


def _standard_normal(shape: Sequence[int], dtype: Any, device: Any) -> Tensor:
    """Normal numbers of a shape; programs that define distributions import it."""
    return dt.randn(tuple(shape), dtype=dtype, device=device)


def standard_normal(like: Tensor, shape: Sequence[int]) -> Tensor:
    """Normal numbers of a shape, in the dtype and on the device of `like`."""
    return _standard_normal(shape, like.dtype, like.device)


def uniform(like: Tensor, shape: Sequence[int]) -> Tensor:
    """Numbers between 0 and 1 of a shape, in the dtype and on the device of `like`."""
    return dt.rand(shape, dtype=like.dtype, device=like.device)


def _sum_rightmost(value: Any, dim: int) -> Any:
    """The sum over the last `dim` dimensions."""
    return value if dim == 0 else value.sum(tuple(range(-dim, 0)))


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Tensor:
    """Probabilities: of one event each, or of one of several along the last dimension."""
    return dt.sigmoid(logits) if is_binary else F.softmax(logits, dim=-1)


def clamp_probs(probs: Tensor) -> Tensor:
    """Probabilities that are neither 0 nor 1 for the dtype."""
    eps = dt.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Tensor:
    """Logarithms of the odds if `is_binary`, else of the probabilities; always finite."""
    clamped = clamp_probs(probs)
    if is_binary:
        return dt.log(clamped) - dt.log1p(-clamped)
    return dt.log(clamped)


class lazy_property:
    """An attribute that is computed, with gradients, when it is first asked for."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        self.__doc__ = wrapped.__doc__

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        with dt.enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


def _below(n: int, diag: int, device: Any) -> Tensor:
    """Where an n × n matrix lies on or below a diagonal."""
    place = dt.arange(n, device=device)
    return place < place.view(-1, 1) + (diag + 1)


def tril_matrix_to_vec(mat: Tensor, diag: int = 0) -> Tensor:
    """The elements on and below a diagonal of matrices, row by row.

    Parameters
    ----------
    mat : Tensor
        Of shape (..., D, D).
    diag : int
        Which diagonal; negative ones lie below the main one.

    Raises
    ------
    ValueError
        If the matrices have no such diagonal.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions.utils import tril_matrix_to_vec
    >>> tril_matrix_to_vec(dt.tensor([[1, 2], [3, 4]]))
    tensor([1, 3, 4])
    """
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    return mat[..., _below(n, diag, mat.device)]


def vec_to_tril_matrix(vec: Tensor, diag: int = 0) -> Tensor:
    """Matrices whose elements on and below a diagonal are given row by row, and else 0.

    Parameters
    ----------
    vec : Tensor
        Of shape (..., N), N the number of elements of such a triangle.
    diag : int
        Which diagonal; negative ones lie below the main one.

    Returns
    -------
    Tensor
        Of shape (..., D, D).

    Raises
    ------
    ValueError
        If no triangle has that many elements.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions.utils import vec_to_tril_matrix
    >>> vec_to_tril_matrix(dt.tensor([1.0, 3.0, 4.0]))
    tensor([[1., 0.],
            [3., 4.]])
    """
    lead = 1 + 2 * diag
    root = (lead**2 + 8 * vec.shape[-1] + 4 * abs(diag) * (diag + 1)) ** 0.5
    exact = (root - lead) / 2
    n = round(exact)
    if n - exact > dt.finfo(vec.dtype).eps:
        raise ValueError(
            f"The size of last dimension is {vec.shape[-1]} which cannot be expressed as the lower "
            "triangular part of a square D x D matrix."
        )
    matrix = vec.new_zeros((*vec.shape[:-1], n, n))
    matrix[..., _below(n, diag, vec.device)] = vec
    return matrix
