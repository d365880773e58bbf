"""Gives the catalogue to `Tensor`: methods, in-place forms, operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.autograd.write import turn
from devtensor.dtype import can_cast
from devtensor.fast import operand, operator_form
from devtensor.op import Entry, catalogue, in_place
from devtensor.route import PLAIN, hand_over, routed
from devtensor.tensor import Tensor

REFLECTED = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul",
    "and", "or", "xor", "lshift", "rshift",
)  # fmt: skip
UNARY = ("neg", "pos", "abs", "invert")


def in_place_operator(write: Any) -> Callable[[Any, Any], Any]:
    """An operator such as ``+=``."""

    def call(self: Any, other: Any, /) -> Any:
        return write(self, other) if operand(other) else NotImplemented

    return call


def give_operators(entry: Entry) -> None:
    """Put an operation's operator on `Tensor`, with its reflected and in-place forms."""
    op = entry.op
    if op is None or op.operator is None:
        return
    name = op.operator
    if name in UNARY:
        setattr(Tensor, f"__{name}__", operator_form(op))
        return
    setattr(Tensor, f"__{name}__", operator_form(op))
    if name in REFLECTED:
        setattr(Tensor, f"__r{name}__", operator_form(op, reflected=True))
        if op.inplace:
            setattr(Tensor, f"__i{name}__", in_place_operator(in_place(entry.function)))


# Views whose in-place form changes how the tensor sees its own memory.
RESHAPING = ("squeeze", "unsqueeze", "transpose", "t")
# Composites that PyTorch has in place, too.
COMPOSITES = ("renorm", "float_power", "ldexp", "polygamma", "mvlgamma", "swapaxes", "swapdims")

# Those of them that write no other type than that of the result.
EXACT = ("float_power_",)


def part(function: Any) -> property:
    """A part of complex numbers, which can be set."""

    def write(self: Any, value: Any) -> None:
        function(self)[...] = value

    return property(function, write)


def over(function: Any, name: str) -> Any:
    """The in-place form of a composite: its result, copied over its input."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = function(self.clone(), *args, **kwargs)
        if name in EXACT and result.dtype is not self.dtype:
            raise RuntimeError(
                f"the base given to {name} has dtype {self.dtype.legacy} but the operation's "
                f"result requires dtype {result.dtype.legacy}"
            )
        if not can_cast(result.dtype, self.dtype):
            raise RuntimeError(
                f"result type {result.dtype.legacy} can't be cast to the desired output type "
                f"{self.dtype.legacy}: {name}(); convert with .to() first"
            )
        return self.copy_(result)

    call.__name__ = name
    call.__doc__ = f"The in-place form of :func:`{name.rstrip('_')}`."
    return call


def reshaped(function: Any, name: str) -> Any:
    """The in-place form of a view: the tensor becomes its own view."""

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        return turn(self, function, args, kwargs, name)

    call.__name__ = name
    call.__doc__ = f"The in-place form of :func:`{name.rstrip('_')}`; it copies nothing."
    return call


def give() -> None:
    """Put all of the catalogue on `Tensor`."""
    for entry in catalogue.values():
        give_operators(entry)
        op = entry.op
        names = (entry.name, *entry.aliases)
        if not entry.public or entry.home == "nn":
            continue
        if entry.method and (entry.home in ("", "linalg") or op is None):
            for name in names:
                if not name.startswith("linalg_") and name not in vars(Tensor):
                    setattr(Tensor, name, entry.function)
        if op is not None and op.inplace and op.outputs is None:
            for name in names:
                if f"{name}_" not in vars(Tensor) and f"{name}_" not in catalogue:
                    setattr(Tensor, f"{name}_", in_place(entry.function))
        elif entry.name in RESHAPING:
            for name in names:
                setattr(Tensor, f"{name}_", reshaped(entry.function, f"{name}_"))
        elif entry.name in COMPOSITES:
            setattr(Tensor, f"{entry.name}_", over(entry.function, f"{entry.name}_"))
    for name in ("mT", "mH", "H"):
        setattr(Tensor, name, property(catalogue[name].function))
    for name in ("real", "imag"):
        setattr(Tensor, name, part(catalogue[name].function))
    for name in ("div", "rdiv", "idiv"):  # their names before Python 3
        setattr(Tensor, f"__{name}__", vars(Tensor)[f"__{name.replace('div', 'truediv')}__"])
    setattr(Tensor, "T", property(catalogue["numpy_T"].function))  # noqa: B010
    Tensor.__getitem__ = getitem  # type: ignore[method-assign]
    Tensor.__setitem__ = setitem  # type: ignore[method-assign]


def getitem(self: Any, key: Any) -> Any:
    if self.__class__ is not Tensor and not PLAIN[self.__class__] and routed((self,)):
        return hand_over(getitem, (self, key), {})
    return read(self, key)


def setitem(self: Any, key: Any, value: Any) -> None:
    if self.__class__ is not Tensor and not PLAIN[self.__class__] and routed((self,)):
        hand_over(setitem, (self, key, value), {})
    else:
        store(self, key, value)


getitem.__name__, setitem.__name__ = "__getitem__", "__setitem__"


from devtensor.ops.index import getitem as read  # noqa: E402
from devtensor.ops.index import setitem as store  # noqa: E402

give()
