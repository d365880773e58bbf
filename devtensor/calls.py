"""Launches as calls of PyTorch's dispatcher: which of its operations each is, and of what.

A launch without a counterpart there, as the steps of some gradient rules are, is an operation of
the namespace ``torch.ops.devtensor``.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from math import prod
from typing import Any, NamedTuple

from devtensor._ops import OpOverload, packet
from devtensor.aten import REDUCTIONS, find
from devtensor.fast import as_given
from devtensor.op import Op
from devtensor.tensor import Constant, Tensor

__all__ = ["Call", "called"]


class Call(NamedTuple):
    """What a launch is there.

    Attributes
    ----------
    name : str
        In ``torch.ops.aten``, with its form.
    args : tuple
    kwargs : dict
    shape : tuple of int, optional
        That of the launch's result, where the call gives the same elements in another.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shape: tuple[int, ...] | None = None

    def operation(self) -> OpOverload:
        """The operation of that name."""
        name, _, form = self.name.partition(".")
        found: OpOverload = getattr(packet("aten", name), form)
        return found


Params = dict[str, Any]


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
    if unwrap(found) is unwrap(
        op.function
    ):  # which may have the casts of mixed precision before it
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


def renamed(name: str, *fields: str, **named: str) -> Callable[[Any, Params], Call]:
    """The call of an operation with all inputs and some parameters, by place and by name."""

    def call(inputs: Any, params: Params) -> Call:
        args = (*inputs, *[params[field] for field in fields])
        return Call(name, args, {key: params[field] for key, field in named.items()})

    return call


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


def squared_error(inputs: Any, params: Params) -> Call:
    """The mean squared error, whose reduction is a number there."""
    return Call("mse_loss.default", (*inputs, REDUCTIONS.index(params["reduction"])), {})


CALLS: dict[str, Callable[[Any, Params], Call | None]] = {
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
    "filled": renamed("full.default", "size", "value", dtype="dtype"),
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
    "squared_error": squared_error,
}
"""Ours by name, to what they are there."""
