"""Recurrent layers, each step written into its place."""

from __future__ import annotations

from typing import Any

import numpy as np

from devtensor.ops import recurrent as common
from devtensor.ops.recurrent import require_steps

from .activation import is_half, sigmoid_block
from .linalg import Array


def turned_for(weight: Array, steps: int) -> Array:
    """The weight transposed; for many steps its rows lie in order, which products take faster."""
    return np.ascontiguousarray(weight.T) if steps > MANY else weight.T


MANY = 4


def lstm_layer(
    xp: Any, gates: Array, first: Array, start: Array, weight: Array, /
) -> tuple[Array, Array, Array]:
    """`lstm_layer`: all four gates at once, then what is different in the candidate."""
    if gates.ndim == 2:
        return common.first_of(lstm_layer(xp, gates[None], first, start, weight))
    size = require_steps(gates, first, weight, 4)
    if is_half(gates.dtype):
        return common.lstm_layer.kernel(xp, gates, first, start, weight)
    active = np.empty(gates.shape, gates.dtype)
    hidden, memory = np.empty((2, *gates.shape[:2], size), gates.dtype)
    before, last, turned = first, start, turned_for(weight, len(gates))
    part = np.empty_like(first, order="C")
    for step in range(gates.shape[0]):
        total = np.matmul(before, turned)
        np.add(total, gates[step], out=total)
        now = active[step]
        sigmoid_block(now, total)
        candidate = now[:, 2 * size : 3 * size]
        np.tanh(total[:, 2 * size : 3 * size], out=candidate)
        np.multiply(now[:, :size], candidate, out=part)
        last = np.multiply(now[:, size : 2 * size], last, out=memory[step])
        np.add(last, part, out=last)
        np.tanh(last, out=part)
        before = np.multiply(now[:, 3 * size :], part, out=hidden[step])
    return hidden, memory, active


def gru_layer(
    xp: Any, gates: Array, first: Array, weight: Array, bias: Array | None = None, /
) -> tuple[Array, Array, Array]:
    """`gru_layer`."""
    if gates.ndim == 2:
        return common.first_of(gru_layer(xp, gates[None], first, weight, bias))
    size = require_steps(gates, first, weight, 3)
    if is_half(gates.dtype):
        return common.gru_layer.kernel(xp, gates, first, weight, bias)
    active = np.empty(gates.shape, gates.dtype)
    hidden, inner = np.empty((2, *gates.shape[:2], size), gates.dtype)
    before, turned = first, turned_for(weight, len(gates))
    part = np.empty_like(first, order="C")
    for step in range(gates.shape[0]):
        recurrent = np.matmul(before, turned)
        if bias is not None:
            np.add(recurrent, bias, out=recurrent)
        inner[step] = recurrent[:, 2 * size :]
        now, mine = active[step], gates[step]
        ways = now[:, : 2 * size]
        np.add(recurrent[:, : 2 * size], mine[:, : 2 * size], out=ways)
        sigmoid_block(ways, ways)
        candidate = now[:, 2 * size :]
        np.multiply(ways[:, :size], inner[step], out=candidate)
        np.add(candidate, mine[:, 2 * size :], out=candidate)
        np.tanh(candidate, out=candidate)
        np.subtract(before, candidate, out=part)
        np.multiply(part, ways[:, size:], out=part)
        before = np.add(candidate, part, out=hidden[step])
    return hidden, active, inner


KERNELS = {"gru_layer": gru_layer, "lstm_layer": lstm_layer}
