"""Mixed precision by its older names (``torch.cuda.amp``): those of `devtensor.amp`, for CUDA."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib import import_module
from typing import Any

import devtensor as dt
from devtensor import amp
from devtensor.dtype import dtype as Dtype

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


def deprecated(name: str) -> None:
    """Warn as PyTorch does."""
    warnings.warn(
        f"`torch.cuda.amp.{name}(args...)` is deprecated. Please use `torch.amp.{name}('cuda', "
        "args...)` instead.",
        FutureWarning,
        stacklevel=3,
    )


class autocast(amp.autocast):
    """`amp.autocast` for CUDA devices."""

    def __init__(
        self, enabled: bool = True, dtype: Dtype = dt.float16, cache_enabled: bool = True
    ) -> None:
        deprecated("autocast")
        super().__init__("cuda", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """`amp.GradScaler` for CUDA devices."""

    def __init__(self, init_scale: float = 2.0**16, *settings: Any, **named: Any) -> None:
        deprecated("GradScaler")
        super().__init__("cuda", init_scale, *settings, **named)


def custom_fwd(fwd: Callable[..., Any] | None = None, *, cast_inputs: Dtype | None = None) -> Any:
    """`amp.custom_fwd` for CUDA devices."""
    deprecated("custom_fwd")
    return amp.custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def custom_bwd(bwd: Callable[..., Any]) -> Any:
    """`amp.custom_bwd` for CUDA devices."""
    deprecated("custom_bwd")
    return amp.custom_bwd(bwd, device_type="cuda")


def __getattr__(name: str) -> Any:
    if name in ("autocast_mode", "common", "grad_scaler"):  # PyTorch's files of what is here
        return import_module(__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
