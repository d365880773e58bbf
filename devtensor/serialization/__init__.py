"""Checkpoints: saving tensors and what holds them, and loading them without running anything.

Files are PyTorch's own format, in both directions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from devtensor.device import device as Device
from devtensor.serialization._allowed import (
    add_safe_globals,
    clear_safe_globals,
    get_safe_globals,
    safe_globals,
)
from devtensor.serialization._copying import (
    deepcopy_tensor,
    rebuild_subclass,
    rebuild_tensor,
    reduce_tensor,
)
from devtensor.serialization._inspect import get_unsafe_globals_in_checkpoint
from devtensor.serialization._memory import Storage
from devtensor.serialization._options import (
    LoadEndianness,
    _get_restore_location,
    _is_zipfile,
    _should_read_directly,
    check_module_version_greater_or_equal,
    get_crc32_options,
    get_default_load_endianness,
    get_default_mmap_options,
    location_tag,
    normalize_storage_type,
    register_package,
    set_crc32_options,
    set_default_load_endianness,
    set_default_mmap_options,
    skip_data,
)
from devtensor.serialization._read import default_restore_location, load
from devtensor.serialization._write import save

MAP_LOCATION: TypeAlias = Callable[[Any, str], Any] | Device | str | dict[str, str] | None
"""What `map_location` may be."""

DEFAULT_PROTOCOL = 2
"""Pickle's protocol in files that nobody asks for another one."""

__all__ = [
    "DEFAULT_PROTOCOL",
    "MAP_LOCATION",
    "LoadEndianness",
    "Storage",
    "_get_restore_location",
    "_is_zipfile",
    "_should_read_directly",
    "add_safe_globals",
    "check_module_version_greater_or_equal",
    "clear_safe_globals",
    "deepcopy_tensor",
    "default_restore_location",
    "get_crc32_options",
    "get_default_load_endianness",
    "get_default_mmap_options",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "load",
    "location_tag",
    "normalize_storage_type",
    "rebuild_subclass",
    "rebuild_tensor",
    "reduce_tensor",
    "register_package",
    "safe_globals",
    "save",
    "set_crc32_options",
    "set_default_load_endianness",
    "set_default_mmap_options",
    "skip_data",
]


class SourceChangeWarning(Warning):
    """What PyTorch warns of code that is not as it was when a file was written; here nothing."""
