"""Reading a pickle without running anything: an interpreter of its own for an allow-list."""

from __future__ import annotations

import _compat_pickle
import io
import pickle
import struct
from collections import Counter, OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

from devtensor.serialization import _allowed
from devtensor.serialization._defaults import (
    calls,
    check_key,
    defaults,
    keys_of,
    make_frozenset,
)
from devtensor.serialization._names import StorageType, is_storage, storage_type

__all__ = ["Unpickler", "modern"]

# Mistakes that a damaged or hostile file leads to. Errors that say more (RuntimeError) pass.
BROKEN = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)


def modern(module: str, name: str) -> tuple[str, str]:
    """Python 3's name for what may be named in Python 2's way."""
    module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


class Unpickler:
    """Reads one pickle of plain data, tensors and what is on the allow-list.

    Parameters
    ----------
    file : binary file
        Read from where it stands.
    persistent_load : callable
        Gives the storage to a persistent id.
    encoding : str
        Of the byte strings of Python 2; ``"bytes"`` keeps them as bytes.
    """

    def __init__(
        self, file: Any, persistent_load: Callable[[Any], Any], encoding: str = "utf-8"
    ) -> None:
        self.file, self.persistent_load, self.encoding = file, persistent_load, encoding
        self.left = 0
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.user = _allowed.by_name()
        self.foreign: Exception | None = None

    def load(self) -> Any:
        """Read, and leave the file behind the pickle's end.

        Raises
        ------
        pickle.UnpicklingError
            If the pickle is damaged, or names what is not allowed.
        EOFError
            If it is cut off.
        """
        start = self.file.tell()
        self.left = self.file.seek(0, io.SEEK_END) - start
        self.file.seek(start)
        try:
            while True:
                code = self.read(1)
                if code == pickle.STOP:
                    return self.stack.pop()
                run = OPCODES.get(code)
                if run is None:
                    raise UnpicklingError(f"Unsupported operand {code[0]}")
                run(self)
        except UnpicklingError:
            raise
        except EOFError:
            raise
        except BROKEN as error:
            if error is self.foreign:
                raise
            raise UnpicklingError(
                f"the pickle is damaged ({type(error).__name__}: {error})"
            ) from error

    # -- bytes -----------------------------------------------------------------------------

    def read(self, count: int) -> bytes:
        self.left -= count
        if self.left < 0:  # before the memory for it is taken
            raise EOFError("Ran out of input: the file is cut off or damaged")
        data: bytes = self.file.read(count)
        if len(data) != count:
            raise EOFError("Ran out of input: the file is cut off or damaged")
        return data

    def line(self) -> str:
        data: bytes = self.file.readline(4096)
        self.left -= len(data)
        if data[-1:] != b"\n":
            raise UnpicklingError("the pickle is damaged: a name without an end")
        return data[:-1].decode()

    def number(self, form: str) -> int:
        value: int = struct.unpack(form, self.read(struct.calcsize(form)))[0]
        return value

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    # -- what could do harm ----------------------------------------------------------------

    def named(self, module: str, name: str) -> None:
        """Push what the allow-list has under a name."""
        module, name = modern(module, name)
        path = f"{module}.{name}"
        if module in _allowed.BLOCKED:
            raise UnpicklingError(
                f"Trying to load unsupported GLOBAL {path} whose module {module} is blocked."
            )
        if path in self.user:
            self.stack.append(self.user[path])
        elif path in defaults():
            self.stack.append(defaults()[path][0])
        elif is_storage(module, name):
            self.stack.append(storage_type(name))
        else:
            path = path.removeprefix("builtins.")
            raise UnpicklingError(
                f"Unsupported global: GLOBAL {path} was not an allowed global by default. "
                f"Please use `devtensor.serialization.add_safe_globals([{path}])` or the "
                f"`devtensor.serialization.safe_globals([{path}])` context manager to allowlist "
                "this global if you trust this class/function."
            )

    def global_(self) -> None:
        self.named(self.line(), self.line())

    def stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise UnpicklingError("the pickle is damaged: a name that is no text")
        self.named(module, name)

    def call(self, function: Any, args: Any) -> Any:
        """Call what is allowed to be called, and nothing else."""
        if type(args) is not tuple:
            raise UnpicklingError("the pickle is damaged: a call without arguments")
        call = calls().get(id(function))
        if call is None and self.is_allowed(function):
            call = function
        if call is None:
            raise UnpicklingError(f"Trying to call reduce for unrecognized function {function}")
        return call(*args)

    def is_allowed(self, value: Any) -> bool:
        return any(value is allowed for allowed in self.user.values())

    def reduce(self) -> None:
        args = self.stack.pop()
        self.stack[-1] = self.call(self.stack[-1], args)

    def newobj(self) -> None:
        args, kind = self.stack.pop(), self.stack.pop()
        if self.is_allowed(kind):
            self.stack.append(kind.__new__(kind, *args))
        elif isinstance(kind, type) and id(kind) in calls():
            self.stack.append(self.call(kind, args))
        else:
            raise UnpicklingError(
                "Can only create new object for nn.Parameter or classes allowlisted via "
                f"`add_safe_globals` but got {kind}"
            )

    def build(self) -> None:
        state = self.stack.pop()
        value = self.stack[-1]
        if type(value) is OrderedDict:
            if type(state) is not dict:
                raise UnpicklingError("the pickle is damaged: attributes without names")
            value.__dict__.update(state)
        elif self.is_allowed(type(value)):
            set_state(value, state)
        else:
            raise UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted via "
                f"`add_safe_globals`, but got {type(value)}"
            )

    def persistent(self) -> None:
        saved_id = self.stack.pop()
        if type(saved_id) is not tuple or not saved_id:
            raise UnpicklingError(f"persistent_load id must be tuple, but got {type(saved_id)}")
        if saved_id[0] not in ("storage", b"storage"):
            raise UnpicklingError(
                f"Only persistent_load of storage is allowed, but got {saved_id[0]!r:.80}"
            )
        if len(saved_id) < 5 or not isinstance(saved_id[1], StorageType):
            raise UnpicklingError("the pickle is damaged: a storage without a type")
        try:
            storage = self.persistent_load(saved_id)
        except Exception as error:  # the file's fault is not that of a user's map_location
            self.foreign = error
            raise
        self.stack.append(storage)

    # -- containers ------------------------------------------------------------------------

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise UnpicklingError(f"Can only append to lists, but got {type(self.stack[-1])}")
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) not in (dict, OrderedDict, Counter):
            raise UnpicklingError(
                "Can only SETITEMS for dict, collections.OrderedDict, collections.Counter, but "
                f"got {type(target)}"
            )
        for key, value in zip(items[::2], items[1::2], strict=True):
            check_key(key)
            target[key] = value

    def add_items(self) -> None:
        items = self.since_mark()
        if type(self.stack[-1]) is not set:
            raise UnpicklingError(f"Can only add to sets, but got {type(self.stack[-1])}")
        self.stack[-1].update(keys_of(items))

    def mark(self) -> None:
        self.marks.append(self.stack)
        self.stack = []

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise UnpicklingError("the pickle is damaged: a tuple of too few items")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    # -- plain values ----------------------------------------------------------------------

    def proto(self) -> None:
        version = self.read(1)[0]
        if version > pickle.HIGHEST_PROTOCOL:
            raise UnpicklingError(f"unsupported pickle protocol: {version}")

    def text(self, form: str) -> None:
        self.stack.append(self.read(self.number(form)).decode("utf-8", "surrogatepass"))

    def old_string(self, form: str) -> None:
        count = self.number(form)
        if count < 0:
            raise UnpicklingError("the pickle is damaged: a string of negative length")
        data = self.read(count)
        self.stack.append(data if self.encoding == "bytes" else data.decode(self.encoding))

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def long(self, form: str) -> None:
        count = self.number(form)
        if count < 0:
            raise UnpicklingError("the pickle is damaged: a number of negative length")
        self.stack.append(pickle.decode_long(self.read(count)))

    def put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    def get(self, place: int) -> None:
        if place not in self.memo:
            raise UnpicklingError(f"Memo value not found at index {place}")
        self.stack.append(self.memo[place])


def set_state(value: Any, state: Any) -> None:
    """Do what a pickle does to a new object of a class that the user allowed."""
    if hasattr(value, "__setstate__"):
        value.__setstate__(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        value.__dict__.update(state)
    for name, item in (slots or {}).items():
        setattr(value, name, item)


OPCODES: dict[bytes, Callable[[Unpickler], Any]] = {
    pickle.PROTO: Unpickler.proto,
    pickle.FRAME: lambda u: u.read(8),
    pickle.GLOBAL: Unpickler.global_,
    pickle.STACK_GLOBAL: Unpickler.stack_global,
    pickle.REDUCE: Unpickler.reduce,
    pickle.NEWOBJ: Unpickler.newobj,
    pickle.BUILD: Unpickler.build,
    pickle.BINPERSID: Unpickler.persistent,
    pickle.MARK: Unpickler.mark,
    pickle.POP: lambda u: u.stack.pop() if u.stack else u.since_mark(),
    pickle.POP_MARK: Unpickler.since_mark,
    pickle.TUPLE: lambda u: u.push(tuple(u.since_mark())),
    pickle.TUPLE1: lambda u: u.tuple_of(1),
    pickle.TUPLE2: lambda u: u.tuple_of(2),
    pickle.TUPLE3: lambda u: u.tuple_of(3),
    pickle.EMPTY_TUPLE: lambda u: u.push(()),
    pickle.EMPTY_LIST: lambda u: u.push([]),
    pickle.EMPTY_DICT: lambda u: u.push({}),
    pickle.EMPTY_SET: lambda u: u.push(set()),
    pickle.FROZENSET: lambda u: u.push(make_frozenset(u.since_mark())),
    pickle.APPEND: lambda u: u.extend([u.stack.pop()]),
    pickle.APPENDS: lambda u: u.extend(u.since_mark()),
    pickle.SETITEM: lambda u: u.set_items([u.stack.pop(-2), u.stack.pop()]),
    pickle.SETITEMS: lambda u: u.set_items(u.since_mark()),
    pickle.ADDITEMS: Unpickler.add_items,
    pickle.NONE: lambda u: u.push(None),
    pickle.NEWTRUE: lambda u: u.push(True),
    pickle.NEWFALSE: lambda u: u.push(False),
    pickle.BININT: lambda u: u.push(u.number("<i")),
    pickle.BININT1: lambda u: u.push(u.read(1)[0]),
    pickle.BININT2: lambda u: u.push(u.number("<H")),
    pickle.LONG1: lambda u: u.long("<B"),
    pickle.LONG4: lambda u: u.long("<i"),
    pickle.BINFLOAT: lambda u: u.push(u.number(">d")),
    pickle.BINUNICODE: lambda u: u.text("<I"),
    pickle.SHORT_BINUNICODE: lambda u: u.text("<B"),
    pickle.BINUNICODE8: lambda u: u.text("<Q"),
    pickle.BINSTRING: lambda u: u.old_string("<i"),
    pickle.SHORT_BINSTRING: lambda u: u.old_string("<B"),
    pickle.BINBYTES: lambda u: u.push(u.read(u.number("<I"))),
    pickle.SHORT_BINBYTES: lambda u: u.push(u.read(u.read(1)[0])),
    pickle.BINBYTES8: lambda u: u.push(u.read(u.number("<Q"))),
    pickle.BYTEARRAY8: lambda u: u.push(bytearray(u.read(u.number("<Q")))),
    pickle.BINGET: lambda u: u.get(u.read(1)[0]),
    pickle.LONG_BINGET: lambda u: u.get(u.number("<I")),
    pickle.BINPUT: lambda u: u.put(u.read(1)[0]),
    pickle.LONG_BINPUT: lambda u: u.put(u.number("<I")),
    pickle.MEMOIZE: lambda u: u.put(len(u.memo)),
}
