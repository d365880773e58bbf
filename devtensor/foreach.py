"""One operation on each tensor of a list (``torch._foreach_add``): optimizers are made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import devtensor as dt
from devtensor.dtype import HALVES
from devtensor.halves import rounded
from devtensor.tensor import Tensor

__all__: list[str] = []

PURE = """
abs acos add addcdiv addcmul asin atan ceil clamp_max clamp_min clone cos cosh div erf erfc exp
expm1 floor frac lerp lgamma log log10 log1p log2 max maximum minimum mm mul neg norm pow powsum
reciprocal round rsqrt sigmoid sign sin sinh sqrt sub tan tanh trunc
"""
WRITES = frozenset(["copy_", "zero_"])
ALONE = frozenset(["clone", "max", "mm", "norm", "powsum"])
"""Those that are not there in place."""

OPERANDS = (
    "tensors1", "tensor1", "tensor2", "other", "scalar", "scalars", "exponent", "weight",
    "weights", "src", "mat2",
)  # fmt: skip
"""What the arguments after the first are called, in the order in which they are given."""


def _bounded(name: str, bound: str) -> Callable[..., Any]:
    """The larger or smaller of two, of which the second may be a number."""

    def either(input: Tensor, other: Any) -> Any:
        return getattr(input, name if isinstance(other, Tensor) else bound)(other)

    return either


def _weighted(name: str) -> Callable[..., Any]:
    """A product or quotient that is added, with its weight in fourth place."""

    def added(input: Tensor, tensor1: Tensor, tensor2: Tensor, value: Any = 1) -> Any:
        return getattr(input, name)(tensor1, tensor2, value=value)

    return added


def _times(input: Tensor, other: Any) -> Any:
    """A product in place; PyTorch rounds the numbers of these lists to two bytes."""
    return input.mul_(rounded(other, input.dtype) if input.dtype in HALVES else other)


OWN: dict[str, Callable[..., Any]] = {
    "maximum": _bounded("maximum", "clamp_min"),
    "maximum_": _bounded("clamp_min_", "clamp_min_"),
    "minimum": _bounded("minimum", "clamp_max"),
    "minimum_": _bounded("clamp_max_", "clamp_max_"),
    "mul_": _times,
    "norm": lambda input, ord=2, dtype=None: dt.linalg.vector_norm(input, ord, dtype=dtype),
    "pow": dt.pow,  # a number may have many exponents
    "powsum": lambda input, ord=2, dtype=None: input.abs().pow(ord).sum(dtype=dtype),
    **{name: _weighted(name) for name in ("addcdiv", "addcdiv_", "addcmul", "addcmul_")},
}
"""What is not a method of tensors with the same arguments."""


def _parts(name: str, operand: Any, count: int) -> Sequence[Any]:
    """An operand to each tensor of the list."""
    if isinstance(operand, Tensor) and operand.ndim and name.startswith("addc"):
        operand = operand.tolist()
    if isinstance(operand, (list, tuple)):
        if len(operand) == count:
            return operand
        if operand and isinstance(operand[0], Tensor):
            raise RuntimeError(
                "Tensor lists must have the same number of tensors, "
                f"got {count} and {len(operand)} in _foreach_{name}"
            )
        raise RuntimeError(
            "Tensor list must have same number of elements as scalar list. "
            f"_foreach_{name} got {count} tensors and {len(operand)} numbers"
        )
    if isinstance(operand, Tensor) and operand.ndim:
        raise RuntimeError(
            f"scalar tensor expected to be 0 dim but it has {operand.ndim} dimensions and "
            f"{operand.numel()} elements. _foreach_{name} takes a list to give each tensor its own"
        )
    return (operand,) * count


def _made(name: str) -> Callable[..., Any]:
    """The operation of this name on lists."""
    function = OWN.get(name) or getattr(Tensor, name)

    def foreach(self: Any, *operands: Any, **options: Any) -> Any:
        given = (*operands, *(options.pop(key) for key in OPERANDS if key in options))
        lists = [one for one in (self, *given) if isinstance(one, (list, tuple))]
        if not lists or (name != "pow" and lists[0] is not self):
            raise TypeError(
                f"_foreach_{name}(): argument 'self' (position 1) must be tuple of Tensors, not "
                f"{type(self).__name__}"
            )
        count = len(lists[0])
        if count == 0:
            raise RuntimeError(f"Tensor list must have at least one tensor. _foreach_{name} got []")
        each = [_parts(name, one, count) for one in (self, *given)]
        for place, one in enumerate(lists[0]):
            if not isinstance(one, Tensor):
                raise TypeError(
                    f"expected Tensor as element {place} in argument 0 of _foreach_{name}, but got "
                    f"{type(one).__name__}"
                )
        made = [function(*parts, **options) for parts in zip(*each, strict=True)]
        return self if name.endswith("_") else tuple(made)

    foreach.__name__ = foreach.__qualname__ = f"_foreach_{name}"
    ends = (
        ", and of the others; they are written." if name.endswith("_") else ", and of the others."
    )
    foreach.__doc__ = f"``{name}`` of each tensor of a list{ends}"
    return foreach


NAMES = {
    *PURE.split(),
    *WRITES,
    *(f"{name}_" for name in PURE.split() if name not in ALONE),
}
globals().update({f"_foreach_{name}": _made(name) for name in sorted(NAMES)})
