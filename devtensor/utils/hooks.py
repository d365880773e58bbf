"""The handles of hooks, where PyTorch keeps them (``torch.utils.hooks``)."""

from devtensor.hooks import RemovableHandle

__all__ = ["RemovableHandle"]
