"""The operations of PyTorch that a launch amounts to, for those whose arithmetic is counted.

Each function gets what a launch got and gave, and yields operations: a name in ``torch.ops.aten``,
the arguments there, and the result. Of a tensor that is not there, as the transposed of one that
is, an `Operand` has the shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import zip_longest
from math import prod
from typing import Any

from devtensor.size import Size

__all__ = ["LAUNCHES", "Operand"]

Operation = tuple[str, tuple[Any, ...], Any]
Shape = tuple[int, ...]


class Operand:
    """A tensor of which the shape alone is known."""

    def __init__(self, *shape: int) -> None:
        self.shape = Size(shape)


def product(left: Shape, right: Shape, out: Any = None, bias: Any = None) -> Iterator[Operation]:
    """A product of matrices or vectors, batches broadcasting, with an addend perhaps."""
    if len(right) == 1:
        size = right[0]
        if len(left) == 1:
            yield "dot", (Operand(size), Operand(size)), out
        else:
            yield "mv", (Operand(prod(left[:-1]), size), Operand(size)), out
        return
    if len(left) == 1:
        left = (1, *left)
    (rows, inner), columns = left[-2:], right[-1]
    if len(right) == 2 or len(left) == 2:
        rows, columns = prod(left[:-1]), prod(right[:-2]) * columns
        factors = Operand(rows, inner), Operand(inner, columns)
        yield ("mm", factors, out) if bias is None else ("addmm", (bias, *factors), out)
        return
    batches = zip_longest(reversed(left[:-2]), reversed(right[:-2]), fillvalue=1)
    batch = prod([n if m == 1 else m for n, m in batches])
    yield "bmm", (Operand(batch, rows, inner), Operand(batch, inner, columns)), out


def matmul(step: Any, inputs: Any, params: Any, out: Any) -> Iterator[Operation]:
    """``input @ other``."""
    return product(inputs[0].shape, inputs[1].shape, out)


def linear(step: Any, inputs: Any, params: Any, out: Any) -> Iterator[Operation]:
    """``input @ weight.T + bias``."""
    given, weight, bias = inputs
    return product(given.shape, weight.shape[::-1], out, bias)


def outer_sum(step: Any, inputs: Any, params: Any, out: Any) -> Iterator[Operation]:
    """The gradient of a factor: products of vectors, summed."""
    (*rows, m), (*_, n) = inputs[0].shape, inputs[1].shape
    return product((m, prod(rows)), (prod(rows), n), out)


def contract(step: Any, inputs: Any, params: Any, out: Any) -> Iterator[Operation]:
    """A product of which some dimensions are summed; if none is, there is nothing to count."""
    ours, theirs, wanted = params["labels"]
    size = dict(zip((*ours, *theirs), (*inputs[0].shape, *inputs[1].shape), strict=True))
    both = [label for label in ours if label in theirs]
    inner = [size[label] for label in both if label not in wanted]
    if inner:
        batch = prod([size[label] for label in both if label in wanted])
        rows = prod([size[label] for label in ours if label not in theirs])
        columns = prod([size[label] for label in theirs if label not in ours])
        k = prod(inner)
        yield "bmm", (Operand(batch, rows, k), Operand(batch, k, columns)), out


def attention(step: Any, inputs: Any, params: Any, outs: Any) -> Iterator[Operation]:
    """Queries with keys, and weights with values."""
    query, key, value, *_ = inputs
    turned = (*key.shape[:-2], *key.shape[:-3:-1])
    yield from product(query.shape, turned)
    yield from product(outs[1].shape, value.shape)


def attention_slopes(step: Any, inputs: Any, params: Any, outs: Any) -> Iterator[Operation]:
    """Those of the weights, once for queries and keys together, and a product for each gradient."""
    slope, query, key, value, weights = [x.shape for x in inputs]
    turned = [(*shape[:-2], *shape[:-3:-1]) for shape in (value, weights)]
    wanted = params["wanted"]
    if wanted[0] or wanted[1]:
        yield from product(slope, turned[0])
    if wanted[0]:
        yield from product(weights, key)
    if wanted[1]:
        yield from product(turned[1], query)
    if wanted[2]:
        yield from product(turned[1], slope)


def recurrent(step: Any, inputs: Any, params: Any, outs: Any) -> Iterator[Operation]:
    """The state of each step times its weight."""
    gates, first = inputs[:2]
    weight = next(x for x in inputs[2:] if x.shape[0] == gates.shape[-1])
    return product((prod(gates.shape[:-1]), first.shape[-1]), weight.shape[::-1])


def convolution(step: Any, inputs: Any, params: Any, out: Any) -> Iterator[Operation]:
    """A convolution, or the gradient of a transposed one's input."""
    return convolved(step, inputs, params, out, False)


def convolution_spread(step: Any, inputs: Any, params: Any, out: Any) -> Iterator[Operation]:
    """A transposed convolution, or the gradient of one's input that is not."""
    return convolved(step, inputs, params, out, True)


def convolved(
    step: Any, inputs: Any, params: Any, out: Any, transposed: bool
) -> Iterator[Operation]:
    """Either, unless it is the way back of the other."""
    other = "convolution" if transposed else "convolution_spread"
    if operation(step) == other:
        given = inputs[0], out, inputs[1]
        yield backward(*given, params, not transposed, (True, False, False), (out, None, None))
        return
    rest = (params["stride"], params["padding"], params["dilation"], transposed)
    none = (0,) * len(params["stride"])
    yield "convolution", (*inputs, *rest, none, params["groups"]), out


def convolution_weight(step: Any, inputs: Any, params: Any, out: Any) -> Iterator[Operation]:
    """The gradient of the weight of either."""
    transposed = operation(step) == "convolution_spread"
    x, g = reversed(inputs) if transposed else inputs
    yield backward(g, x, out, params, transposed, (False, True, False), (None, out, None))


def operation(step: Any) -> str:
    """The name of the operation that a step of the way back is of."""
    plan = getattr(step, "plan", None)
    return "" if plan is None else plan.op.name


def backward(
    g: Any, x: Any, weight: Any, params: Any, transposed: bool, mask: Any, outs: Any
) -> Operation:
    """PyTorch's operation for the gradients of a convolution."""
    rest = (params["stride"], params["padding"], params["dilation"], transposed)
    none = (0,) * len(params["stride"])
    args = (g, x, weight, None, *rest, none, params["groups"], mask)
    return "convolution_backward", args, outs


LAUNCHES: dict[str, Callable[[Any, Any, Any, Any], Iterator[Operation]]] = {
    **{f.__name__: f for f in (
        matmul, linear, outer_sum, contract, attention, attention_slopes, convolution,
        convolution_spread, convolution_weight,
    )},
    "lstm_layer": recurrent,
    "gru_layer": recurrent,
}  # fmt: skip
"""The function for each of our operations that has not PyTorch's name and arguments."""
