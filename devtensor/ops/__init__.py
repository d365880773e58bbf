"""The operations, one file a family. A file that is put here is part of the catalogue."""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any

for _module in sorted(found.name for found in iter_modules(__path__)):
    if _module != "__main__":
        import_module(f"{__name__}.{_module}")


def __getattr__(name: str) -> Any:
    # PyTorch's place for operators of others, ``torch.ops.mine.scale``.
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    named = import_module("devtensor._ops")
    return named.load_library if name == "load_library" else named.namespace(name)
