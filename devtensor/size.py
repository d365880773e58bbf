"""The shape of a tensor."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from operator import index
from typing import Any, SupportsIndex


class Size(tuple[int, ...]):
    """A shape: a tuple of ints that knows its number of elements."""

    __slots__ = ()

    def __new__(cls, values: Iterable[Any] = ()) -> Size:
        values = tuple(values)
        try:
            return tuple.__new__(cls, [v if isinstance(v, int) else index(v) for v in values])
        except TypeError:
            for place, value in enumerate(values):
                if isinstance(value, str | float):
                    raise TypeError(
                        "torch.Size() takes an iterable of 'int' "
                        f"(item {place} is '{type(value).__name__}')"
                    ) from None
            raise

    def numel(self) -> int:
        """The number of elements."""
        return prod(self)

    def __getitem__(self, key: Any) -> Any:
        item = tuple.__getitem__(self, key)
        return tuple.__new__(Size, item) if isinstance(key, slice) else item

    def __add__(self, other: Any) -> Size:
        return tuple.__new__(Size, tuple.__add__(self, tuple(other)))

    def __radd__(self, other: Any) -> Size:
        return tuple.__new__(Size, tuple(other) + tuple(self))

    def __mul__(self, other: SupportsIndex) -> Size:
        return tuple.__new__(Size, tuple.__mul__(self, other))

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)
