"""Results that are not there yet (``torch.futures``), over the standard library's futures."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from typing import Any, Generic, TypeVar

__all__ = ["Future", "collect_all", "wait_all"]


T = TypeVar("T")


class Future(Generic[T]):
    """A result that will be there (``torch.futures.Future``).

    Parameters
    ----------
    devices : list of device, optional
        Accepted and without effect: results wait for their queue.

    Examples
    --------
    >>> from devtensor.futures import Future
    >>> one = Future()
    >>> two = one.then(lambda done: done.value() + 1)
    >>> one.set_result(1)
    >>> two.wait()
    2
    """

    def __init__(self, *, devices: Any = None) -> None:
        self._inner: concurrent.futures.Future[Any] = concurrent.futures.Future()

    def done(self) -> bool:
        """Whether the result, or an error, is there."""
        return self._inner.done()

    def wait(self) -> Any:
        """The result, once it is there; an error is raised."""
        return self._inner.result()

    def value(self) -> Any:
        """The result, which must be there.

        Raises
        ------
        RuntimeError
            If it is not.
        """
        if not self.done():
            raise RuntimeError("the Future has no value yet: call wait() instead of value()")
        return self._inner.result()

    def set_result(self, result: Any) -> None:
        """Put the result in; that is possible once.

        Raises
        ------
        RuntimeError
            If there is one, or an error.
        """
        if self.done():
            raise RuntimeError("a Future's result can be set only once, and this one is done")
        self._inner.set_result(result)

    def set_exception(self, result: BaseException) -> None:
        """Put an error in, in place of a result."""
        if not isinstance(result, BaseException):
            raise AssertionError(
                f"{result!r} is of type {type(result).__name__}, not an Exception."
            )
        self._inner.set_exception(result)

    def add_done_callback(self, callback: Callable[[Future[T]], Any]) -> None:
        """Call ``callback(self)`` once it is done."""
        self._inner.add_done_callback(lambda _: callback(self))

    def then(self, callback: Callable[[Future[T]], Any]) -> Future[Any]:
        """A future of what ``callback(self)`` returns once it is done."""
        after: Future[Any] = Future()

        def run(_: Any) -> None:
            try:
                after.set_result(callback(self))
            except Exception as error:
                after.set_exception(error)

        self._inner.add_done_callback(run)
        return after


def collect_all(futures: list[Future[Any]]) -> Future[list[Future[Any]]]:
    """A future of the list of futures, done once all of them are."""
    together: Future[list[Future[Any]]] = Future()
    left = len(futures)
    if not left:
        together.set_result([])

    def one_is_done(_: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            together.set_result(list(futures))

    for future in futures:
        future.add_done_callback(one_is_done)
    return together


def wait_all(futures: list[Future[Any]]) -> list[Any]:
    """The results of all, once they are there."""
    return [future.wait() for future in futures]
