"""Recurrent layers: all steps of a layer in one direction, as one operation.

The steps depend on each other, what they multiply with does not: the way back computes all slopes
of the gates at once and then goes through the steps with a few products each.
"""

from __future__ import annotations

from typing import Any

from devtensor.op import derivative, op
from devtensor.ops.elementwise import half, narrowed, widened


def require_steps(gates: Any, hidden: Any, weight: Any, count: int) -> int:
    """The size of the state; RuntimeError unless the shapes are those of a layer."""
    size = hidden.shape[-1]
    steps = tuple(gates.shape)
    if len(steps) != 3 or hidden.ndim != 2 or steps[1:] != (hidden.shape[0], count * size):
        raise RuntimeError(
            f"gates of shape (steps, batch, {count} * hidden) and a state of shape (batch, hidden) "
            f"are wanted, got {list(steps)} and {list(hidden.shape)}"
        )
    if tuple(weight.shape) != (count * size, size):
        raise RuntimeError(
            f"the weight of the state should have the shape {[count * size, size]}, got "
            f"{list(weight.shape)}"
        )
    return int(size)


def part(x: Any, number: int, size: int) -> Any:
    """One of the blocks of `size` that lie beside each other in the last dimension."""
    return x[..., number * size : (number + 1) * size]


def earlier(xp: Any, first: Any, states: Any) -> Any:
    """The state before each step, from the first and those after each."""
    return xp.concat([xp.expand_dims(first, axis=0), states[:-1, ...]], axis=0)


def added(*terms: Any) -> Any:
    """The sum of those that are not None, or None."""
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else total + term
    return total


def at(x: Any, step: int) -> Any:
    """One step of a gradient that may be absent."""
    return None if x is None else x[step, ...]


def lifted(xp: Any, x: Any) -> Any:
    """A single step as a sequence of one; None stays."""
    return None if x is None else xp.expand_dims(x, axis=0)


def first_of(xs: Any) -> Any:
    """What a sequence of one is made of."""
    return tuple([x[0, ...] for x in xs])


# ---- long short-term memory


@op(
    public=False,
    promotes=None,
    accepts=("float",),
    outputs=("hidden", "memory", "active"),
    examples=[
        ((3, 2, 8), (2, 2), (2, 2), (8, 2)),
        ((1, 2, 4), (2, 1), (2, 1), (4, 1)),
        ((2, 0, 8), (0, 2), (0, 2), (8, 2)),
        ((2, 8), (2, 2), (2, 2), (8, 2)),
    ],
)
def lstm_layer(xp, gates, first, start, weight, /):
    """All steps of a layer of long short-term memory.

    Parameters
    ----------
    gates : Tensor
        The input times its weight with all biases, shape (steps, batch, 4 * hidden), or without
        the first dimension for a single step: to enter, to forget, the candidate, to leave.
    first, start : Tensor
        The output and the memory before the first step, each of shape (batch, hidden).
    weight : Tensor
        Of the output of the step before, shape (4 * hidden, hidden).

    Returns
    -------
    tuple of Tensor
        The output and the memory after each step, and the gates as they acted.

    References
    ----------
    Hochreiter and Schmidhuber, Long short-term memory, 1997; with the gate to forget of Gers,
    Schmidhuber and Cummins, 2000, as in ``torch.nn.LSTM``.
    """
    if gates.ndim == 2:
        return first_of(lstm_layer.kernel(xp, lifted(xp, gates), first, start, weight))
    if half(gates):
        wide = widened(xp, gates, first, start, weight)
        return narrowed(xp, gates, lstm_layer.kernel(xp, *wide))
    size = require_steps(gates, first, weight, 4)
    hidden, memory, outputs = first, start, ([], [], [])
    turned = weight.T
    for step in range(gates.shape[0]):
        total = gates[step, ...] + xp.matmul(hidden, turned)
        ways = xp.sigmoid(total[:, : 2 * size])
        candidate, leave = xp.tanh(part(total, 2, size)), xp.sigmoid(part(total, 3, size))
        memory = ways[:, size:] * memory + ways[:, :size] * candidate
        hidden = leave * xp.tanh(memory)
        active = xp.concat([ways, candidate, leave], axis=-1)
        for all_steps, one in zip(outputs, (hidden, memory, active), strict=True):
            all_steps.append(one)
    return tuple([xp.stack(steps, axis=0) for steps in outputs])


def lstm_rule(xp, gs, first, start, weight, hidden, memory, active, needs):
    if hidden.ndim == 2:
        gs = [lifted(xp, g) for g in gs]
        results = (lifted(xp, x) for x in (hidden, memory, active))
        slopes, *others = lstm_rule(xp, gs, first, start, weight, *results, needs)
        return (slopes[0, ...], *others)
    if half(hidden):
        wide = widened(xp, first, start, weight, hidden, memory, active)
        return narrowed(xp, hidden, lstm_rule(xp, widened(xp, *gs), *wide, needs))
    g_hidden, g_memory, g_active = gs
    size = weight.shape[1]
    enter, forget, candidate, leave = [part(active, i, size) for i in range(4)]
    before = earlier(xp, start, memory)
    bent = xp.tanh(memory)
    through = leave * (1 - bent * bent)
    # What the memory's gradient does to the first three gates, and the output's to the last.
    factors = xp.concat(
        [
            candidate * enter * (1 - enter),
            before * forget * (1 - forget),
            enter * (1 - candidate * candidate),
            bent * leave * (1 - leave),
        ],
        axis=-1,
    )
    if g_active is not None:
        ways = active * (1 - active)
        g_active = g_active * xp.concat(
            [ways[..., : 2 * size], 1 - candidate * candidate, ways[..., 3 * size :]], axis=-1
        )
    to_hidden, to_memory, slopes = None, None, []
    for step in range(memory.shape[0] - 1, -1, -1):
        to_hidden = added(at(g_hidden, step), to_hidden)
        to_memory = added(at(g_memory, step), to_memory)
        if to_hidden is not None:
            to_memory = added(to_hidden * through[step, ...], to_memory)
        elif to_memory is None:
            to_memory = xp.zeros_like(start)
        out = xp.zeros_like(start) if to_hidden is None else to_hidden
        slope = xp.concat([to_memory, to_memory, to_memory, out], axis=-1) * factors[step, ...]
        slope = added(slope, at(g_active, step))
        slopes.append(slope)
        to_hidden = xp.matmul(slope, weight)
        to_memory = to_memory * forget[step, ...]
    slopes = xp.stack(slopes[::-1], axis=0)
    return (
        slopes,
        to_hidden,
        to_memory,
        xp.outer_sum(slopes, earlier(xp, first, hidden)) if needs[3] else None,
    )


derivative(lstm_layer, together=lstm_rule)


# ---- gated recurrent units


@op(
    public=False,
    promotes=None,
    accepts=("float",),
    outputs=("hidden", "active", "inner"),
    examples=[
        ((3, 2, 6), (2, 2), (6, 2), (6,)),
        ((1, 2, 3), (2, 1), (3, 1)),
        ((2, 0, 6), (0, 2), (6, 2), (6,)),
        ((2, 6), (2, 2), (6, 2), (6,)),
    ],
)
def gru_layer(xp, gates, first, weight, bias=None, /):
    """All steps of a layer of gated recurrent units.

    Parameters
    ----------
    gates : Tensor
        The input times its weight, with its bias, shape (steps, batch, 3 * hidden), or without
        the first dimension for a single step: to reset, to keep, the candidate.
    first : Tensor
        The state before the first step, shape (batch, hidden).
    weight, bias : Tensor
        Of the state before, shapes (3 * hidden, hidden) and (3 * hidden,).

    Returns
    -------
    tuple of Tensor
        The state after each step, the gates as they acted, and what is reset in the candidate.

    References
    ----------
    Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine
    translation, 2014, with the product before the reset as in ``torch.nn.GRU``.
    """
    if gates.ndim == 2:
        return first_of(gru_layer.kernel(xp, lifted(xp, gates), first, weight, bias))
    if half(gates):
        wide = widened(xp, gates, first, weight, bias)
        return narrowed(xp, gates, gru_layer.kernel(xp, *wide))
    size = require_steps(gates, first, weight, 3)
    hidden, outputs = first, ([], [], [])
    turned = weight.T
    for step in range(gates.shape[0]):
        mine, recurrent = gates[step, ...], xp.matmul(hidden, turned)
        if bias is not None:
            recurrent = recurrent + bias
        ways = xp.sigmoid(mine[:, : 2 * size] + recurrent[:, : 2 * size])
        inner = part(recurrent, 2, size)
        candidate = xp.tanh(part(mine, 2, size) + ways[:, :size] * inner)
        hidden = candidate + ways[:, size:] * (hidden - candidate)
        active = xp.concat([ways, candidate], axis=-1)
        for all_steps, one in zip(outputs, (hidden, active, inner), strict=True):
            all_steps.append(one)
    return tuple([xp.stack(steps, axis=0) for steps in outputs])


def gru_rule(xp, gs, first, weight, hidden, active, inner, needs):
    if hidden.ndim == 2:
        gs = [lifted(xp, g) for g in gs]
        results = (lifted(xp, x) for x in (hidden, active, inner))
        slopes, *others = gru_rule(xp, gs, first, weight, *results, needs)
        return (slopes[0, ...], *others)
    if half(hidden):
        wide = widened(xp, first, weight, hidden, active, inner)
        return narrowed(xp, hidden, gru_rule(xp, widened(xp, *gs), *wide, needs))
    g_hidden, g_active, g_inner = gs
    size = weight.shape[1]
    reset, keep, candidate = [part(active, i, size) for i in range(3)]
    before = earlier(xp, first, hidden)
    bent, ways = 1 - candidate * candidate, active[..., : 2 * size] * (1 - active[..., : 2 * size])
    to_candidate = (1 - keep) * bent
    to_keep = (before - candidate) * ways[..., size:]
    to_reset = inner * ways[..., :size]
    g_ways = None if g_active is None else g_active[..., : 2 * size] * ways
    g_new = None if g_active is None else part(g_active, 2, size) * bent
    carried, slopes, through = None, [], []
    for step in range(hidden.shape[0] - 1, -1, -1):
        carried = added(at(g_hidden, step), carried)
        if carried is None:
            carried = xp.zeros_like(first)
        new = added(carried * to_candidate[step, ...], at(g_new, step))
        pair = xp.concat([new * to_reset[step, ...], carried * to_keep[step, ...]], axis=-1)
        pair = added(pair, at(g_ways, step))
        kept = added(new * reset[step, ...], at(g_inner, step))
        slopes.append(xp.concat([pair, new], axis=-1))
        recurrent = xp.concat([pair, kept], axis=-1)
        through.append(recurrent)
        carried = carried * keep[step, ...] + xp.matmul(recurrent, weight)
    slopes, through = (xp.stack(steps[::-1], axis=0) for steps in (slopes, through))
    with_bias = len(needs) > 3 and needs[3]
    return (
        slopes,
        carried,
        xp.outer_sum(through, before) if needs[2] else None,
        xp.row_sum(through) if with_bias else None,
    )


derivative(gru_layer, together=gru_rule)
