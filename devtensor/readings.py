"""Which other readings of the same memory PyTorch refuses, for all backends that offer them.

Lengths, steps and places in memory are counted in bytes; a place from where the memory begins.
"""

from __future__ import annotations

from collections.abc import Sequence

from devtensor.dtype import dtype as Dtype

__all__ = ["refuse_outside", "refuse_pairs", "refuse_type", "windows"]


def refuse_outside(
    size: Sequence[int], steps: Sequence[int], first: int, width: int, room: int
) -> None:
    """Raise RuntimeError if elements, the first one at `first`, lie outside of the memory."""
    last = first + width + sum([(n - 1) * s for n, s in zip(size, steps, strict=True)])
    if 0 not in size and not 0 <= first <= last <= room:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {[s // width for s in steps]}, storage "
            f"offset {first // width}, and itemsize {width} requiring a storage size of {last} are "
            f"out of bounds for storage of size {room}"
        )


def refuse_type(
    shape: Sequence[int], steps: Sequence[int], first: int, old: Dtype, new: Dtype
) -> None:
    """Raise RuntimeError unless elements can be read as those of a type of another size."""
    width, ratio = old.itemsize, new.itemsize // old.itemsize
    reading = f"to view {old.legacy} as {new.legacy} (different element sizes)"
    if not shape:
        raise RuntimeError(f"self.dim() cannot be 0 {reading}")
    if ratio:
        if shape[-1] % ratio:
            raise RuntimeError(
                f"self.size(-1) must be divisible by {ratio} {reading}, but got {shape[-1]}"
            )
        if first % new.itemsize:
            raise RuntimeError(
                f"self.storage_offset() must be divisible by {ratio} {reading}, but got "
                f"{first // width}"
            )
    if 0 in shape:
        return  # libraries differ in the steps that they give to what has no elements
    if steps[-1] != width and (shape[-1] != 1 or steps[-1]):
        raise RuntimeError(f"self.stride(-1) must be 1 {reading}, but got {steps[-1] // width}")
    for d, step in enumerate(steps[:-1] if ratio else ()):
        if step % new.itemsize:
            raise RuntimeError(
                f"self.stride({d}) must be divisible by {ratio} {reading}, but got {step // width}"
            )


def refuse_pairs(shape: Sequence[int], steps: Sequence[int], first: int, old: Dtype) -> None:
    """Raise RuntimeError unless the pairs in the last dimension can be read as complex numbers."""
    width = old.itemsize
    if width < 4:
        raise RuntimeError(
            f"view_as_complex: there is no complex dtype for {old.name} here; use float32 or "
            "float64"
        )
    if steps[-1] != width and 0 not in shape:
        raise RuntimeError(
            "Tensor must have a last dimension with stride 1, but its stride is "
            f"{steps[-1] // width}"
        )
    if any(s % (2 * width) for s, n in zip(steps[:-1], shape, strict=False) if n > 1):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if first % (2 * width):
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")


def windows(
    shape: Sequence[int], steps: Sequence[int], size: int, step: int, dim: int
) -> tuple[list[int], list[int]]:
    """The shape and steps of all slices of length `size`, every `step` places along `dim`.

    What `steps` count does not matter here.
    """
    count = (shape[dim] - size) // step + 1
    return (
        [*shape[:dim], count, *shape[dim + 1 :], size],
        [*steps[:dim], steps[dim] * step, *steps[dim + 1 :], steps[dim]],
    )
