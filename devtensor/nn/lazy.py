"""Modules that find out the sizes of their parameters at the first call."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.nn.module import Module

__all__ = ["LazyModuleMixin"]


class LazyModuleMixin:
    """Mixed into a layer, lets its parameters wait for the first input.

    A subclass gives the class that it turns into as `cls_to_become`, keeps
    `UninitializedParameter`s, and materializes them in `initialize_parameters`.
    """

    cls_to_become: type[Module] | None = None
    _ready = False  # whether the first call has been

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give shape and first values to the parameters, from the inputs of the first call."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def has_uninitialized_params(self) -> bool:
        """Tell whether parameters or buffers still wait for a shape."""
        return any(True for _ in self._uninitialized())  # type: ignore[attr-defined]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._ready:
            with dt.no_grad():
                self.initialize_parameters(*args, **kwargs)
            if self.has_uninitialized_params():
                raise RuntimeError(
                    f"module {type(self).__name__} has not been fully initialized by "
                    "initialize_parameters"
                )
            self._ready = True
        if self.cls_to_become is None:
            return super().__call__(*args, **kwargs)  # type: ignore[misc]
        self.__class__ = self.cls_to_become  # type: ignore[assignment]
        return self(*args, **kwargs)
