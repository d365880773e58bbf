"""Whether coordinates are checked where nothing is said (``check_sparse_tensor_invariants``)."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

_checked: ContextVar[bool] = ContextVar("checked", default=False)


class check_sparse_tensor_invariants:
    """A block, or a decorator, in which coordinates of sparse tensors must lie inside their size.

    Parameters
    ----------
    enable : bool, optional
        Whether they are checked.

    Examples
    --------
    >>> import devtensor as dt
    >>> with dt.sparse.check_sparse_tensor_invariants():
    ...     dt.sparse_coo_tensor([[0, 5]], [1.0, 2.0], (3,))
    Traceback (most recent call last):
    RuntimeError: size is inconsistent with indices: for dim 0, size is 3 but found index 5
    """

    def __init__(self, enable: bool = True) -> None:
        self.wanted = enable
        self.before: list[bool] = []

    @staticmethod
    def is_enabled() -> bool:
        """Whether coordinates are checked."""
        return _checked.get()

    @staticmethod
    def enable() -> None:
        """Check coordinates from now on."""
        _checked.set(True)

    @staticmethod
    def disable() -> None:
        """Check them no more."""
        _checked.set(False)

    def __enter__(self) -> None:
        self.before.append(_checked.get())
        _checked.set(self.wanted)

    def __exit__(self, *_: object) -> None:
        _checked.set(self.before.pop())

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with type(self)(self.wanted):
                return function(*args, **kwargs)

        return call
