"""The class of modules that ``torch.compile`` returns, by its home in PyTorch."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "OptimizedModule":
        from devtensor.nn.compiled import OptimizedModule

        return OptimizedModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
