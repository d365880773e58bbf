"""Writing checkpoints."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import secrets
import shutil
import struct
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from devtensor.device import device
from devtensor.hooks import HookDict
from devtensor.nn.parameter import Buffer, Parameter, is_lazy
from devtensor.serialization import _rebuild
from devtensor.serialization._archive import ALIGNMENT, ArchiveWriter
from devtensor.serialization._memory import Memory, raw
from devtensor.serialization._names import OF_DTYPE, UNTYPED, StorageType, torch_name
from devtensor.serialization._options import here, location_tag, options
from devtensor.settings import layout, strided
from devtensor.tensor import Tensor

__all__ = ["MAGIC", "PROTOCOL_VERSION", "save"]

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
PLAIN = frozenset({int, str, float, bool, list, dict, tuple, bytes, type(None), OrderedDict})


class Saved:
    """A reference to a storage in the pickle of a checkpoint."""

    __slots__ = ("count", "device", "key", "kind")

    def __init__(self, kind: StorageType, key: str, device: str, count: int) -> None:
        self.kind, self.key, self.device, self.count = kind, key, device, count


class Shelf:
    """The memory of the tensors of one checkpoint."""

    def __init__(self) -> None:
        self.flats: dict[str, Tensor] = {}
        self.keys: dict[Any, str] = {}
        self.places: dict[device, str] = {}

    def store(self, memory: Memory) -> Saved:
        """Put memory on the shelf, once."""
        flat = memory.flat
        key = self.keys.get(memory.key)
        if key is None:
            key = self.keys[memory.key] = str(len(self.keys))
            self.flats[key] = flat
        elif self.flats[key].dtype is not flat.dtype:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different "
                f"types ({self.flats[key].dtype} and {flat.dtype}); save a clone of one of them"
            )
        kind = OF_DTYPE.get(flat.dtype, UNTYPED)
        count = flat.numel() * (flat.dtype.itemsize if kind is UNTYPED else 1)
        place = self.places.get(flat.device)
        if place is None:
            place = self.places[flat.device] = location_tag(flat.untyped_storage())
        return Saved(kind, key, place, count)

    def reduce(self, tensor: Tensor) -> tuple[Any, ...]:
        """How a tensor stands in the pickle: as PyTorch's call that makes it again."""
        if is_lazy(tensor):
            data = tensor.data
            return type(tensor), (tensor.requires_grad, data.device, data.dtype)
        kind = type(tensor)
        if kind is Parameter:
            args: Any = (tensor.data, tensor.requires_grad, OrderedDict())
            if not tensor.__dict__:
                return _rebuild._rebuild_parameter, args
            return _rebuild._rebuild_parameter_with_state, (*args, dict(tensor.__dict__))
        make, args = self.call(tensor)
        state = dict(tensor.__dict__)
        if kind is Buffer:
            kind, state = Tensor, {"persistent": True, **state, "_is_buffer": True}
        if (kind is Tensor or tensor.layout is not strided) and not state:
            return make, args
        return _rebuild._rebuild_from_type_v2, (make, kind, args, state)

    def call(self, tensor: Tensor) -> tuple[Any, tuple[Any, ...]]:
        """The function that makes a plain tensor of these values again, and its arguments."""
        if tensor.layout is not strided:
            return tensor.__reduce_ex__(2)
        size = tuple(tensor.shape)
        if tensor.is_meta:
            args: Any = (tensor.dtype, size, tuple(tensor.stride()), tensor.requires_grad)
            return _rebuild._rebuild_meta_tensor_no_storage, args
        memory = Memory(tensor)
        saved = self.store(memory)
        args = (saved, memory.offset, size, memory.stride, tensor.requires_grad, OrderedDict())
        if saved.kind is UNTYPED:
            return _rebuild._rebuild_tensor_v3, (*args, tensor.dtype)
        return _rebuild._rebuild_tensor_v2, args


class Pickling:
    """What a checkpoint's pickler does unlike its base class."""

    shelf: Shelf
    # The format before the zip files says here also where a storage is part of another: nowhere.
    more: tuple[Any, ...] = ()

    def persistent_id(self, value: Any) -> Any:
        if type(value) is Saved:
            return ("storage", value.kind, value.key, value.device, value.count, *self.more)
        return None

    def reducer_override(self, value: Any) -> Any:
        if type(value) in PLAIN:
            return NotImplemented
        if isinstance(value, Tensor):
            return self.shelf.reduce(value)
        if type(value) is HookDict and not value:
            return OrderedDict, ()
        if type(value) is layout:
            return _rebuild._get_layout, (str(value),)
        if type(value) is device:
            return device, (value.type,) if value.index is None else (value.type, value.index)
        name = self.torch_name(value)
        if name is not None:
            return name[1]
        outer = getattr(super(), "reducer_override", None)
        return NotImplemented if outer is None else outer(value)

    def torch_name(self, value: Any) -> tuple[str, str] | None:
        return None


class Renaming(Pickling):
    """The same, and gives this library's things the names that PyTorch has for them."""

    # What the base class, Python's own pickler, has.
    proto: int
    write: Any
    memoize: Any
    save: Any

    def torch_name(self, value: Any) -> tuple[str, str] | None:
        return torch_name(value)

    def save_global(self, value: Any, name: str | None = None) -> None:
        known = torch_name(value)
        if known is None:
            super().save_global(value, name)  # type: ignore[misc]
            return
        if self.proto >= 4:
            self.save(known[0])
            self.save(known[1])
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + "{}\n{}\n".format(*known).encode())
        self.memoize(value)


def pickler(module: Any, file: Any, protocol: int, shelf: Shelf) -> Any:
    """A pickler of `module` that writes tensors as a checkpoint has them."""
    base = module._Pickler if module is pickle else module.Pickler
    extra = Renaming if issubclass(base, pickle._Pickler) else Pickling
    made = type("Pickler", (extra, base), {})(file, protocol=protocol)
    made.shelf = shelf
    return made


def save(
    obj: object,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object, with the tensors in it, to a file that PyTorch can read, too.

    Tensors that share memory still do so after `load`. A file that was there is replaced in one
    step, once the new one is complete.

    Parameters
    ----------
    obj : object
        A tensor, a state_dict, or anything that can be pickled.
    f : str, path or binary file
        Where to; a file needs only a method `write`.
    pickle_module : module
        Whose `Pickler` to use. Only Python's own, and those made from it, can give classes of this
        library the names that PyTorch knows.
    pickle_protocol : int

    Raises
    ------
    RuntimeError
        If the folder does not exist, or two tensors see the same memory with different dtypes.
    """
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
        )
    write = save_archive if _use_new_zipfile_serialization else save_legacy
    if not isinstance(f, (str, os.PathLike)):
        write(obj, f, "archive", pickle_module, pickle_protocol, not _disable_byteorder_record)
        return
    path = os.fsdecode(f)
    root = Path(path).stem
    root = root if root.isascii() and root.isprintable() else "archive"
    with replacing(path) as file:
        write(obj, file, root, pickle_module, pickle_protocol, not _disable_byteorder_record)


@contextlib.contextmanager
def replacing(path: str) -> Iterator[Any]:
    """A new file that takes the place of `path` when the block ends without an error."""
    target = os.path.realpath(path)
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {os.path.dirname(path) or '.'} does not exist.")
    if os.path.exists(target) and not os.path.isfile(target):  # a device, a pipe
        with open(target, "wb") as file:
            yield file
        return
    hidden = os.path.join(folder, f".{os.path.basename(target)[:200]}.{secrets.token_hex(6)}")
    try:
        with open(hidden, "xb") as file:
            yield file
        if os.path.exists(target):
            shutil.copymode(target, hidden)
        os.replace(hidden, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(hidden)
        raise


def save_archive(
    obj: object, file: Any, root: str, module: Any, protocol: int, byteorder: bool
) -> None:
    """Write the zip format."""
    shelf = Shelf()
    data = io.BytesIO()
    pickler(module, data, protocol, shelf).dump(obj)
    archive = ArchiveWriter(file, root, options.checksums)
    archive.add("data.pkl", data.getbuffer())
    archive.add(".format_version", b"1")
    archive.add(".storage_alignment", b"%d" % ALIGNMENT)
    if byteorder:
        archive.add("byteorder", sys.byteorder.encode())
    for key, flat in shelf.flats.items():
        data_of = raw(flat)
        archive.add(f"data/{key}", bytes(len(data_of)) if here.skipped else data_of)
    archive.close()


def save_legacy(
    obj: object, file: Any, root: str, module: Any, protocol: int, byteorder: bool
) -> None:
    """Write the format that PyTorch had before 1.6: pickles, then the storages."""
    if here.skipped:
        raise RuntimeError(
            "Cannot use skip_data=True with _use_new_zipfile_serialization=False: the older format "
            "has no space that could be left"
        )
    shelf = Shelf()
    info = {
        "protocol_version": PROTOCOL_VERSION,
        "little_endian": sys.byteorder == "little",
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    for value in (MAGIC, PROTOCOL_VERSION, info):
        pickle.dump(value, file, protocol=protocol)
    writer = pickler(module, file, protocol, shelf)
    writer.more = (None,)
    writer.dump(obj)
    keys = sorted(shelf.flats)
    pickle.dump(keys, file, protocol=protocol)
    for key in keys:
        flat = shelf.flats[key]
        data = raw(flat)
        size = 1 if flat.dtype not in OF_DTYPE else flat.dtype.itemsize
        file.write(struct.pack("=q", len(data) // size))
        file.write(data)
