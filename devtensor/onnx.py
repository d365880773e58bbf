"""ONNX export by name (``torch.onnx``): no such files are written here."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from devtensor.refusal import absent, refused

__all__ = ["dynamo_export", "export", "is_in_onnx_export", "is_onnxrt_backend_supported"]

WHY = "nothing writes ONNX files here; save the state_dict and export it from PyTorch"

export = refused("onnx.export", WHY)
dynamo_export = refused("onnx.dynamo_export", WHY)
_export = export


def register_custom_op_symbolic(*_: Any, **__: Any) -> None:
    """Accept how an operator is written to files, as none are written."""


def _no_argument_types(*_: str) -> Any:
    """Return a decorator that returns the function, which is never called."""
    return lambda function: function


symbolic_helper = ModuleType("devtensor.onnx.symbolic_helper")
symbolic_helper.parse_args = _no_argument_types  # type: ignore[attr-defined]


def __getattr__(name: str) -> Any:
    if name.startswith("symbolic_opset"):
        return absent(f"onnx.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def is_in_onnx_export() -> bool:
    """False."""
    return False


def is_onnxrt_backend_supported() -> bool:
    """False."""
    return False
