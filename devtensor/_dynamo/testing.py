"""What test suites give to ``torch.compile`` to see what it does (``torch._dynamo.testing``)."""

from __future__ import annotations

from typing import Any

from devtensor.refusal import absent

__all__ = ["CompileCounter", "CompileCounterWithBackend", "EagerAndRecordGraphs"]

__getattr__ = absent("_dynamo.testing").__getattr__


class CompileCounter:
    """A backend for ``torch.compile`` that counts what is compiled.

    Here that is each function which is given to it: it runs as a whole, and is never compiled
    again. No graph is made of it, so no operations are counted.

    Attributes
    ----------
    frame_count, op_count : int

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor._dynamo.testing import CompileCounter
    >>> counter = CompileCounter()
    >>> twice = dt.compile(lambda x: x * 2, backend=counter)
    >>> twice(dt.ones(2)), twice(dt.ones(3)), counter.frame_count
    (tensor([2., 2.]), tensor([2., 2., 2.]), 1)
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        self.frame_count = self.op_count = 0


class CompileCounterWithBackend(CompileCounter):
    """The same, with the name of another backend and a list for graphs, of which there are none."""

    def __init__(self, backend: str) -> None:
        self.backend = backend
        super().__init__()

    def clear(self) -> None:
        """Begin anew."""
        super().clear()
        self.graphs: list[Any] = []


class EagerAndRecordGraphs:
    """A backend that keeps graphs, of which there are none."""

    def __init__(self) -> None:
        self.graphs: list[Any] = []
