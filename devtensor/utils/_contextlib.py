"""Blocks that decorate functions, too, by PyTorch's names (``torch.utils._contextlib``)."""

from __future__ import annotations

from contextlib import ContextDecorator
from typing import Any

__all__ = ["_DecoratorContextManager", "_NoParamDecoratorContextManager"]


class _DecoratorContextManager(ContextDecorator):
    """A block that decorates functions; each call gets a block of its own, from `clone`.

    Examples
    --------
    >>> from devtensor.utils._contextlib import _DecoratorContextManager
    >>> class Loud(_DecoratorContextManager):
    ...     def __enter__(self):
    ...         print("in")
    ...     def __exit__(self, *error):
    ...         print("out")
    >>> @Loud()
    ... def call():
    ...     print("called")
    >>> call()
    in
    called
    out
    """

    def __enter__(self) -> Any:
        raise NotImplementedError

    def __exit__(self, *error: object) -> Any:
        raise NotImplementedError

    def clone(self) -> Any:
        """Another such block; override it where one is made with arguments."""
        return self.__class__()

    def _recreate_cm(self) -> Any:
        return self.clone()


class _NoParamDecoratorContextManager(_DecoratorContextManager):
    """The same, which may decorate without parentheses."""

    def __new__(cls, orig_func: Any = None) -> Any:
        if orig_func is None:
            return super().__new__(cls)
        return cls()(orig_func)
