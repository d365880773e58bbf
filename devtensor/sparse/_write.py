"""What writes into sparse tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import devtensor as dt
from devtensor.sparse._make import empty, sizes
from devtensor.sparse._tensor import SparseTensor


def writes(name: str, kept: Callable[..., Any]) -> Callable[..., Any]:
    """The in-place form of a rule."""

    @wraps(kept)
    def call(input: Any, *args: Any, **kwargs: Any) -> Any:
        return written(input, kept(input, *args, **kwargs), name)

    return call


def written(input: Any, result: Any, name: str) -> Any:
    """What stands in a tensor once a result has been written into it.

    Raises
    ------
    RuntimeError
        If it is a leaf that requires gradients, or the result has another size, or a type that
        cannot be cast to its own.
    """
    if not isinstance(input, SparseTensor):
        return input.copy_(result.to_dense())
    if not isinstance(result, SparseTensor):
        raise RuntimeError(
            f"{name}(): add(sparse, dense) is not supported. Use add(dense, sparse) instead: what "
            "comes of it is dense"
        )
    if dt.is_grad_enabled() and input.requires_grad and input.is_leaf:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation: "
            f"{name}(); write under torch.no_grad()"
        )
    if not dt.can_cast(result.dtype, input.dtype):
        raise RuntimeError(
            f"result type {result.dtype.legacy} can't be cast to the desired output type "
            f"{input.dtype.legacy}: {name}(); convert with .to() first"
        )
    result = result.to(input.dtype)
    if result._parts[0] is input._parts[0] and not (input.requires_grad or result.requires_grad):
        input._parts[1].copy_(result._parts[1])  # others may look at the same values
        return input
    return input._become(result)


def zero_(input: SparseTensor) -> SparseTensor:
    return sparse_resize_and_clear_(input, input.shape, input.sparse_dim(), input.dense_dim())


def copy_(input: Any, src: Any, non_blocking: bool = False) -> Any:
    if not (isinstance(input, SparseTensor) and isinstance(src, SparseTensor)):
        kinds = [one.type() for one in (input, src)]
        raise RuntimeError(
            "copy_() between dense and sparse Tensors is not implemented! Found self type = "
            f"{kinds[0]} and src type = {kinds[1]}; call .to_dense() or .to_sparse() first"
        )
    if tuple(input.shape) != tuple(src.shape):
        raise RuntimeError(f"copy_(): sizes differ: {sizes([input, src])}")
    indices, values = src._parts
    copied = values.to(input.device, input.dtype, copy=True)
    made = SparseTensor(indices.to(input.device), copied, src.shape, src._coalesced)
    return written(input, made, "copy_")


def sparse_resize_(input: SparseTensor, size: Any, sparse_dim: int, dense_dim: int) -> SparseTensor:
    indices, values = input._parts
    if len(input._parts[1]) and (
        sparse_dim != input.sparse_dim()
        or dense_dim != input.dense_dim()
        or tuple(size[sparse_dim:]) != tuple(values.shape[1:])
        or any(n < m for n, m in zip(size, input.shape, strict=True))
    ):
        raise RuntimeError(
            f"sparse_resize_: a tensor of size {list(input.shape)} that has entries can get "
            f"larger along its {input.sparse_dim()} sparse dimensions, but not {list(size)} with "
            f"{sparse_dim} sparse and {dense_dim} dense dimensions; clear it by "
            "sparse_resize_and_clear_"
        )
    if not len(input._parts[1]):
        return sparse_resize_and_clear_(input, size, sparse_dim, dense_dim)
    return input._become(SparseTensor(indices, values, size, input._coalesced))


def sparse_resize_and_clear_(
    input: SparseTensor, size: Any, sparse_dim: int, dense_dim: int
) -> SparseTensor:
    if len(size) != sparse_dim + dense_dim:
        raise RuntimeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, "
            f"sparse_dim = {sparse_dim}, dense_dim = {dense_dim}"
        )
    made = empty(size, input.dtype, input.device, dense=dense_dim)
    return written(input, made, "sparse_resize_and_clear_")


def resize_as_sparse_(input: SparseTensor, the_template: SparseTensor) -> SparseTensor:
    wanted = the_template.shape, the_template.sparse_dim(), the_template.dense_dim()
    return sparse_resize_(input, *wanted)
