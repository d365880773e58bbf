"""What PyTorch's own libraries are asked for (``torch.backends``): none of them is here."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


def _absent(**flags: Any) -> Any:
    """A library that is not available; its flags can be set and change nothing."""
    return SimpleNamespace(
        is_available=lambda: False, is_built=lambda: False, enabled=False, **flags
    )


cudnn = _absent(benchmark=False, deterministic=True, allow_tf32=False, version=lambda: None)
mps = _absent()
mkl = _absent()
mkldnn = _absent()
openmp = _absent()
cuda = _absent(matmul=SimpleNamespace(allow_tf32=False))
