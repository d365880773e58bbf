"""ONNX export by name (``torch.onnx``): no such files are written here."""

from __future__ import annotations

from devtensor.refusal import refused

__all__ = ["dynamo_export", "export", "is_in_onnx_export", "is_onnxrt_backend_supported"]

WHY = "nothing writes ONNX files here; save the state_dict and export it from PyTorch"

export = refused("onnx.export", WHY)
dynamo_export = refused("onnx.dynamo_export", WHY)
_export = export


def is_in_onnx_export() -> bool:
    """False."""
    return False


def is_onnxrt_backend_supported() -> bool:
    """False."""
    return False
