"""The operations, one file a family. A file that is put here is part of the catalogue."""

from importlib import import_module
from pkgutil import iter_modules

for _module in sorted(found.name for found in iter_modules(__path__)):
    if _module != "__main__":
        import_module(f"{__name__}.{_module}")
