"""Recurrent layers, and their cells."""

from __future__ import annotations

import math
import warnings
from typing import Any

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.nn import init
from devtensor.nn.module import Module
from devtensor.nn.parameter import Parameter
from devtensor.nn.utils.rnn import PackedSequence
from devtensor.tensor import Tensor

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


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


class RNNBase(Module):
    """What `RNN`, `LSTM` and `GRU` share.

    Parameters
    ----------
    input_size, hidden_size : int
        The last size of the input and of the hidden state.
    num_layers : int
        How many layers stand one on another.
    bias : bool
        Whether there are biases.
    batch_first : bool
        Whether input and output have the shape (N, T, *) rather than (T, N, *).
    dropout : float
        The probability of leaving out values between layers, in training.
    bidirectional : bool
        Whether to go through the sequence backwards too.
    proj_size : int
        The size to which an LSTM's hidden state is projected; 0 for none.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0, weight_hr_l0, ... : Parameter
        For each layer, and with the ending `_reverse` for the way back; all drawn evenly from
        plus and minus `1 / sqrt(hidden_size)`.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if mode not in GATES:
            raise ValueError(f"Unrecognized RNN mode: {mode}")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an "
                f"element being zeroed, got {dropout}"
            )
        if not isinstance(hidden_size, int):
            raise TypeError(f"hidden_size should be of type int, got: {type(hidden_size).__name__}")
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero "
                f"dropout expects num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={num_layers}",
                stacklevel=3,
            )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        out_size = proj_size or hidden_size
        directions = 2 if bidirectional else 1
        rows = GATES[mode] * hidden_size
        self._all_weights: list[list[str]] = []
        for layer in range(num_layers):
            in_size = input_size if layer == 0 else out_size * directions
            for ending in ("", "_reverse")[:directions]:
                shapes: dict[str, tuple[int, ...]] = {
                    "weight_ih": (rows, in_size),
                    "weight_hh": (rows, out_size),
                }
                if bias:
                    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = {f"{name}_l{layer}{ending}": shape for name, shape in shapes.items()}
                for name, shape in names.items():
                    empty = dt.empty(shape, device=device, dtype=dtype)
                    self.register_parameter(name, Parameter(empty))
                self._all_weights.append(list(names))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights and biases anew."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing; there for programs that call it."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The weights of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def forward(self, input: Any, hx: Any = None) -> Any:
        packed = input if isinstance(input, PackedSequence) else None
        x: Tensor = input.data if packed else input
        if packed is None and x.ndim not in (2, 3):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {x.ndim}D instead"
            )
        batched = packed is not None or x.ndim == 3
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {x.shape[-1]}"
            )
        if packed is not None:
            counts = packed.batch_sizes.tolist()
            size = counts[0]
        else:
            if not batched:
                x = x.unsqueeze(1)
            elif self.batch_first:
                x = x.transpose(0, 1)
            counts, size = None, x.shape[1]
        states = self._first_states(hx, size, batched, x)
        if packed is not None and packed.sorted_indices is not None and hx is not None:
            states = tuple(s.index_select(1, packed.sorted_indices) for s in states)

        output, final = self._run(x, counts, states)

        if packed is not None:
            back = packed.unsorted_indices
            if back is not None:
                final = tuple(s.index_select(1, back) for s in final)
            result: Any = PackedSequence(
                output, packed.batch_sizes, packed.sorted_indices, packed.unsorted_indices
            )
        elif not batched:
            result = output.squeeze(1)
            final = tuple(s.squeeze(1) for s in final)
        else:
            result = output.transpose(0, 1) if self.batch_first else output
        return result, final if self.mode == "LSTM" else final[0]

    def _first_states(self, hx: Any, size: int, batched: bool, x: Tensor) -> tuple[Tensor, ...]:
        """The states to begin with, each of shape (layers * directions, N, size)."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size]
        if self.mode == "LSTM":
            sizes.append(self.hidden_size)
        shapes = [(count, size, width) for width in sizes]
        if hx is None:
            return tuple(dt.zeros(shape, dtype=x.dtype, device=x.device) for shape in shapes)
        given = tuple(hx) if self.mode == "LSTM" else (hx,)
        for which, state, shape in zip(("hidden[0]", "hidden[1]"), given, shapes, strict=False):
            name = which if self.mode == "LSTM" else "hidden"
            if state.ndim != (3 if batched else 2):
                dims = "3-D" if batched else "2-D"
                kind = "batched 3-D" if batched else "unbatched 2-D"
                raise RuntimeError(
                    f"For {kind} input, hx should also be {dims} but got {state.ndim}-D tensor"
                )
            wanted = shape if batched else (shape[0], shape[2])
            if tuple(state.shape) != wanted:
                raise RuntimeError(f"Expected {name} size {wanted}, got {list(state.shape)}")
        return given if batched else tuple(state.unsqueeze(1) for state in given)

    def _run(
        self, x: Tensor, counts: list[int] | None, states: tuple[Tensor, ...]
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Go through all layers; `counts` says how many sequences have each step, if packed."""
        finals: list[tuple[Tensor, ...]] = []
        directions = 2 if self.bidirectional else 1
        for layer in range(self.num_layers):
            outputs = []
            for direction in range(directions):
                place = layer * directions + direction
                start = tuple(state[place] for state in states)
                output, final = self._go(x, counts, start, place, backwards=direction == 1)
                outputs.append(output)
                finals.append(final)
            x = outputs[0] if directions == 1 else dt.cat(outputs, -1)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, True)
        return x, tuple(dt.stack(parts) for parts in zip(*finals, strict=True))

    def _go(
        self,
        x: Tensor,
        counts: list[int] | None,
        start: tuple[Tensor, ...],
        place: int,
        backwards: bool,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Go through one layer in one direction."""
        weights = [getattr(self, name) for name in self._all_weights[place]]
        shrink = weights.pop() if self.proj_size else None
        w_ih, w_hh, b_ih, b_hh = weights if self.bias else (*weights, None, None)
        gates = F.linear(x, w_ih, b_ih)  # one product for all steps
        steps = list(gates.unbind(0) if counts is None else gates.split(counts))
        if backwards:
            steps.reverse()
        state = tuple(s[: steps[0].shape[0]] for s in start) if steps and counts else start
        outputs: list[Tensor] = []
        ended: list[tuple[Tensor, ...]] = []
        for step in steps:
            here, now = step.shape[0], state[0].shape[0]
            if here < now:  # some sequences have come to their end
                ended.append(tuple(s[here:] for s in state))
                state = tuple(s[:here] for s in state)
            elif here > now:  # going backwards, some begin
                state = tuple(
                    dt.cat([s, first[now:here]]) for s, first in zip(state, start, strict=True)
                )
            state = next_state(self.mode, step, state, w_hh, b_hh, shrink)
            outputs.append(state[0])
        if ended:
            parts = zip(state, *reversed(ended), strict=True)
            state = tuple(dt.cat(list(part)) for part in parts)
        if backwards:
            outputs.reverse()
        return (dt.stack(outputs) if counts is None else dt.cat(outputs)), state

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if self.batch_first is not False:
            text += f", batch_first={self.batch_first}"
        if self.dropout != 0:
            text += f", dropout={self.dropout}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text


class RNN(RNNBase):
    """Computes `h = tanh(x @ W_ih.T + b_ih + h @ W_hh.T + b_hh)` step by step.

    Parameters are those of `RNNBase` and, fourth, `nonlinearity`: `"tanh"` or `"relu"`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        self.__dict__["nonlinearity"] = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias,
            batch_first, dropout, bidirectional, 0, device, dtype,
        )  # fmt: skip


class LSTM(RNNBase):
    """Long short-term memory: a hidden state and a memory, with gates for both.

    `forward(input, (h, c))` returns the outputs of the last layer and `(h, c)` after the last
    step. Parameters are those of `RNNBase`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__("LSTM", *args, **kwargs)


class GRU(RNNBase):
    """Gated recurrent unit. Parameters are those of `RNNBase` without `proj_size`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if "proj_size" in kwargs:
            raise ValueError(
                "proj_size argument is only supported for LSTM, not RNN or GRU"
            )
        super().__init__("GRU", *args, **kwargs)


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
            for s in given:
                if s.ndim not in (1, 2):
                    raise ValueError(f"{name}: Expected hidden to be 1D or 2D, got {s.ndim}D instead")
                if s.shape[-1] != self.hidden_size:
                    raise RuntimeError(
                        f"hidden has inconsistent hidden_size: got {s.shape[-1]}, "
                        f"expected {self.hidden_size}"
                    )
            state = given if input.ndim == 2 else tuple(s.unsqueeze(0) for s in given)
        gates = F.linear(x, self.weight_ih, self.bias_ih)
        state = next_state(self.mode, gates, state, self.weight_hh, self.bias_hh, None)
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
