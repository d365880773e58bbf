"""Sequences of different lengths: padded to one length, or packed without padding."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, NamedTuple

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class Packed(NamedTuple):
    """What a `PackedSequence` consists of."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


def cast(name: str) -> Callable[[PackedSequence], PackedSequence]:
    """A method that casts the data."""

    def method(self: PackedSequence) -> PackedSequence:
        return self.to(getattr(dt, name))

    method.__doc__ = f"Cast to {name}."
    return method


class PackedSequence(Packed):
    """Sequences of different lengths, step by step, longest first.

    Attributes
    ----------
    data : Tensor
        The first step of all sequences, then the second step of all that have one, and so on.
    batch_sizes : Tensor of int64
        How many sequences have each step; on the cpu.
    sorted_indices, unsorted_indices : Tensor or None
        The order by length, and the way back.
    """

    __slots__ = ()

    def __new__(
        cls,
        data: Tensor,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if unsorted_indices is None and sorted_indices is not None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is not None and batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be "
                "created manually; pack_sequence and pack_padded_sequence make them."
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)  # type: ignore[arg-type]

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Move or cast the data, as `Tensor.to`."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        moved = [
            None if index is None else index.to(data.device)
            for index in (self.sorted_indices, self.unsorted_indices)
        ]
        return type(self)(data, self.batch_sizes, *moved)

    def cpu(self) -> PackedSequence:
        """Move to the cpu."""
        return self.to("cpu")

    def cuda(self, device: Any = "cuda") -> PackedSequence:
        """Move to a CUDA device."""
        return self.to(device)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return self.data.device.type == "cuda"

    def is_pinned(self) -> bool:
        """Whether the data is in pinned memory."""
        return bool(self.data.is_pinned())

    def pin_memory(self) -> PackedSequence:
        """Copy the data to pinned memory, if there is any."""
        return type(self)(self.data.pin_memory(), *self[1:])

    half = cast("float16")
    float = cast("float32")
    double = cast("float64")
    byte = cast("uint8")
    char = cast("int8")
    short = cast("int16")
    int = cast("int32")
    long = cast("int64")


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Give the permutation that undoes `permutation`."""
    return None if permutation is None else dt.argsort(permutation)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack padded sequences.

    Parameters
    ----------
    input : Tensor
        Shape (T, N, *), or (N, T, *) with `batch_first`.
    lengths : Tensor or list of int
        The length of each sequence, at least 1.
    enforce_sorted : bool
        Demand that the longest come first; else they are put in that order.
    """
    sizes = [int(n) for n in (lengths.tolist() if isinstance(lengths, Tensor) else lengths)]
    batch = input.shape[0 if batch_first else 1]
    if len(sizes) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} "
            f"(batch_size={batch})"
        )
    if not sizes or min(sizes) <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' "
            "that is <= 0"
        )
    order = None
    if not enforce_sorted:
        ranks = sorted(range(batch), key=lambda i: -sizes[i])
        order = dt.tensor(ranks, device=input.device)
        sizes = [sizes[i] for i in ranks]
        input = input.index_select(0 if batch_first else 1, order)
    elif any(a < b for a, b in pairwise(sizes)):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to "
            "sidestep this requirement if you do not need ONNX exportability."
        )
    if batch_first:
        input = input.transpose(0, 1)
    if sizes[0] > input.shape[0]:
        raise RuntimeError(
            f"Expected the longest length {sizes[0]} to fit into the input's {input.shape[0]} steps"
        )
    counts = [sum(size > t for size in sizes) for t in range(sizes[0])]
    data = dt.cat([input[t, :count] for t, count in enumerate(counts)])
    return PackedSequence(data, dt.tensor(counts, dtype=dt.int64, device="cpu"), order)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undo `pack_padded_sequence`: return the padded sequences and their lengths."""
    counts = sequence.batch_sizes.tolist()
    steps = len(counts)
    if total_length is not None and total_length < steps:
        raise ValueError(
            "Expected total_length to be at least the length of the longest sequence in input, "
            f"but got total_length={total_length} and max sequence length being {steps}"
        )
    whole = counts[0]
    rows = []
    for part in sequence.data.split(counts):
        missing = whole - part.shape[0]
        if missing:
            rest = part.new_full((missing, *part.shape[1:]), padding_value)
            part = dt.cat([part, rest])
        rows.append(part)
    if total_length is not None:
        empty = rows[0].new_full(rows[0].shape, padding_value)
        rows += [empty] * (total_length - steps)
    padded = dt.stack(rows)
    sizes = [sum(count > i for count in counts) for i in range(whole)]
    lengths = dt.tensor(sizes, device="cpu")
    back = sequence.unsorted_indices
    if back is not None:
        padded = padded.index_select(1, back)
        lengths = lengths[back.cpu()]
    return padded.transpose(0, 1) if batch_first else padded, lengths


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Put sequences of different lengths into one tensor.

    Parameters
    ----------
    sequences : iterable of Tensor
        Shapes (length, *).
    batch_first : bool
        Make the shape (N, T, *) rather than (T, N, *).
    padding_value : float
        What fills the rest.
    padding_side : str
        `"right"` or `"left"`: where it stands.
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}"
        )
    rows = list(sequences.unbind(0) if isinstance(sequences, Tensor) else sequences)
    if not rows:
        raise RuntimeError("received an empty list of sequences")
    longest = max(row.shape[0] for row in rows)
    padded = []
    for row in rows:
        missing = longest - row.shape[0]
        if missing:
            rest = row.new_full((missing, *row.shape[1:]), padding_value)
            row = dt.cat([rest, row] if padding_side == "left" else [row, rest])
        padded.append(row)
    return dt.stack(padded, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False
) -> list[Tensor]:
    """Undo `pad_sequence`: return a list of sequences without padding."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[:size] for row, size in zip(rows.unbind(0), lengths.tolist(), strict=True)]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of sequences."""
    lengths = [row.shape[0] for row in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Undo `pack_sequence`: return a list of sequences."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
