"""Launches as calls of PyTorch's dispatcher: which of its operations each is, and of what.

A launch without a counterpart there, as the steps of some gradient rules are, is an operation of
the namespace ``torch.ops.devtensor``.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from math import prod
from typing import Any

from devtensor._ops import OpOverload, packet
from devtensor.aten import find
from devtensor.call import Call, Params, renamed
from devtensor.fast import as_given
from devtensor.layer_calls import LAYERS
from devtensor.op import Op
from devtensor.tensor import Constant, Tensor

__all__ = ["Call", "called"]


def called(op: Op, inputs: list[Any], params: Params) -> tuple[OpOverload, Call]:
    """The operation that a launch amounts to, and how it is called.

    Parameters
    ----------
    op : Op
    inputs : list of Tensor or None
        As the launch has them: the star's spread out, and numbers as tensors.
    params : dict
    """
    # The first is a tensor even where a rule has a number in its place.
    given = [number(x) if i and x.__class__ is Constant else x for i, x in enumerate(inputs)]
    call = CALLS[op.name](given, params) if op.name in CALLS else None
    if call is not None:
        return call.operation(), call
    if op.star is not None:
        given[op.star :] = [given[op.star :]]
    found: Any = find(op.shown) if op.public else None
    if unwrap(found) is unwrap(op.function):  # before which casts of mixed precision may stand
        args, kwargs = as_given(op, given, params, None)
        call = Call(f"{op.shown}.{form_of(op.shown, op, args, kwargs)}", args, kwargs)
        return call.operation(), call
    placed = dict(params)
    args = (*given, *[placed.pop(name) for name in op.positional])
    form: OpOverload = packet("devtensor", op.name).default
    return form, Call(op.name, args, placed)


def number(constant: Tensor) -> Any:
    """The number that stands among the operands of a launch."""
    return constant._device.backend.to_host(constant._array).item()


BESIDE_NUMBERS = (
    "bitwise_and", "bitwise_or", "bitwise_xor", "copysign", "eq", "fmod", "ge", "gt", "le", "lt",
    "ne", "remainder", "rsub",
)  # fmt: skip
FORMS = {
    **dict.fromkeys(("add", "sub", "mul", "div"), ("Tensor", "Tensor")),
    **dict.fromkeys(BESIDE_NUMBERS, ("Tensor", "Scalar")),
    **dict.fromkeys(("bitwise_left_shift", "bitwise_right_shift"), ("Tensor", "Tensor_Scalar")),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max"), ("Tensor", "default")),
    **dict.fromkeys(("all", "any", "mean", "squeeze"), ("default", "dim")),
    "pow": ("Tensor_Tensor", "Tensor_Scalar"),
    "xlogy": ("Tensor", "Scalar_Other"),
    "sum": ("default", "dim_IntList"),
    "prod": ("default", "dim_int"),
    "transpose": ("int", "int"),
    "unbind": ("int", "int"),
    "where": ("self", "self"),
}
"""The forms of operations that have several: of tensors alone, and with a number or parameters."""


def form_of(name: str, op: Op, args: tuple[Any, ...], kwargs: Params) -> str:
    """Which form of an operation takes such arguments."""
    if len(op.inputs) > 1:
        args = args[1:2]
        more = not (args and isinstance(args[0], Tensor))
    else:
        more = len(args) > 1 or bool(kwargs)
    return FORMS.get(name, ("default", "default"))[more]


# ---- launches that have other names or arguments there


def flat(tensor: Tensor) -> Tensor:
    """All rows of a tensor as those of one matrix."""
    return tensor if tensor.ndim == 2 else tensor.reshape(-1, tensor.shape[-1])


def product(left: Tensor, right: Tensor, bias: Tensor | None = None) -> Call | None:
    """A product of rows with a matrix, or of batches of matrices; None if it is another."""
    if right.ndim == 2 and left.ndim > 1:
        shape = (*left.shape[:-1], right.shape[1])
        factors = flat(left), right
        if bias is None:
            return Call("mm.default", factors, {}, shape)
        return Call("addmm.default", (bias, *factors), {}, shape)
    if left.ndim == right.ndim > 2 and left.shape[:-2] == right.shape[:-2]:
        count, shape = prod(left.shape[:-2]), (*left.shape[:-1], right.shape[-1])
        batches = [x.reshape(count, *x.shape[-2:]) for x in (left, right)]
        return Call("bmm.default", tuple(batches), {}, shape)
    return None


def linear(inputs: Any, params: Params) -> Call | None:
    """``input @ weight.T + bias``."""
    given, weight, bias = inputs
    return product(given, weight.t(), bias) if weight.ndim == 2 else None


def outer_sum(inputs: Any, params: Params) -> Call:
    """The gradient of a factor."""
    left, right = map(flat, inputs)
    return Call("mm.default", (left.t(), right), {})


def convolution(inputs: Any, params: Params) -> Call | None:
    """A convolution, which is not a transposed one; None if it leaves windows out."""
    given, kernel = inputs[0].shape[2:], inputs[1].shape[2:]
    rest = [list(params[name]) for name in ("stride", "padding", "dilation")]
    whole = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(given, kernel, *rest, strict=True)
    ]
    if whole != list(params["size"]):
        return None
    none = [0] * len(whole)
    return Call("convolution.default", (*inputs, *rest, False, none, params["groups"]), {})


def along(name: str) -> Callable[[Any, Params], Call]:
    """A call with the dimension before the index."""
    return lambda inputs, params: Call(name, (inputs[0], params["dim"], inputs[1]), {})


def of_two(name: str) -> Callable[[Any, Params], Call]:
    """A sum, a difference or a quotient of tensors and numbers."""
    return lambda inputs, params: Call(f"{name}.Tensor", tuple(inputs), {})


def softmax(name: str) -> Callable[[Any, Params], Call | None]:
    """A softmax, unless it is to be of another type."""
    return lambda inputs, params: (
        None
        if params["dtype"] is not None
        else Call(f"{name}.default", (*inputs, params["dim"], False), {})
    )


def masked_fill(inputs: Any, params: Params) -> Call:
    """Values at a mask, of a number or of a tensor."""
    form = "Tensor" if isinstance(inputs[2], Tensor) else "Scalar"
    return Call(f"masked_fill.{form}", tuple(inputs), {})


def part(inputs: Any, params: Params) -> Call | None:
    """A part of one dimension, or a new one; None for a key of several entries."""
    x, key = inputs[0], params["key"]
    entries = [place for place, one in enumerate(key) if one not in (Ellipsis, slice(None))]
    if len(entries) != 1:
        return None
    (place,) = entries
    one, behind = key[place], len(key) - place
    dim = x.ndim + (one is None) - behind if Ellipsis in key[:place] else place
    if one is None:
        return Call("unsqueeze.default", (x, dim), {})
    if isinstance(one, slice):
        first, last, step = one.indices(x.shape[dim])
        return Call("slice.Tensor", (x, dim, first, last, step), {})
    return Call("select.int", (x, dim, one), {}) if isinstance(one, int) else None


def at_indices(inputs: Any, params: Params) -> Call:
    """Elements at indices, with None for the dimensions that are taken whole."""
    x, *indices = inputs
    key: list[Any] = [None] * (max(params["places"]) + 1)
    for place, one in zip(params["places"], indices, strict=True):
        key[place] = one
    return Call("index.Tensor", (x, key), {})


def filled(inputs: Any, params: Params) -> Call:
    """A tensor of one number."""
    size, value, named = params["size"], params["value"], {"dtype": params["dtype"]}
    if repr(value) in ("0", "0.0", "1", "1.0"):  # and not -0.0, which is a number of its own
        return Call(f"{('zeros', 'ones')[int(value)]}.default", (size,), named)
    return Call("full.default", (size, value), named)


CALLS: dict[str, Callable[[Any, Params], Call | None]] = {
    **LAYERS,
    "matmul": lambda inputs, params: product(*inputs),
    "linear": linear,
    "outer_sum": outer_sum,
    "convolution": convolution,
    "plus": of_two("add"),
    "minus": of_two("sub"),
    "true_divide": of_two("div"),
    "choose": renamed("where.self"),
    "cast": renamed("_to_copy.default", dtype="dtype"),
    "duplicate": renamed("clone.default"),
    "contiguous_copy": renamed("clone.default"),
    "view_shape": renamed("view.default", "size"),
    "filled": filled,
    "unset": renamed("empty.memory_format", "size", dtype="dtype"),
    "max_all": renamed("max.default"),
    "min_all": renamed("min.default"),
    "max_dim": renamed("max.dim", "dim", "keepdim"),
    "min_dim": renamed("min.dim", "dim", "keepdim"),
    "embedding_at": renamed("embedding.default", "padding", scale_grad_by_freq="by_frequency"),
    "gather_at": along("gather.default"),
    "index_select_at": along("index_select.default"),
    "softmax": softmax("_softmax"),
    "log_softmax": softmax("_log_softmax"),
    "softmax_slope": renamed("_softmax_backward_data.default", "dim"),
    "log_softmax_slope": renamed("_log_softmax_backward_data.default", "dim"),
    "slice_view": part,
    "item_select": lambda inputs, params: Call("select.int", (*inputs, 0, params["index"]), {}),
    "numpy_T": lambda inputs, params: Call(
        "permute.default", (*inputs, [*range(inputs[0].ndim)][::-1]), {}
    ),
    "take_at": renamed("take.default"),
    "index": at_indices,
    "masked_fill": masked_fill,
}
"""Ours by name, to what they are there."""
