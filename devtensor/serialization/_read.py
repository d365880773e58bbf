"""Reading checkpoints."""

from __future__ import annotations

import io
import mmap as mapping
import os
import pickle
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from devtensor.device import device as Device
from devtensor.serialization import _legacy
from devtensor.serialization._archive import Archive
from devtensor.serialization._memory import Storage
from devtensor.serialization._names import checked, find, text
from devtensor.serialization._options import LoadEndianness, here, options, registered
from devtensor.serialization._safe import Unpickler

__all__ = ["default_restore_location", "load"]

Place = Callable[[Storage, str], Storage]

ORDERS = {
    None: b"little",
    LoadEndianness.LITTLE: b"little",
    LoadEndianness.BIG: b"big",
    LoadEndianness.NATIVE: sys.byteorder.encode(),
}


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read what `save`, or PyTorch's, has written; by default without running anything in it.

    Parameters
    ----------
    f : str, path or binary file
        Where from; a file must be seekable.
    map_location : str, device, dict or callable, optional
        On which device to put what was saved on another: one for all; or a dictionary from names
        of devices to others; or a function of a storage and the name of its device.
    pickle_module : module, optional
        Whose `Unpickler` to use if `weights_only` is False.
    weights_only : bool, optional
        True, also when left out, reads tensors and plain data and nothing else, besides what
        `devtensor.serialization.add_safe_globals` allows. False reads every pickle, which can do
        anything: only for files that you trust. PyTorch's classes in it become this library's.
    mmap : bool, optional
        Leave the values in the file until they are used; changes to them stay in memory.
    **pickle_load_args
        Passed to the `Unpickler`, as ``encoding="latin1"``.

    Raises
    ------
    pickle.UnpicklingError
        If the file holds more than tensors and plain data, or is damaged.
    RuntimeError
        If the archive is damaged, a tensor lies outside its storage, or a device is not there.
    """
    if weights_only is None:
        weights_only = pickle_module is None
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    pickle_load_args.setdefault("encoding", "utf-8")
    place = placing(map_location)
    if weights_only:
        reader = partial(safe, encoding=pickle_load_args["encoding"])
    else:
        reader = partial(unsafe, pickle_module or pickle, pickle_load_args)
    if isinstance(f, (str, os.PathLike)):
        writes = mmap and options.flags == getattr(mapping, "MAP_SHARED", None)
        with open(f, "r+b" if writes else "rb") as file:
            return load_file(file, reader, place, bool(mmap), weights_only)
    for method in ("seek", "tell", "read", "readline"):
        if not hasattr(f, method):
            raise AttributeError(
                f"'{type(f).__name__}' object has no attribute '{method}'. You can only load from "
                "a file that is seekable. Please pre-load the data into a buffer like io.BytesIO "
                "and try to load from it instead."
            )
    if mmap:
        raise ValueError("f must be a file path in order to use the mmap argument")
    return load_file(f, reader, place, False, weights_only)


def load_file(file: Any, reader: Any, place: Place, mmap: bool, weights_only: bool) -> Any:
    """Read an open file of either format."""
    start = file.tell()
    head = file.read(4)
    file.seek(start)
    if not head:
        raise EOFError("Ran out of input: the file is empty")
    if head == b"PK\3\4":
        return load_archive(file, reader, place, mmap, weights_only)
    if mmap:
        raise RuntimeError(
            f"mmap can only be used with files saved with `torch.save({file.name}, "
            "_use_new_zipfile_serialization=True), please torch.save your checkpoint with this "
            "option in order to use mmap, or load it without."
        )
    return _legacy.load(file, reader, place, weights_only)


def load_archive(file: Any, reader: Any, place: Place, mmap: bool, weights_only: bool) -> Any:
    """Read the zip format."""
    archive = Archive(file)
    if "constants.pkl" in archive:
        raise RuntimeError(
            "the file is a TorchScript archive (torch.jit.save); devtensor has no TorchScript. "
            "Save the module's state_dict instead."
        )
    order = bytes(archive.read("byteorder")) if "byteorder" in archive else ORDERS[options.order]
    if order not in (b"little", b"big"):
        raise ValueError(f"Unknown endianness type: {order.decode('ascii', 'replace')}")
    swapped = order.decode() != sys.byteorder
    mapped = None
    if mmap:
        private = options.flags != getattr(mapping, "MAP_SHARED", None)
        access = mapping.ACCESS_COPY if private else mapping.ACCESS_WRITE
        mapped = mapping.mmap(file.fileno(), 0, access=access)
    storages: dict[str, Storage] = {}

    def persistent_load(saved_id: Any) -> Storage:
        kind, key, location, count = checked(saved_id, 5)
        found = storages.get(key)
        if found is None:
            name = f"data/{key}"
            size = archive.entry(name).file_size
            width = kind.dtype.itemsize
            if size != count * width:
                raise RuntimeError(
                    f"record size ({size} bytes) does not match expected size ({count * width} "
                    f"bytes = {count} elements * {width} bytes/element) for dtype "
                    f"{kind.dtype.legacy}"
                )
            found = Storage(contents(archive, name, size, width, mapped), kind.dtype, swapped)
            storages[key] = found = place(found, location)
        return found

    return reader(io.BytesIO(archive.read("data.pkl")), persistent_load)


def contents(archive: Archive, name: str, size: int, width: int, mapped: Any) -> Any:
    """The bytes of a record: the file's own pages if it is mapped and they are aligned."""
    if here.skipped:
        return bytearray(size)
    if mapped is not None and size and archive.entry(name).compress_type == 0:
        start = archive.start(name)
        if start % width == 0:
            return memoryview(mapped)[start : start + size]
    return archive.read(name)


# ---- pickles


def safe(file: Any, persistent_load: Callable[[Any], Any], encoding: str = "utf-8") -> Any:
    """Read a pickle without running anything."""
    try:
        return Unpickler(file, persistent_load, encoding).load()
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(
            f"Weights only load failed. {error}\n\n"
            "With `weights_only=True` (the default) only tensors, plain data and what "
            "`devtensor.serialization.add_safe_globals` allows are read, and nothing in the file "
            "is run. If, and only if, you trust the source of the file, `weights_only=False` reads "
            "the rest; it can execute arbitrary code."
        ) from error.__cause__


def unsafe(
    module: Any, options: dict[str, Any], file: Any, persistent_load: Callable[[Any], Any]
) -> Any:
    """Read any pickle with the `Unpickler` of `module`."""
    given = persistent_load

    class Renaming(module.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            return find(module, name, super().find_class)

        def persistent_load(self, saved_id: Any) -> Any:
            return given(saved_id)

    return Renaming(file, **options).load()


# ---- devices


def placing(map_location: Any) -> Place:
    """What puts a storage on its device.

    Raises
    ------
    TypeError
        If `map_location` is nothing that says so.
    """
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, (str, bytes, Device)):
        fixed = text(map_location)
        return lambda storage, location: default_restore_location(storage, fixed)
    if isinstance(map_location, dict):
        table = map_location
        return lambda storage, location: default_restore_location(
            storage, table.get(location, location)
        )
    if not callable(map_location):
        raise TypeError(
            "map_location must be a device, its name, a dict or a callable, not "
            f"{type(map_location).__name__}"
        )

    def ask(storage: Storage, location: str) -> Storage:
        result = map_location(storage, location)
        if result is None:
            return default_restore_location(storage, location)
        if not isinstance(result, Storage):
            raise TypeError(
                "map_location must return the storage, moved or not, or None; it returned a "
                f"{type(result).__name__}"
            )
        return result

    return ask


def default_restore_location(storage: Storage, location: Any) -> Storage:
    """Put a storage on the device called `location`.

    Raises
    ------
    RuntimeError
        If there is no such device here.
    """
    name = str(location)
    for _, _, deserializer in registered:
        found = deserializer(storage, name)
        if found is not None:
            return found
    if name == "cpu":
        return storage
    try:
        return storage.to(location)
    except RuntimeError as error:
        raise RuntimeError(
            "don't know how to restore data location of torch.storage.UntypedStorage (tagged with "
            f"{name}): {error} "
            "Please use load with map_location=devtensor.device('cpu') to map the tensors to the "
            "CPU."
        ) from error
