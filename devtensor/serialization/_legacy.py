"""The formats that PyTorch had before the zip files: a row of pickles, and before that a tar."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import tarfile
from collections.abc import Callable
from typing import Any

from devtensor.serialization._archive import fetch
from devtensor.serialization._memory import Storage
from devtensor.serialization._names import StorageType, checked
from devtensor.serialization._write import MAGIC, PROTOCOL_VERSION

__all__ = ["load"]

NO_CHECKPOINT = (
    "the file is no checkpoint: it is neither a zip archive nor in PyTorch's format before 1.6"
)


def load(
    file: Any, reader: Any, place: Callable[[Storage, str], Storage], weights_only: bool
) -> Any:
    """Read a file that is no zip archive.

    Raises
    ------
    pickle.UnpicklingError, RuntimeError, EOFError
        If it is damaged, or something else altogether.
    """
    start = file.tell()
    if start == 0 and is_tar(file):
        if weights_only:
            raise RuntimeError(
                "Cannot use ``weights_only=True`` with files saved in the legacy .tar format. "
                "Load it with `weights_only=False` if you trust the source of the file."
            )
        return load_tar(file, reader, place)
    size = file.seek(0, io.SEEK_END)
    file.seek(start)
    storages: dict[str, Storage] = {}
    taken = 0

    def persistent_load(saved_id: Any) -> Any:
        nonlocal taken
        if isinstance(saved_id, tuple) and saved_id and saved_id[0] in ("module", b"module"):
            return saved_id[1]
        kind, key, location, count = parts(saved_id)
        if key not in storages:
            taken += count * kind.dtype.itemsize
            if taken > size - start:
                raise RuntimeError(
                    f"the file ends before its storages do: they need {taken} bytes, and the file "
                    f"has {size - start}"
                )
            fresh = Storage(bytearray(count * kind.dtype.itemsize), kind.dtype)
            storages[key] = place(fresh, location)
        view = saved_id[5] if len(saved_id) > 5 else None
        return storages[key] if view is None else part_of(storages, storages[key], view)

    try:
        magic = reader(file, refuse)
    except EOFError:
        raise
    except Exception as error:  # whatever a pickle reader does with what is no pickle
        raise pickle.UnpicklingError(f"{NO_CHECKPOINT} ({first_line(error)})") from None
    if type(magic) is not int or magic != MAGIC:
        raise RuntimeError(f"Invalid magic number; corrupt file? {NO_CHECKPOINT}")
    version = reader(file, persistent_load)
    if version != PROTOCOL_VERSION:
        raise RuntimeError(f"Invalid protocol version: {version!r:.80}")
    info = reader(file, persistent_load)
    result = reader(file, persistent_load)
    keys = reader(file, persistent_load)
    little = info.get("little_endian", True) if isinstance(info, dict) else True
    if not isinstance(keys, list):
        raise RuntimeError("the file is damaged: it does not list its storages")
    for key in keys:
        if not isinstance(key, str) or key not in storages:
            raise RuntimeError(f"the file is damaged: nothing uses its storage {key!r:.80}")
        fill(storages[key], file, "<" if little else ">")
    missing = [key for key in storages if key not in keys]
    if missing:
        raise RuntimeError(f"the file is damaged: its storage {missing[0]!r:.80} is missing")
    return result


def refuse(saved_id: Any) -> Any:
    """What the first pickle may refer to: nothing."""
    raise pickle.UnpicklingError("it refers to something before it begins")


def first_line(error: Exception) -> str:
    return str(error).removeprefix("Weights only load failed. ").partition("\n")[0]


def parts(saved_id: Any) -> tuple[StorageType, str, str, int]:
    """The id of a storage, whose key may have been a number."""
    if isinstance(saved_id, tuple) and len(saved_id) > 2 and type(saved_id[2]) is int:
        saved_id = (*saved_id[:2], str(saved_id[2]), *saved_id[3:])
    return checked(saved_id, 5)


def part_of(storages: dict[str, Storage], root: Storage, view: Any) -> Storage:
    """A storage that is part of another, as files of the first versions have it."""
    key, offset, count = view
    key = str(key)
    if key not in storages:
        width = root.dtype.itemsize
        if type(offset) is not int or type(count) is not int or offset < 0 or count < 0:
            raise RuntimeError("the file is damaged: a storage is part of another in no way")
        if (offset + count) * width > root.nbytes():
            raise RuntimeError("the file is damaged: a storage lies outside the one it is part of")
        inner = memoryview(root.buffer)[offset * width : (offset + count) * width]
        storages[key] = Storage(inner, root.dtype, root.swapped)
        storages[key].device = root.device
    return storages[key]


def fill(storage: Storage, file: Any, order: str) -> None:
    """Read the bytes of a storage, for which the tensors have been waiting."""
    head = file.read(8)
    if len(head) != 8:
        raise EOFError("Ran out of input: the file is cut off within its storages")
    (count,) = struct.unpack(f"{order}q", head)
    size = storage.nbytes()
    if count * storage.dtype.itemsize != size:
        raise RuntimeError(
            f"the file is damaged: a storage has {count} elements where "
            f"{size // storage.dtype.itemsize} were announced"
        )
    data = fetch(file, size)
    if len(data) != size:
        raise EOFError("Ran out of input: the file is cut off within its storages")
    storage.buffer[:] = data
    storage.swapped = (order == "<") != (sys.byteorder == "little")
    storage.filled()


# ---- tar


def is_tar(file: Any) -> bool:
    file.seek(257)
    found: bool = file.read(5) == b"ustar"
    file.seek(0)
    return found


def load_tar(file: Any, reader: Any, place: Callable[[Storage, str], Storage]) -> Any:
    """Read the first format: three members of a tar archive."""
    objects: dict[Any, Any] = {}
    none: Callable[[Any], Any] = objects.__getitem__
    with tarfile.open(fileobj=file, mode="r:") as tar:
        stored = member(tar, "storages")
        for _ in range(reader(stored, none)):
            key, location, kind = reader(stored, none)
            (count,) = struct.unpack("<q", stored.read(8))
            data = fetch(stored, min(count * kind.dtype.itemsize, len(stored.getbuffer())))
            if len(data) != count * kind.dtype.itemsize:
                raise EOFError("Ran out of input: the file is cut off within its storages")
            objects[key] = place(Storage(data, kind.dtype), location)
        for target, root, offset, count in reader(stored, none):
            views = {str(target): objects[target]} if target in objects else {}
            objects[target] = part_of(views, objects[root], (target, offset, count))
        described = member(tar, "tensors")
        for _ in range(reader(described, none)):
            key, storage, _kind = reader(described, none)
            (ndim,) = struct.unpack("<i4x", described.read(8))
            if not 0 <= ndim <= 64:
                raise RuntimeError(f"the file describes a tensor of {ndim} dimensions")
            form = f"<{2 * ndim + 1}q"
            numbers = struct.unpack(form, described.read(struct.calcsize(form)))
            root = objects[storage]
            objects[key] = root.tensor(
                root.dtype, numbers[-1], numbers[:ndim], numbers[ndim : 2 * ndim]
            )

        def persistent_load(saved_id: Any) -> Any:
            return saved_id[0] if isinstance(saved_id, tuple) else objects[int(saved_id)]

        return reader(member(tar, "pickle"), persistent_load)


def member(tar: tarfile.TarFile, name: str) -> io.BytesIO:
    """A member of a tar archive, in memory."""
    found = tar.extractfile(name)
    if found is None:
        raise RuntimeError(f"the tar archive has no {name}")
    return io.BytesIO(found.read())
