"""What a library of arrays gives, so that kernels written from formulas run on its devices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Shape = tuple[int, ...]


class Machine(NamedTuple):
    """What the kernels for a device depend on.

    Attributes
    ----------
    units : int
        How many teams of ``lanes(0)`` work items run at once.
    few : int
        Elements that a team may as well go along without others.
    alone : int
        Those that a work item may, where neighbours belong to other rows.
    vectors : bool
        Whether a work item goes along a row alone, with vectors: that of a processor does.
    lanes : callable
        How many work items go along a row together that has so many neighbours in memory.
    narrow : bool
        Whether places are counted in 32 bits where these suffice.
    several : int
        How many elements a work item has, of many.
    """

    units: int
    few: int
    alone: int
    vectors: bool
    lanes: Callable[[int], int]
    narrow: bool
    several: int


def span(first: int, shape: Sequence[int], steps: Sequence[int], width: int) -> tuple[int, int]:
    """The addresses between which elements lie, of `width` bytes and so many bytes apart."""
    reach = [(n - 1) * s for n, s in zip(shape, steps, strict=True)]
    low = first + sum([r for r in reach if r < 0])
    return low, first + sum([r for r in reach if r > 0]) + width


class Engine:
    """The arrays of a library, and how kernels are run on them; a place is that of an array."""

    kind: str
    """The type of device."""
    Array: type
    """The class of the arrays."""
    limit: int
    """Elements from which on a kernel of its own is made for a formula."""
    direct: bool
    """Whether operations that are one function of the library are left to it."""

    def place(self, x: Any) -> Any:
        """Where an array lives: what tells devices apart."""
        raise NotImplementedError

    def takes_source(self, x: Any) -> bool:
        """Whether kernels of our own run where an array lives."""
        return True

    def machine(self, place: Any) -> Machine | None:
        """What kernels for a device depend on; None if it cannot run those along rows."""
        raise NotImplementedError

    def in_rows(self, x: Any) -> bool:
        """Whether the elements of an array lie in row order, without gaps."""
        raise NotImplementedError

    def steps(self, x: Any) -> Shape:
        """The strides of an array, in elements."""
        raise NotImplementedError

    def lies(self, x: Any) -> Any:
        """What of an array decides about a kernel: its place, shape, steps and type."""
        return self.place(x), x.shape, None if self.in_rows(x) else self.steps(x), x.dtype.char

    def ordered(self, x: Any) -> Any:
        """An array, or a copy in row order."""
        raise NotImplementedError

    def copy(self, x: Any) -> Any:
        """The library's own copy in row order."""
        raise NotImplementedError

    def fresh(self, shape: Shape, dtype: Any, place: Any) -> Any:
        """A new array with anything in it."""
        raise NotImplementedError

    def apart(self, a: Any, b: Any, same: bool = True) -> bool:
        """Whether what is written to `a`, element by element, changes nothing of `b` that is still
        to be read: they lie apart, or if `same` are the same places in the same order.
        """
        raise NotImplementedError

    def compiled(self, place: Any, source: str, name: str) -> Any:
        """The kernel `name` of a source in OpenCL C."""
        raise NotImplementedError

    def prepared(
        self, function: Any, arguments: list[Any], numbers: list[Any], size: Shape,
        group: Shape | None,
    ) -> Any:  # fmt: skip
        """A launch but for the arrays.

        Arguments are ("array", which), (a type, which of the numbers), or ("size", a number);
        `size` and `group` count work items, neighbours last.
        """
        raise NotImplementedError

    def launch(self, place: Any, prepared: Any, arrays: list[Any]) -> None:
        """Run a kernel after all that the library has been asked for."""
        raise NotImplementedError
