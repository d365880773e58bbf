"""The parts of loaders where PyTorch has them (``torch.utils.data._utils.collate``)."""

from devtensor.utils.data import collate

__all__ = ["collate"]
