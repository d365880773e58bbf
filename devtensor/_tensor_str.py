"""How tensors are printed, under the names of PyTorch's file (``torch._tensor_str``)."""

from devtensor.printing import options as PRINT_OPTS
from devtensor.printing import set_printoptions
from devtensor.printing import values as _tensor_str

__all__ = ["PRINT_OPTS", "_tensor_str", "set_printoptions"]
