"""A counter of arithmetic (``torch.utils.flop_counter``)."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import wraps
from math import prod
from typing import Any

from devtensor._ops import OpOverloadPacket, namespace
from devtensor.tensor import Tensor
from devtensor.utils._flops import LAUNCHES, Operand
from devtensor.utils._pytree import tree_map
from devtensor.utils.module_tracker import ModuleTracker
from devtensor.watch import Watch, step

__all__ = ["FlopCounterMode", "register_flop_formula"]

Formula = Callable[..., int]
flop_registry: dict[Any, Formula] = {}
"""The formula of each operation that is counted; `register_flop_formula` adds to it."""


def get_shape(value: Any) -> Any:
    """The shape of a tensor; anything else as it is."""
    return value.shape if isinstance(value, (Tensor, Operand)) else value


def shape_wrapper(f: Formula) -> Formula:
    """Let a formula of shapes be called with tensors."""

    @wraps(f)
    def call(*args: Any, out_val: Any = None, **kwargs: Any) -> int:
        args, kwargs, out_shape = tree_map(get_shape, (args, kwargs, out_val))
        return f(*args, out_shape=out_shape, **kwargs)

    return call


def register_flop_formula(targets: Any, get_raw: bool = False) -> Callable[[Formula], Formula]:
    """Decorate a function that counts the arithmetic of an operation.

    Parameters
    ----------
    targets : OpOverloadPacket or list of OpOverloadPacket
        Such as ``torch.ops.mine.scale``.
    get_raw : bool
        Whether the function gets tensors and, as ``out_val``, the result. By default it gets
        shapes in their stead, and ``out_shape``.

    Raises
    ------
    ValueError
        If a target is not an operation.
    RuntimeError
        If it has a formula.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.utils.flop_counter import FlopCounterMode, register_flop_formula
    >>> thrice = dt.library.custom_op("mine::thrice", lambda x: x * 3, mutates_args=())
    >>> @register_flop_formula(dt.ops.mine.thrice)
    ... def formula(x_shape, out_shape=None):
    ...     return x_shape.numel()
    >>> with FlopCounterMode(display=False) as counter:
    ...     _ = thrice(dt.ones(2, 3))
    >>> counter.get_total_flops()
    6
    """

    def register(formula: Formula) -> Formula:
        made = formula if get_raw else shape_wrapper(formula)
        for target in targets if isinstance(targets, (list, tuple)) else [targets]:
            if not isinstance(target, OpOverloadPacket):
                raise ValueError(
                    "register_flop_formula(targets): expected each target to be OpOverloadPacket "
                    f"(i.e. torch.ops.mylib.foo), got {target} which is of type {type(target)}"
                )
            if target in flop_registry:
                raise RuntimeError(f"duplicate registrations for {target}")
            flop_registry[target] = made
        return made

    return register


# ---- what is counted: twice the products


aten = namespace("aten")


@register_flop_formula(aten.mm)
def mm_flop(a_shape: Any, b_shape: Any, *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
    """Count a product of two matrices."""
    (m, k), (_, n) = a_shape, b_shape
    return m * n * 2 * k


@register_flop_formula(aten.addmm)
def addmm_flop(
    self_shape: Any, a_shape: Any, b_shape: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    """Count a product of two matrices to which something is added."""
    return mm_flop(a_shape, b_shape)


@register_flop_formula(aten.bmm)
def bmm_flop(a_shape: Any, b_shape: Any, out_shape: Any = None, **kwargs: Any) -> int:
    """Count products of as many pairs of matrices."""
    (batch, m, k), (_, _, n) = a_shape, b_shape
    return batch * m * n * 2 * k


@register_flop_formula(aten.baddbmm)
def baddbmm_flop(
    self_shape: Any, a_shape: Any, b_shape: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    """Count products of pairs of matrices to which something is added."""
    return bmm_flop(a_shape, b_shape)


def conv_flop_count(
    x_shape: Sequence[int], w_shape: Sequence[int], out_shape: Sequence[int],
    transposed: bool = False,
) -> int:  # fmt: skip
    """Count a convolution: each element of the weight is used at each place."""
    places = (x_shape if transposed else out_shape)[2:]
    return prod(places) * prod(w_shape) * x_shape[0] * 2


@register_flop_formula(aten.convolution)
def conv_flop(
    x_shape: Any, w_shape: Any, _bias: Any, _stride: Any, _padding: Any, _dilation: Any,
    transposed: bool, *args: Any, out_shape: Any = None, **kwargs: Any,
) -> int:  # fmt: skip
    """Count a convolution, or a transposed one; its bias is nothing."""
    return conv_flop_count(x_shape, w_shape, out_shape, transposed)


@register_flop_formula(aten.convolution_backward)
def conv_backward_flop(
    grad_out_shape: Any, x_shape: Any, w_shape: Any, _bias: Any, _stride: Any, _padding: Any,
    _dilation: Any, transposed: bool, _output_padding: Any, _groups: int, output_mask: Any,
    out_shape: Any, **kwargs: Any,
) -> int:  # fmt: skip
    """Count the gradients of a convolution.

    That of the input is a convolution of the other kind. That of the weight is one of batches that
    take the place of channels; as in PyTorch each group is counted as if it saw all channels.
    """
    count = 0
    if output_mask[0]:
        count += conv_flop_count(grad_out_shape, w_shape, out_shape[0], not transposed)
    if output_mask[1]:
        images, kernel = (grad_out_shape, x_shape) if transposed else (x_shape, grad_out_shape)
        count += conv_flop_count(images[1::-1], [*kernel[1::-1], *kernel[2:]], out_shape[1])
    return count


# ---- the mode


class FlopCounterMode(Watch):
    """Counts the arithmetic of matrix products and convolutions in a block, forth and back.

    Parameters
    ----------
    mods : Module or list of Module, optional
        Not needed: all modules are followed.
    depth : int, optional
        How deep the table goes; None for all.
    display : bool
        Whether the table is printed at the end.
    custom_mapping : dict, optional
        Further formulas, as those of `register_flop_formula`, by their operations.

    Notes
    -----
    An operation is counted by the products that it makes: a recurrent layer or an attention by
    those of matrices in it. What PyTorch does not count is nothing here, too: products with
    vectors, decompositions, and whatever goes element by element.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.utils.flop_counter import FlopCounterMode
    >>> layer = dt.nn.Linear(4, 6)
    >>> with FlopCounterMode(display=False) as counter:
    ...     layer(dt.ones(3, 4)).sum().backward()
    >>> counter.get_total_flops()
    288
    >>> counter.get_flop_counts()["Linear"][dt.ops.aten.addmm]
    144
    """

    def __init__(
        self,
        mods: Any = None,
        depth: int | None = 2,
        display: bool = True,
        custom_mapping: dict[Any, Formula] | None = None,
    ) -> None:
        super().__init__()
        if mods is not None:
            text = "mods argument is not needed anymore, you can stop passing it"
            warnings.warn(text, stacklevel=2)
        self.flop_counts: dict[str, dict[Any, int]] = defaultdict(lambda: defaultdict(int))
        self.depth, self.display = depth, display
        further = {
            target: formula if getattr(formula, "_get_raw", False) else shape_wrapper(formula)
            for target, formula in (custom_mapping or {}).items()
        }
        self.flop_registry = {**flop_registry, **further}
        self._packets = {str(target): target for target in self.flop_registry}
        self.mod_tracker = ModuleTracker()
        self._within = 0  # how many operators with a formula are being called

    def get_total_flops(self) -> int:
        """All that was counted."""
        return sum(self.flop_counts["Global"].values())

    def get_flop_counts(self) -> dict[str, dict[Any, int]]:
        """What was counted: to each module, and ``"Global"``, the operations with their counts."""
        return {module: dict(counts) for module, counts in self.flop_counts.items()}

    def __enter__(self) -> FlopCounterMode:
        self.flop_counts.clear()
        self.mod_tracker.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.mod_tracker.__exit__(*error)
        if self.display:
            print(self.get_table(self.depth))

    # ---- what is told

    def add(
        self, op: Any, inputs: Any, params: Any, outs: Any, node: Any, *_: Any, **__: Any
    ) -> None:
        """Count a launch."""
        if op.name in LAUNCHES:
            for name, args, out in LAUNCHES[op.name](step(), inputs, params, outs):
                self._count(name, args, {}, out)
        else:
            named = dict(params)
            placed = [named.pop(name) for name in op.positional]
            self._count(op.shown, (*inputs, *placed), named, outs)

    def call_custom(self, name: str, args: Any, kwargs: Any, call: Callable[[], Any]) -> Any:
        """Count a call of an operator of a user's own, by its formula or by what it launches."""
        space, _, last = name.partition("::")
        whole = f"{space}.{last}" in self._packets
        self._within += whole
        try:
            made = call()
        finally:
            self._within -= whole
        self._count(last, args, kwargs, made, space)
        return made

    def _count(self, name: str, args: Any, kwargs: Any, out: Any, space: str = "aten") -> None:
        packet = self._packets.get(f"{space}.{name}")
        if packet is not None and not self._within:
            count = self.flop_registry[packet](*args, **kwargs, out_val=out)
            for module in self.mod_tracker.parents:
                self.flop_counts[module][packet] += count

    # ---- the table

    def get_table(self, depth: int | None = None) -> str:
        """What was counted, as text: modules down to a depth, and their operations."""
        depth = self.depth if depth is None else depth
        total = self.get_total_flops()
        power = max(0, min(len(SUFFIXES) - 1, (len(str(total)) - 2) // 3))

        def rows(module: str, indent: int) -> list[tuple[str, str, str]]:
            counts = self.flop_counts[module]
            lines = [(module, sum(counts.values()))]
            lines += [(f" - {packet}", count) for packet, count in counts.items()]
            return [
                (
                    " " * indent + name,
                    f"{count / 1000**power:.3f}{SUFFIXES[power]}",
                    f"{count / total:.2%}" if total else "0%",
                )
                for name, count in lines
            ]

        modules = sorted(name for name in self.flop_counts if name != "Global")
        shown = [name for name in modules if depth is None or name.count(".") < depth]
        whole = any(sum(self.flop_counts[name].values()) >= total for name in shown)
        lines = [] if whole or "Global" not in self.flop_counts else rows("Global", 0)
        for name in shown:
            lines += rows(name, name.count(".") + (not whole))
        return table(lines if total else [("Global", "0", "0%")])


SUFFIXES = ["", "K", "M", "B", "T"]


def table(rows: list[tuple[str, str, str]]) -> str:
    """Rows under a head, numbers at the right."""
    head = ("Module", "FLOP", "% Total")
    widths = [max(len(head[i]) + 2, *(len(row[i]) for row in rows)) for i in range(3)]
    lines = [head, *rows]
    text = [f"{a:<{widths[0]}}  {b:>{widths[1]}}  {c:>{widths[2]}}" for a, b, c in lines]
    return "\n".join([text[0], "  ".join("-" * width for width in widths), *text[1:]])
