"""What `save` and `load` do for all that a program writes and reads."""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable
from enum import Enum
from threading import local
from typing import Any

from devtensor.serialization._memory import Storage

__all__ = [
    "LoadEndianness",
    "get_crc32_options",
    "get_default_load_endianness",
    "get_default_mmap_options",
    "here",
    "location_tag",
    "options",
    "register_package",
    "registered",
    "set_crc32_options",
    "set_default_load_endianness",
    "set_default_mmap_options",
    "skip_data",
]


class LoadEndianness(Enum):
    """The order of the bytes of a number."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


class Options:
    """What was chosen.

    Attributes
    ----------
    checksums : bool
        Whether `save` computes the checksums of records.
    order : LoadEndianness, optional
        In which order bytes are taken to be in files that do not say it.
    flags : int
        How files are mapped.
    """

    def __init__(self) -> None:
        self.checksums = True
        self.order: LoadEndianness | None = None
        self.flags = getattr(mmap, "MAP_PRIVATE", 2)


class Here(local):
    """What holds for a thread.

    Attributes
    ----------
    skipped : bool
        Whether the values of tensors are neither written nor read.
    """

    skipped = False


options, here = Options(), Here()


def get_crc32_options() -> bool:
    """Whether `save` computes the checksums of records; see `set_crc32_options`."""
    return options.checksums


def set_crc32_options(compute_crc32: bool) -> None:
    """Choose whether `save` computes checksums; without them damage to a file goes unnoticed."""
    options.checksums = bool(compute_crc32)


def get_default_load_endianness() -> LoadEndianness | None:
    """In which order bytes are taken to be in files that do not say it; None for little."""
    return options.order


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Choose in which order bytes are taken to be in files that do not say it.

    Raises
    ------
    TypeError
        If it is no `LoadEndianness`.
    """
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    options.order = endianness


def get_default_mmap_options() -> int:
    """How ``load(mmap=True)`` maps files: ``mmap.MAP_PRIVATE`` or ``mmap.MAP_SHARED``."""
    return options.flags


class set_default_mmap_options:
    """Choose how ``load(mmap=True)`` maps files, for a block or from here on.

    Parameters
    ----------
    flags : int
        ``mmap.MAP_PRIVATE``: what is written to tensors stays in memory. ``mmap.MAP_SHARED``: it
        goes to the file, which must be open to writes.

    Raises
    ------
    ValueError
        If it is neither.
    """

    def __init__(self, flags: int) -> None:
        if flags not in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
            raise ValueError(
                f"Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE "
                f"or mmap.MAP_SHARED, but got {flags}"
            )
        self.before, options.flags = options.flags, flags

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        options.flags = self.before


class skip_data:
    """A block in which the values of tensors are neither written nor read.

    `save` leaves space for them, and `load` gives tensors whose values are unset.

    Parameters
    ----------
    materialize_fake_tensors : bool
        Means nothing.
    """

    def __init__(self, materialize_fake_tensors: bool = False) -> None:
        self.materialize_fake_tensors = materialize_fake_tensors

    def __enter__(self) -> None:
        self.before, here.skipped = here.skipped, True

    def __exit__(self, *_: object) -> None:
        here.skipped = self.before


registered: list[tuple[int, Callable[[Any], Any], Callable[[Any, str], Any]]] = []
"""What programs have added for devices of their own, the first to be asked first."""


def register_package(
    priority: int, tagger: Callable[[Any], Any], deserializer: Callable[[Any, str], Any]
) -> None:
    """Let storages be marked, and put on devices, by functions of the program.

    Parameters
    ----------
    priority : int
        Who has the smaller number is asked first; PyTorch's own places have 10 and more.
    tagger : callable
        Gets a storage, and returns the name of its place, or None.
    deserializer : callable
        Gets a storage and the name of a place; returns the storage there, or None.
    """
    registered.append((priority, tagger, deserializer))
    registered.sort(key=lambda item: item[0])


def location_tag(storage: Any) -> str:
    """The name of the place of a storage, as files have it."""
    for _, tagger, _ in registered:
        found = tagger(storage)
        if found:
            return str(found)
    return str(storage.device)


def normalize_storage_type(storage_type: Any) -> Any:
    """A class of storages, by the name it has in ``torch``."""
    import devtensor

    return getattr(devtensor, storage_type.__name__)


def check_module_version_greater_or_equal(
    module: Any, req_version_tuple: tuple[int, ...], error_if_malformed: bool = True
) -> bool:
    """Whether a module says that its version is at least the one that is asked for.

    Raises
    ------
    RuntimeError
        If it says no version that can be compared, and `error_if_malformed`.
    """
    try:
        kinds = [type(number) for number in req_version_tuple]
        parts = module.__version__.split(".")
        own = tuple([kind(part) for kind, part in zip(kinds, parts, strict=False)])
    except (AttributeError, ValueError) as error:
        text = f"'{module.__name__}' module version string is malformed; expected numbers and dots"
        if error_if_malformed:
            raise RuntimeError(text) from error
        return True
    return own >= req_version_tuple


def _is_zipfile(f: Any) -> bool:
    """Whether an open file has the format of today."""
    start = f.tell()
    head = f.read(4)
    f.seek(start)
    return bool(head == b"PK\3\4")


def _should_read_directly(f: Any) -> bool:
    """Whether a file has a number, so that the system can read from it."""
    try:
        return bool(f.fileno() >= 0)
    except (io.UnsupportedOperation, AttributeError):
        return False


def _get_restore_location(map_location: Any) -> Callable[[Storage, str], Storage]:
    from devtensor.serialization._read import placing

    return placing(map_location)
