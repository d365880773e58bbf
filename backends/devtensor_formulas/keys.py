"""Keys with one array and nothing beside it, for which there are kernels."""

from __future__ import annotations

from typing import Any


def alone(key: Any, kind: Any, kinds: str) -> tuple[int, Any] | None:
    """The entry of a key that is an array of some kinds of types, and that array.

    None if a key has anything else but ``:`` before and after it.
    """
    entry, found = 0, None
    for part in key if key.__class__ is tuple else (key,):
        if isinstance(part, kind) and found is None and part.dtype.kind in kinds:
            found = part
        elif part is Ellipsis and found is not None:
            break
        elif part.__class__ is not slice or part != slice(None):
            return None
        elif found is None:
            entry += 1
    return None if found is None else (entry, found)


def alone_mask(x: Any, key: Any, kind: Any) -> tuple[int, Any] | None:
    """The dimension where a mask begins, and the mask, if it fits the array `x`."""
    found = alone(key, kind, "b")
    if found is None or not found[1].ndim:
        return None
    axis, mask = found
    return found if mask.shape == x.shape[axis : axis + mask.ndim] else None
