"""Classes of memory behind tensors (``torch.storage``), for programs that ask what something is."""

from __future__ import annotations

from devtensor.look import Storage as UntypedStorage
from devtensor.refusal import refused

__all__ = ["PyTorchFileReader", "PyTorchFileWriter", "TypedStorage", "UntypedStorage"]

TypedStorage = refused("TypedStorage", "memory is made by making a tensor: torch.empty")
PyTorchFileReader = refused("PyTorchFileReader", "files are read by torch.load")
PyTorchFileWriter = refused("PyTorchFileWriter", "files are written by torch.save")
