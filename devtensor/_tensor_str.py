"""How tensors are printed, under the names of PyTorch's file (``torch._tensor_str``)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devtensor.printing import options as PRINT_OPTS
from devtensor.printing import set_printoptions
from devtensor.printing import values as _tensor_str

__all__ = ["PRINT_OPTS", "_tensor_str", "get_printoptions", "printoptions", "set_printoptions"]


def get_printoptions() -> dict[str, Any]:
    """What `set_printoptions` has set, by its names."""
    return {name: getattr(PRINT_OPTS, name) for name in PRINT_OPTS.__slots__}


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """A block in which tensors are printed in another way.

    Parameters
    ----------
    **options
        As for `set_printoptions`.
    """
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)
