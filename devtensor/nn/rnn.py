"""Recurrent layers."""

from __future__ import annotations

import math
import warnings
from itertools import groupby
from typing import Any

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.nn import init
from devtensor.nn.module import Module
from devtensor.nn.parameter import Parameter
from devtensor.nn.rnn_cell import all_states
from devtensor.nn.utils.rnn import PackedSequence
from devtensor.tensor import Tensor

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]

GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "GRU": 3, "LSTM": 4}


def runs(gates: Tensor, counts: list[int]) -> list[Tensor]:
    """Packed steps as pieces of shape (steps, sequences, size) with equally many sequences each."""
    lengths = [(count, len(list(group))) for count, group in groupby(counts)]
    parts = gates.split([count * steps for count, steps in lengths])
    return [
        part.unflatten(0, (steps, count))
        for part, (count, steps) in zip(parts, lengths, strict=True)
    ]


class FlatWeights(list[Any]):
    """The weights of a layer in a row; one that is put in another's place is used from then on."""

    layer: RNNBase

    def __setitem__(self, place: Any, weight: Any) -> None:
        super().__setitem__(place, weight)
        self.layer._flat_weights = self


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
        for name, value in (("bias", bias), ("batch_first", batch_first)):
            if not isinstance(value, bool):
                raise TypeError(f"{name} should be of type bool, got: {type(value).__name__}")
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not isinstance(size, int):
                raise TypeError(f"{name} should be of type int, got: {type(size).__name__}")
            if size <= 0:
                raise ValueError(f"{name} must be greater than zero, got {size}")
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

    @property
    def _flat_weights_names(self) -> list[str]:
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self) -> list[Any]:
        """All weights in a row, under PyTorch's name: layers that change them assign to it.

        Tensors that are assigned, or put into the row, are used until a weight is set by its name.
        """
        row = FlatWeights(self._weight(name) for name in self._flat_weights_names)
        row.layer = self
        return row

    @_flat_weights.setter
    def _flat_weights(self, weights: list[Any]) -> None:
        names = self._flat_weights_names
        if len(weights) != len(names):
            raise RuntimeError(f"_flat_weights got {len(weights)} weights; {names} are wanted")
        pairs = zip(names, weights, strict=True)
        self.__dict__["_assigned"] = {n: w for n, w in pairs if w is not getattr(self, n, None)}

    def _weight(self, name: str) -> Any:
        """A weight: what was assigned in a row, or what has the name."""
        assigned = self.__dict__.get("_assigned")
        return assigned[name] if assigned and name in assigned else getattr(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        self.__dict__.get("_assigned", {}).pop(name, None)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        self.__dict__.pop("_assigned", None)
        return super()._apply(fn, recurse)

    def forward(self, input: Any, hx: Any = None) -> Any:
        packed = input if isinstance(input, PackedSequence) else None
        x: Tensor = input.data if packed else input
        if packed is None and x.ndim not in (2, 3):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {x.ndim}D instead"
            )
        batched = packed is not None or x.ndim == 3
        own = next(self.parameters()).dtype
        # What an LSTM gets packed PyTorch leaves to the product, which has an error of its own.
        left = packed is not None and self.mode == "LSTM"
        if x.dtype is not own and not (left or dt.is_autocast_enabled(x.device.type)):
            raise ValueError(
                f"RNN input dtype ({x.dtype}) does not match weight dtype ({own}). "
                f"Convert input: input.to({own}), or convert model: model.to({x.dtype})"
            )
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
            if x.shape[0] == 0:
                raise RuntimeError(
                    "Expected sequence length to be larger than 0 in RNN: the input of shape "
                    f"{list(input.shape)} has no steps"
                )
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
        weights = [self._weight(name) for name in self._all_weights[place]]
        shrink = weights.pop() if self.proj_size else None
        w_ih, w_hh, b_ih, b_hh = weights if self.bias else (*weights, None, None)
        if self.bias and self.mode != "GRU":  # which resets what is added to one of them
            b_ih, b_hh = b_ih + b_hh, None
        gates = F.linear(x, w_ih, b_ih)  # one product for all steps
        # Steps of equally many sequences go together: all of them unless they are packed.
        pieces = [gates] if counts is None else runs(gates, counts)
        if backwards:
            pieces = [piece.flip(0) for piece in reversed(pieces)]
        state = tuple(s[: pieces[0].shape[1]] for s in start) if pieces and counts else start
        outputs: list[Tensor] = []
        ended: list[tuple[Tensor, ...]] = []
        for piece in pieces:
            here, now = piece.shape[1], state[0].shape[0]
            if here < now:  # some sequences have come to their end
                ended.append(tuple(s[here:] for s in state))
                state = tuple(s[:here] for s in state)
            elif here > now:  # going backwards, some begin
                state = tuple(
                    dt.cat([s, first[now:here]]) for s, first in zip(state, start, strict=True)
                )
            output, state = all_states(self.mode, piece, state, w_hh, b_hh, shrink)
            outputs.append(output.flip(0) if backwards else output)
        if ended:
            parts = zip(state, *reversed(ended), strict=True)
            state = tuple(dt.cat(list(part)) for part in parts)
        if backwards:
            outputs.reverse()
        if counts is None:
            return outputs[0], state
        return dt.cat([output.flatten(0, 1) for output in outputs]), state

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
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)
