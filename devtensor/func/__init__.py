"""Functions of functions: derivatives and batching, as ``torch.func``."""

from devtensor.func._vmap import vmap as vmap
