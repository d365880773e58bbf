"""What programs ask of ``torch._dynamo.utils``: whether they may call ``torch.compile``."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from devtensor.refusal import absent

__all__ = ["counters", "is_compile_supported"]

counters: defaultdict[str, Counter[str]] = defaultdict(Counter)
"""What the compiler has counted: nothing."""

__getattr__ = absent("_dynamo.utils").__getattr__


def is_compile_supported(device_type: Any) -> bool:
    """True: what is given to ``torch.compile`` runs on every device, as it is."""
    return True
