"""PyTorch's mixed precision, by name: everything is computed in the precision it is given in.

`autocast` changes nothing, so a program that asks for it gets results in full precision, and
`GradScaler` scales by 1 unless gradients are half precision numbers to begin with.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


class autocast(contextlib.ContextDecorator):
    """A block in which nothing is converted.

    Parameters
    ----------
    device_type : str
    dtype : dtype, optional
    enabled, cache_enabled : bool, optional
        All are accepted and without effect.
    """

    def __init__(
        self,
        device_type: str = "cuda",
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        self.device_type, self.dtype, self.enabled = device_type, dtype, enabled

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class GradScaler:
    """Steps an optimizer; as nothing is computed in half precision, nothing needs to be scaled."""

    def __init__(
        self, device: str = "cuda", init_scale: float = 1.0, enabled: bool = True, **options: Any
    ) -> None:
        self._enabled = enabled

    def scale(self, outputs: Any) -> Any:
        """Return the loss as it is."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Leave the gradients as they are."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Step the optimizer."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Keep the scale of 1."""

    def get_scale(self) -> float:
        """1."""
        return 1.0

    def is_enabled(self) -> bool:
        """What it was made with."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The state, for a checkpoint."""
        return {"scale": 1.0} if self._enabled else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Accept a state; the scale stays 1."""


def custom_fwd(fwd: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Return the function as it is."""
    return functools.partial(custom_fwd, **options) if fwd is None else fwd


def custom_bwd(bwd: Callable[..., Any] | None = None, **options: Any) -> Any:
    """Return the function as it is."""
    return functools.partial(custom_bwd, **options) if bwd is None else bwd
