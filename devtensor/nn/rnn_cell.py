"""One step of recurrent layers."""

from __future__ import annotations

import math
from typing import Any

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.nn import init
from devtensor.nn.module import Module
from devtensor.nn.parameter import Parameter
from devtensor.op import catalogue
from devtensor.tensor import Tensor

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase", "all_states"]


def all_states(
    mode: str, gates: Tensor, state: tuple[Tensor, ...], weight: Tensor, bias: Any, shrink: Any
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Take all steps; those of numbers of two bytes are computed in four.

    Parameters
    ----------
    mode : str
        ``"RNN_TANH"``, ``"RNN_RELU"``, ``"GRU"`` or ``"LSTM"``.
    gates : Tensor
        The input times its weights, shape (steps, N, gates * hidden); (N, gates * hidden) for a
        single step.
    state : tuple of Tensor
        What to begin with, each of shape (N, size).
    weight, bias : Tensor
        Of the hidden state.
    shrink : Tensor or None
        Maps the output of an LSTM to its projection.

    Returns
    -------
    tuple
        The output of each step, and the state after the last.
    """
    several = gates.ndim == 3
    alike = all(s.dtype is gates.dtype for s in (*state, weight))
    if mode in ("LSTM", "GRU") and alike and shrink is None:
        if mode == "LSTM":
            gates = gates if bias is None else gates + bias
            states = catalogue["lstm_layer"].function(gates, *state, weight)[:2]
        else:
            states = catalogue["gru_layer"].function(gates, *state, weight, bias)[:1]
        return states[0], tuple([s[-1] for s in states]) if several else states
    if alike and gates.dtype in (dt.float16, dt.bfloat16):
        wide: list[Any] = [x if x is None else x.to(dt.float32) for x in (weight, bias, shrink)]
        start = tuple([s.to(dt.float32) for s in state])
        out, state = all_states(mode, gates.to(dt.float32), start, *wide)
        return out.to(gates.dtype), tuple([s.to(gates.dtype) for s in state])
    if not several:
        state = next_state(mode, gates, state, weight, bias, shrink)
        return state[0], state
    outputs: list[Tensor] = []
    for step in gates.unbind(0):
        state = next_state(mode, step, state, weight, bias, shrink)
        outputs.append(state[0])
    return dt.stack(outputs), state


def next_state(
    mode: str, gates: Tensor, state: tuple[Tensor, ...], weight: Tensor, bias: Any, shrink: Any
) -> tuple[Tensor, ...]:
    """Take one step.

    `gates` is the input times its weights, `weight` and `bias` are those of the hidden state,
    `shrink` maps the output of an LSTM to its projection.
    """
    hidden = state[0]
    recurrent = F.linear(hidden, weight, bias)
    if mode == "RNN_TANH":
        return (dt.tanh(gates + recurrent),)
    if mode == "RNN_RELU":
        return (dt.relu(gates + recurrent),)
    if mode == "GRU":
        reset, update, new = gates.chunk(3, -1)
        recurrent_reset, recurrent_update, recurrent_new = recurrent.chunk(3, -1)
        reset = dt.sigmoid(reset + recurrent_reset)
        update = dt.sigmoid(update + recurrent_update)
        new = dt.tanh(new + reset * recurrent_new)
        return (new + update * (hidden - new),)
    enter, forget, cell, leave = (gates + recurrent).chunk(4, -1)
    memory = dt.sigmoid(forget) * state[1] + dt.sigmoid(enter) * dt.tanh(cell)
    hidden = dt.sigmoid(leave) * dt.tanh(memory)
    if shrink is not None:
        hidden = F.linear(hidden, shrink)
    return hidden, memory


class RNNCellBase(Module):
    """What the cells share: one step of one layer."""

    mode: str

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size

        def drawn(*shape: int) -> Parameter:
            return Parameter(dt.empty(shape, device=device, dtype=dtype))

        self.weight_ih = drawn(rows, input_size)
        self.weight_hh = drawn(rows, hidden_size)
        self.register_parameter("bias_ih", drawn(rows) if bias else None)
        self.register_parameter("bias_hh", drawn(rows) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        name = self._get_name()
        if input.ndim not in (1, 2):
            raise ValueError(f"{name}: Expected input to be 1D or 2D, got {input.ndim}D instead")
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {input.shape[-1]} "
                f"expected {self.input_size}"
            )
        states = 2 if self.mode == "LSTM" else 1
        x = input if input.ndim == 2 else input.unsqueeze(0)
        if hx is None:
            shape = (x.shape[0], self.hidden_size)
            state = (dt.zeros(shape, dtype=x.dtype, device=x.device),) * states
        else:
            given = tuple(hx) if states == 2 else (hx,)
            for number, s in enumerate(given):
                if s.ndim not in (1, 2):
                    which = f"hx[{number}]" if states == 2 else "hidden"
                    raise ValueError(
                        f"{name}: Expected {which} to be 1D or 2D, got {s.ndim}D instead"
                    )
                if s.shape[-1] != self.hidden_size:
                    raise RuntimeError(
                        f"hidden{number} has inconsistent hidden_size: got {s.shape[-1]}, "
                        f"expected {self.hidden_size}"
                    )
                if s.ndim == input.ndim == 2 and len(s) != len(input):
                    raise RuntimeError(
                        f"Input batch size {len(input)} doesn't match hidden{number} batch size "
                        f"{len(s)}"
                    )
            state = given if input.ndim == 2 else tuple(s.unsqueeze(0) for s in given)
        gates = F.linear(x, self.weight_ih, self.bias_ih)
        state = all_states(self.mode, gates, state, self.weight_hh, self.bias_hh, None)[1]
        if input.ndim == 1:
            state = tuple(s.squeeze(0) for s in state)
        return state if states == 2 else state[0]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = self.__dict__.get("nonlinearity", "tanh")
        return text if nonlinearity == "tanh" else f"{text}, nonlinearity={nonlinearity}"


class RNNCell(RNNCellBase):
    """Takes one step of an `RNN`: from input (N, input_size) and state to the next state."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    @property
    def mode(self) -> str:  # type: ignore[override]
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return f"RNN_{self.nonlinearity.upper()}"


class LSTMCell(RNNCellBase):
    """Takes one step of an `LSTM`: from input and (h, c) to the next (h, c)."""

    mode = "LSTM"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)


class GRUCell(RNNCellBase):
    """Takes one step of a `GRU`: from input and state to the next state."""

    mode = "GRU"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)
