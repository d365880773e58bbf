"""What each operation makes of sparse tensors: the one table, by the operation's name.

What has no line here is refused. A function that keeps zeros works on the values alone; whatever
adds up, moves or drops entries works on the coordinates, too. No rule says anything of gradients:
they are those of what it does with the values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.op import catalogue
from devtensor.sparse import _arithmetic, _linear, _make, _reduce, _rows, _shape, _write
from devtensor.sparse._make import coalesced
from devtensor.sparse._tensor import SparseTensor

Rule = Callable[..., Any]


def of_values(name: str, orderly: bool) -> Rule:
    """The rule of a function that keeps zeros; what is not linear asks for sums first."""

    def call(input: SparseTensor, *args: Any, **kwargs: Any) -> SparseTensor:
        source = coalesced(input) if orderly else input
        return source._like(catalogue[name].function(source._parts[1], *args, **kwargs))

    return call


def by_name(module: Any, names: str) -> dict[str, Rule]:
    """Some functions of a module by their names."""
    return {name: getattr(module, name) for name in names.split()}


LINEAR = "cast clone conj conj_physical imag neg positive real resolve_conj resolve_neg"
ORDERLY = """
abs asin asinh atan atanh ceil deg2rad erf erfinv expm1 floor frac log1p nan_to_num rad2deg relu
round sgn sign sin sinh sqrt square tan tanh trunc
"""
QUESTIONS = "isinf isnan isneginf isposinf signbit"

TABLE: dict[str, Rule] = {
    **{name: of_values(name, False) for name in LINEAR.split()},
    **{name: of_values(name, True) for name in (ORDERLY + QUESTIONS).split()},
    **by_name(_arithmetic, "add div floor_divide mul pow rsub sub"),
    **by_name(_linear, "addmm bmm hspmm linear matmul mm mv smm sspaddmm"),
    **by_name(_reduce, "any norm"),
    "sum": _reduce.total,
    "linalg_vector_norm": _reduce.vector_norm,
    "log_softmax": _reduce.softmax("log_softmax"),
    "softmax": _reduce.softmax("softmax"),
    **by_name(_shape, "cat index_select narrow_copy permute select stack t transpose unsqueeze"),
    "true_divide": _arithmetic.div,
    "__getitem__": _shape.item_at,
    "H": lambda input: _shape.t(input).conj(),
    "mH": lambda input: _shape.transpose(input, -2, -1).conj(),
    "mT": lambda input: _shape.transpose(input, -2, -1),
    "numpy_T": lambda input: _shape.permute(input, range(input.ndim)[::-1]),
    "coalesce": coalesced,
    "empty_like": _make.zeros_like,
    "new": _make.new,
    "new_empty": _make.new_zeros,
    "new_zeros": _make.new_zeros,
    "sparse_mask": _make.masked,
    "to_dense": _make.to_dense,
    "to_sparse": _make.again,
    "to_sparse_coo": _make.again,
    **{f"to_{kind.name}": _rows.to_layout(kind) for kind in _rows.TURNED},
    "zeros_like": _make.zeros_like,
    "resize_as_": _write.resize_as_sparse_,
    **by_name(_write, "copy_ resize_as_sparse_ sparse_resize_ sparse_resize_and_clear_ zero_"),
    "__complex__": lambda input: complex(input.item()),
    "__float__": lambda input: float(input.item()),
    "__index__": lambda input: input.to_dense().__index__(),
    "__int__": lambda input: int(input.item()),
    "cpu": lambda input, **_: input.to("cpu"),
    "cuda": lambda input, device=None, **_: input.to("cuda" if device is None else device),
    "type_as": lambda input, other: input.to(other.dtype).to(other.device),
    "xpu": lambda input, device=None, **_: input.to("xpu" if device is None else device),
}
"""The rule of each operation, and of what else tensors do."""

IN_PLACE = f"""
add addmm conj_physical div true_divide floor_divide mul neg pow sub t transpose unsqueeze
{ORDERLY}
"""
# Operators have operations of their own.
OPERATORS = {
    op.name: op.shown
    for op in [entry.op for entry in catalogue.values()]
    if op is not None and op.name != op.shown and op.shown in IN_PLACE.split()
}
TABLE |= {f"{name}_": _write.writes(f"{name}_", TABLE[name]) for name in IN_PLACE.split()}
TABLE |= {f"{name}_": TABLE[f"{shown}_"] for name, shown in OPERATORS.items()}
