"""What type stubs say where definitions and annotations say too little: tables, and their heads."""

from __future__ import annotations

HOMES = {
    "": "devtensor", "nn": "devtensor.nn.functional", "linalg": "devtensor.linalg",
    "special": "devtensor.special", "fft": "devtensor.fft",
}  # fmt: skip
"""Where public names live, by an entry's home."""
MODULES = ("nn.functional", "linalg", "special", "fft")
"""Modules that only gather names, and have stubs of their own."""

HEAD = "# Written by `python -m devtensor.ops --write`; do not edit.\n"
TYPES = """\
from builtins import (
    bool as _bool,
    complex as _complex,
    float as _float,
    int as _int,
    object as _object,
    str as _str,
    tuple as _tuple,
)
from collections.abc import Callable as _Callable, Iterator as _Iterator, Sequence as _Sequence
from typing import Any as _Any, Literal as _Literal, NamedTuple as _NamedTuple
from typing import Self as _Self, overload as _overload

from devtensor.device import device as _device
from devtensor.dtype import dtype as _dtype
from devtensor.random import Generator as _Generator
from devtensor.size import Size as _Size
from devtensor.tensor import Tensor as _Tensor
"""
ALIASES = """
_Number = _bool | _int | _float | _complex
_Dims = _int | _Sequence[_int]
_Place = _device | _str | _int | None
"""

WORDS = {
    "Any": "_Any",
    "Callable": "_Callable",
    "Device": "_device",
    "Dims": "_Dims",
    "Dtype": "_dtype",
    "Generator": "_Generator",
    "None": "None",
    "Sequence": "_Sequence",
    "Size": "_Size",
    "Tensor": "_Tensor",
    "bool": "_bool",
    "complex": "_complex",
    "dtype": "_dtype",
    "dtypes": "",
    "float": "_float",
    "int": "_int",
    "str": "_str",
    "tuple": "_tuple",
}
"""Names in annotations as the stubs have them."""

DOCUMENTED = {
    "Tensor": "_Tensor",
    "Tensor of bool": "_Tensor",
    "Tensor of int64": "_Tensor",
    "Tensor of int64 or int32": "_Tensor",
    "Tensor or None": "_Tensor | None",
    "Tensor or number": "_Tensor | _Number",
    "Tensor or float": "_Tensor | _float",
    "float or Tensor": "_Tensor | _float",
    "number or 0-d Tensor": "_Tensor | _Number",
    "int or Tensor": "_int | _Tensor",
    "number": "_Number",
    "bool": "_bool",
    "int": "_int",
    "float": "_float",
    "str": "_str",
    "dtype": "_dtype",
    "Generator": "_Generator",
    "sequence of int": "_Sequence[_int]",
    "sequence of Tensor": "_Sequence[_Tensor]",
    "int or tuple of int": "_Dims",
    "int or sequence of int": "_Dims",
}
"""Types as docstrings put them."""

TAKEN = {(f"conv{n}d", "padding"): "_Dims | _str" for n in (1, 2, 3)}
"""Types of parameters of which neither annotations nor docstrings say all, by operation."""

NUMBERS_FIRST = ("float_power",)
"""Composites whose `input` may be a number."""

NAMED = {
    "dtype": "_dtype | None",
    "generator": "_Generator | None",
    "keepdim": "_bool",
    "device": "_Place",
    "requires_grad": "_bool",
}
"""Types of parameters that mean the same everywhere."""

OVERLOADS: dict[str, tuple[tuple[str, str], ...]] = {
    **{
        name: (
            ("input: _Tensor", "_Tensor"),
            ("input: _Tensor, dim: _int, keepdim: _bool = False", "ValuesIndices"),
            *([("input: _Tensor, other: _Tensor", "_Tensor")] if name in ("max", "min") else []),
        )
        for name in ("max", "min", "median", "nanmedian")
    },
    "where": (
        ("condition: _Tensor", "_tuple[_Tensor, ...]"),
        (
            "condition: _Tensor, input: _Tensor | _Number, other: _Tensor | _Number",
            "_Tensor",
        ),
    ),
}
"""Functions whose result's type depends on their arguments."""

FLAGS = {
    "return_indices": "_tuple[_Tensor, _Tensor]",
    "return_inverse": "_tuple[_Tensor, ...]",
    "as_tuple": "_tuple[_Tensor, ...]",
}
"""What is returned where a flag is set, and not a tensor."""

MEMBERS = {
    "size": (("self", "_Size"), ("self, dim: _int", "_int")),
    "stride": (("self", "_tuple[_int, ...]"), ("self, dim: _int", "_int")),
    "type": (
        ("self, dtype: None = None, non_blocking: _bool = False", "_str"),
        ("self, dtype: _dtype | _str, non_blocking: _bool = False", "_Tensor"),
    ),
    "to": (
        (
            "self, dtype: _dtype, non_blocking: _bool = False, copy: _bool = False, *, "
            "memory_format: _Any = None",
            "_Tensor",
        ),
        (
            "self, device: _Place = None, dtype: _dtype | None = None, "
            "non_blocking: _bool = False, copy: _bool = False, *, memory_format: _Any = None",
            "_Tensor",
        ),
        (
            "self, other: _Tensor, non_blocking: _bool = False, copy: _bool = False, *, "
            "memory_format: _Any = None",
            "_Tensor",
        ),
    ),
    "where": (("self, condition: _Tensor, other: _Tensor | _Number", "_Tensor"),),
    "__getitem__": (("self, key: _Any", "_Tensor"),),
    "__setitem__": (("self, key: _Any, value: _Tensor | _Number", "None"),),
    "__iter__": (("self", "_Iterator[_Tensor]"),),
    "__contains__": (("self, element: _object", "_bool"),),
    "__reduce_ex__": (("self, protocol: _Any", "_Any"),),
    "__repr__": (("self", "_str"),),
    "_make_subclass": (("cls: _Any, data: _Any, require_grad: _bool = False", "_Any"),),
}
"""Methods that other files put on `Tensor` and whose annotations say too little."""

PLAIN = (
    "antialias", "destination", "dilation", "dim", "dims", "indices_or_sections", "kernel_size",
    "lambd", "normalized_shape", "output_padding", "output_ratio", "output_size", "pad", "padding",
    "repeats", "s", "scale_factor", "shape", "shapes", "size", "sizes", "source",
    "split_size_or_sections", "stride",
)  # fmt: skip
"""Parameters of composites for which a tuple of numbers in an example is no shape of a tensor."""

SILENT = (
    "__annotations__", "__dict__", "__doc__", "__init_subclass__", "__module__", "__new__",
    "__slots__", "__weakref__", "_alias", "_array", "_device", "_node", "_rest",
    "__annotate_func__", "__annotations_cache__", "__firstlineno__", "__static_attributes__",
)  # fmt: skip
BINARY = (
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor",
    "lshift", "rshift", "eq", "ne", "lt", "le", "gt", "ge",
)  # fmt: skip
OPERATORS = {
    **{f"{mark}{name}": 2 for name in BINARY for mark in ("", "r", "i")},
    **dict.fromkeys(("neg", "pos", "abs", "invert"), 1),
}
