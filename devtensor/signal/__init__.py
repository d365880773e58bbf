"""Signal processing: the names of ``torch.signal``."""

from devtensor.signal import windows

__all__ = ["windows"]
