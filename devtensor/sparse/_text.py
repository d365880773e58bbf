"""How a sparse tensor looks as text."""

from __future__ import annotations

from typing import Any

from devtensor import printing

INDENT = len("tensor(")


def part(name: str, tensor: Any) -> str:
    """Coordinates or values, with their shape if there are none."""
    head = f"{name}=tensor("
    if tensor.numel():
        return f"{head}{printing.values(tensor.detach(), INDENT + len(head))})"
    return f"{head}[], size={tuple(tensor.shape)})"


def text(tensor: Any, parts: dict[str, Any], apart: bool) -> str:
    """The parts of a tensor, line by line, and behind them what else is to be said of it.

    Parameters
    ----------
    tensor : Tensor
    parts : dict of str to Tensor
        Coordinates and values by their names.
    apart : bool
        Whether the rest begins a line of its own.
    """
    *_, values = parts.values()
    shown = f",\n{' ' * INDENT}".join([part(name, one) for name, one in parts.items()])
    # Where and of what type it is, as is said of one value.
    said = printing.suffixes(values.new_ones(()))
    where = [one for one in said if one.startswith("device=")]
    kind = [one for one in said if one not in where]
    shape = [f"size={tuple(tensor.shape)}", f"nnz={tensor._nnz()}"]
    node = tensor.grad_fn
    flag = ["requires_grad=True"] if tensor.requires_grad else []
    graph = flag if node is None else [f"grad_fn=<{tensor._origin or node.name()}>"]
    said = [*where, *shape, *kind, f"layout={tensor.layout}", *graph]
    return printing.with_suffixes(f"tensor({shown}", said, INDENT, apart)
