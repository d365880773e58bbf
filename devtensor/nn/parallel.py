"""DataParallel, for programs written for several devices."""

from __future__ import annotations

from typing import Any

from devtensor.nn.module import Module

__all__ = ["DataParallel"]


class DataParallel(Module):
    """Runs a module on the one device where it is; the state has its names under `module.`."""

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        self.module = module
        self.device_ids = device_ids or []
        self.output_device = output_device
        self.dim = dim

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        return self.module(*inputs, **kwargs)
