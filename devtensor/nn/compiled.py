"""What ``torch.compile`` makes of a module: one around it, of which nothing is compiled."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from devtensor.nn.module import Module

__all__ = ["OptimizedModule"]


class OptimizedModule(Module):
    """A module around another one, which it calls (``torch._dynamo.OptimizedModule``).

    Its attributes are those of the module inside, `_orig_mod`. Names of parameters and keys of its
    ``state_dict`` begin with that, as in checkpoints of modules that PyTorch compiled.

    Examples
    --------
    >>> import devtensor as dt
    >>> model = dt.compile(dt.nn.Linear(2, 1))
    >>> list(model.state_dict()), model.in_features, model(dt.ones(3, 2)).shape
    (['_orig_mod.weight', '_orig_mod.bias'], 2, torch.Size([3, 1]))
    """

    def __init__(self, mod: Module, dynamo_ctx: Any = None) -> None:
        super().__init__()
        self._modules["_orig_mod"] = mod

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module inside, with its hooks."""
        return self._modules["_orig_mod"](*args, **kwargs)

    @property
    def training(self) -> bool:
        """Whether the module inside is in training mode."""
        return self._modules["_orig_mod"].training

    @training.setter
    def training(self, mode: bool) -> None:
        self._modules["_orig_mod"].training = mode

    def __len__(self) -> int:
        inner = self._modules["_orig_mod"]
        if isinstance(inner, Sized):
            return len(inner)
        raise TypeError(f"{type(inner).__name__} does not support len()")

    def __bool__(self) -> bool:
        return True

    def __reduce__(self) -> Any:
        return OptimizedModule, (self._modules["_orig_mod"],)

    def __getattr__(self, name: str) -> Any:
        inner = self.__dict__["_modules"]["_orig_mod"]
        return inner if name == "_orig_mod" else getattr(inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        own = hasattr(type(self), name) or name in self.__dict__
        super().__setattr__(name, value) if own else setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name) if name in self.__dict__ else delattr(self._orig_mod, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._orig_mod), "_orig_mod"})
