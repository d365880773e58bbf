"""Dictionaries that do not keep their keys, which are told apart by what they are, not by value."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

from devtensor.tensor import Tensor

__all__ = [
    "TensorWeakRef",
    "WeakIdKeyDictionary",
    "WeakIdRef",
    "WeakTensorKeyDictionary",
]


class WeakIdRef(weakref.ref[Any]):
    """A weak reference that is equal to another one of the same object."""

    __slots__ = ("_id",)

    def __init__(self, key: Any, callback: Callable[[Any], Any] | None = None) -> None:
        self._id = id(key)

    def __hash__(self) -> int:
        return self._id

    def __eq__(self, other: object) -> bool:
        mine, theirs = self(), other() if isinstance(other, WeakIdRef) else None
        return self is other if mine is None or theirs is None else mine is theirs

    def __ne__(self, other: object) -> bool:
        return not self == other


class WeakIdKeyDictionary(MutableMapping[Any, Any]):
    """A dictionary whose keys are objects; an entry goes with its key.

    Parameters
    ----------
    dict : mapping, optional
        What is entered.
    ref_type : type
        The class of its references.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.utils.weak import WeakIdKeyDictionary
    >>> x, y = dt.ones(2), dt.ones(2)
    >>> names = WeakIdKeyDictionary({x: "x", y: "y"})
    >>> del x
    >>> list(names.values()), names[y]
    (['y'], 'y')
    """

    def __init__(self, dict: Any = None, ref_type: type = WeakIdRef) -> None:
        self.ref_type = ref_type
        self.data: Any = {}
        data = weakref.ref(self)

        def remove(one: Any) -> None:
            there = data()
            if there is not None:
                there.data.pop(one, None)

        self._remove = remove
        if dict is not None:
            self.update(dict)

    def _key(self, key: Any) -> Any:
        return self.ref_type(key)

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.data[self._key(key)]
        except KeyError:
            raise KeyError(key) from None

    def __setitem__(self, key: Any, value: Any) -> None:
        self.data[self.ref_type(key, self._remove)] = value

    def __delitem__(self, key: Any) -> None:
        del self.data[self._key(key)]

    def __contains__(self, key: Any) -> bool:
        try:
            return self._key(key) in self.data
        except TypeError:  # no weak reference to it can be made
            return False

    def __iter__(self) -> Iterator[Any]:
        for one in list(self.data):
            key = one()
            if key is not None:
                yield key

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return {id(k): v for k, v in self.items()} == {id(k): v for k, v in other.items()}

    __hash__ = None  # type: ignore[assignment]

    def __or__(self, other: Any) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        made = self.copy()
        made.update(other)
        return made

    def __ror__(self, other: Any) -> Any:
        if not isinstance(other, Mapping):
            return NotImplemented
        made = type(self)(other)
        made.update(self)
        return made

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self

    def keyrefs(self) -> list[Any]:
        """The references to its keys, some of which may be gone."""
        return list(self.data)

    def copy(self) -> Any:
        """Another one with the same keys and values."""
        return type(self)(self)

    __copy__ = copy

    def __deepcopy__(self, memo: Any) -> Any:
        from copy import deepcopy

        made = type(self)()
        for key, value in self.items():
            made[key] = deepcopy(value, memo)
        return made


WeakTensorKeyDictionary = WeakIdKeyDictionary


class TensorWeakRef:
    """A weak reference to a tensor.

    Parameters
    ----------
    tensor : Tensor
    """

    def __init__(self, tensor: Tensor) -> None:
        if not isinstance(tensor, Tensor):
            raise AssertionError(f"expected torch.Tensor, got {type(tensor)}.")
        self.ref = weakref.ref(tensor)

    def __call__(self) -> Tensor | None:
        return self.ref()
