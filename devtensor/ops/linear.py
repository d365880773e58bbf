"""Affine maps: the layers `Linear` and `Bilinear` as functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devtensor.op import composite, derivative, op
from devtensor.ops.linalg import (
    contract,
    joint_product,
    product_text,
    require_addend,
    require_same_dtype,
    rows_of,
    sum_to,
)

if TYPE_CHECKING:
    from devtensor.tensor import Tensor


@op(
    rounds="product",
    exact_out=True,
    home="nn",
    promotes=None,
    accepts=("float", "complex", "int"),
    node="AddmmBackward0",
    examples=[
        ((2, 3), (4, 3), (4,)),
        ((2, 3), (4, 3)),
        ((5, 2, 3), (4, 3), (4,)),
        ((3,), (4, 3), (4,)),
        ((2, 3), (3,)),
        ((2, 3), (4, 3), ()),
        ((0, 3), (4, 3), (4,)),
        ((1, 3), (4, 3), (4,)),
    ],
)
def linear(xp, input, weight, bias=None, /):
    """Multiply the last dimension by a matrix and add a bias: ``input @ weight.T + bias``.

    Parameters
    ----------
    input : Tensor
        Shape ``(..., in_features)``.
    weight : Tensor
        Shape ``(out_features, in_features)``, or ``(in_features,)``.
    bias : Tensor, optional
        Shape ``(out_features,)`` or any that broadcasts to the result.

    Returns
    -------
    Tensor
        Shape ``(..., out_features)``, or ``(...)`` for a 1-d weight.

    Raises
    ------
    RuntimeError
        If shapes do not fit or the dtypes differ.
    """
    result_shape = require_linear(input, weight, bias)
    flat = input if input.ndim == 2 else xp.reshape(input, (rows_of(input), input.shape[-1]))
    result = xp.reshape(xp.matmul(flat, weight.T if weight.ndim == 2 else weight), result_shape)
    return result if bias is None else result + bias


def require_linear(input: Any, weight: Any, bias: Any) -> tuple[int, ...]:
    """The shape of the result; RuntimeError unless `linear` is defined for the arrays."""
    if input.ndim == 0 or weight.ndim == 0:
        raise RuntimeError(
            "both arguments to linear need to be at least 1D, "
            f"but they are {input.ndim}D and {weight.ndim}D"
        )
    if weight.ndim > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 dimensions, but self is {weight.ndim}D: linear needs "
            "a "
            f"weight of shape (out_features, in_features), got {list(weight.shape)}"
        )
    require_same_dtype("expected m1 and m2 to have the same dtype", input, weight)
    if input.shape[-1] != weight.shape[-1]:
        raise RuntimeError(
            product_text((rows_of(input), input.shape[-1]), tuple(weight.shape)[::-1])
        )
    shape = (*input.shape[:-1], *weight.shape[:-1])
    if bias is not None:
        if weight.ndim == 1 and input.ndim > 1:
            raise RuntimeError("mat2 must be a matrix, got 1-D tensor: a bias needs a 2-d weight")
        require_same_dtype("self and mat2 must have the same dtype", bias, weight)
        require_addend(bias, shape)
    return shape


def linear_input(xp, g, weight):
    if weight.ndim == 2:
        return joint_product(xp, g, weight)
    return xp.expand_dims(g, axis=-1) * weight


def linear_weight(xp, g, input, weight_shape):
    if len(weight_shape) == 2:
        return xp.outer_sum(g, input)
    flat = xp.reshape(input, (rows_of(input), input.shape[-1]))
    return xp.matmul(flat.T, xp.reshape(g, (flat.shape[0],)))


def linear_bias(xp, g, bias_shape):
    if len(bias_shape) == 1 and g.ndim > 1 and bias_shape[0] == g.shape[-1]:
        return xp.row_sum(g)
    return sum_to(xp, g, bias_shape)


derivative(linear, input=linear_input, weight=linear_weight, bias=linear_bias)


@op(rounds="once", public=False, promotes=None, examples=[((2, 3),), ((4, 2, 3),)])
def row_sum(xp, input, /):
    """Sum over all dimensions but the last: a bias's gradient."""
    return xp.sum(input, axis=tuple(range(input.ndim - 1)))


derivative(row_sum, input=lambda xp, g, input_shape: xp.broadcast_to(g, input_shape))


@composite(
    home="nn",
    method=False,
    examples=[
        ((5, 3), (5, 4), (6, 3, 4), (6,)),
        ((3,), (4,), (6, 3, 4)),
        ((2, 5, 3), (2, 5, 4), (6, 3, 4)),
    ],
)
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Combine two inputs by one matrix to each output: ``input1 @ weight[k] @ input2 + bias[k]``.

    Parameters
    ----------
    input1 : Tensor
        Shape ``(..., in1)``.
    input2 : Tensor
        Shape ``(..., in2)``.
    weight : Tensor
        Shape ``(out, in1, in2)``.
    bias : Tensor, optional
        Shape ``(out,)``.

    Returns
    -------
    Tensor
        Shape ``(..., out)``.

    Raises
    ------
    RuntimeError
        If the shapes do not fit.
    """
    if input1.ndim != input2.ndim:
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {input1.ndim} and {input2.ndim}"
        )
    if weight.ndim != 3 or (bias is not None and bias.ndim != 1) or not input1.ndim:
        raise RuntimeError(
            "bilinear(): the inputs need a dimension, weight 3 and bias 1: got shapes "
            f"{list(input1.shape)}, {list(input2.shape)}, {list(weight.shape)} and "
            f"{None if bias is None else list(bias.shape)}"
        )
    types = {x.dtype for x in (input1, input2, weight, bias) if x is not None}
    if len(types) > 1:
        raise RuntimeError(
            f"All tensors must have the same dtype, but bilinear() got {sorted(map(repr, types))}"
        )
    for i in range(input1.ndim - 1):
        if input1.shape[i] != input2.shape[i]:
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {i}: "
                f"got {input1.shape[i]} and {input2.shape[i]}"
            )
    for name, x, i in (("input1", input1, 1), ("input2", input2, 2)):
        if x.shape[-1] != weight.shape[i]:
            raise RuntimeError(
                f"bilinear(): {name} size does not match weight size: "
                f"got {x.shape[-1]} but expected {weight.shape[i]}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            "bilinear(): bias size does not match weight size: "
            f"got {bias.shape[0]} but expected {weight.shape[0]}"
        )
    batch = tuple(range(input1.ndim - 1))
    first, second, result = -1, -2, -3
    half = contract(
        input1, weight, labels=((*batch, first), (result, first, second), (*batch, result, second))
    )
    whole = contract(
        half, input2, labels=((*batch, result, second), (*batch, second), (*batch, result))
    )
    return whole if bias is None else whole + bias
