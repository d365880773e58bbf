"""The parts of loaders where PyTorch has them (``torch.utils.data._utils.collate``)."""

from devtensor.utils.data import _fetch as fetch
from devtensor.utils.data import _worker as worker
from devtensor.utils.data import collate

__all__ = ["collate", "fetch", "worker"]
