"""The graph of a model for TensorBoard: what backward would walk, by the modules it lies in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.versions_pb2 import VersionDef

import devtensor as dt
from devtensor.tensor import Tensor
from devtensor.utils._pytree import tree_leaves

__all__ = ["graph_of"]


def graph_of(model: Any, inputs: Any) -> Any:
    """The nodes that a call of `model` records, with their scopes and what they are made of."""
    given = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    arguments = [watched(one) for one in given]
    paths = dict(scopes(model))
    claimed: dict[Any, str] = {}
    starts: list[set[Any]] = []

    def enters(module: Any, args: Any) -> None:
        starts.append(nodes_of(args))

    def leaves(module: Any, args: Any, result: Any) -> None:
        before = starts.pop()
        for node in behind(nodes_of(result), before | claimed.keys()):
            claimed[node] = paths[module]

    training = {module: module.training for module in model.modules()}
    hooks = [m.register_forward_pre_hook(enters) for m in paths]
    hooks += [m.register_forward_hook(leaves) for m in paths]
    try:
        model.eval()
        with dt.enable_grad():
            outputs = model(*arguments)
    finally:
        for hook in hooks:
            hook.remove()
        for module, was in training.items():
            module.training = was
    return written(model, paths, claimed, arguments, outputs)


def written(
    model: Any, paths: dict[Any, str], claimed: dict[Any, str], arguments: Any, outputs: Any
) -> Any:
    """The nodes as TensorBoard reads them."""
    owners = {
        id(p): (f"{paths[module]}/{name}/{name}", "Parameter")
        for module in paths
        for name, p in module.named_parameters(recurse=False)
    }
    for number, x in enumerate(tree_leaves(arguments), 1):
        owners[id(x)] = f"input/input.{number}", "IO Node"
    ends = nodes_of(outputs)
    names: dict[Any, str] = {}
    found = []
    for number, node in enumerate(behind(ends, set()), 1):
        kind = node.name().removesuffix("0").removesuffix("Backward")
        name = f"{claimed.get(node, paths[model])}/{kind}_{number}"
        variable = getattr(node, "variable", None)
        if variable is not None:
            name, kind = owners.get(id(variable), (name, "Variable"))
        names[node] = name
        found.append((node, kind))
    nodes = [
        NodeDef(
            name=names[node], op=kind,
            input=[names[one] for one, _ in node.next_functions if one is not None],
        )
        for node, kind in found
    ]  # fmt: skip
    nodes += [
        NodeDef(
            name=f"output/output.{number}", op="IO Node",
            input=[names[x.grad_fn]] if x.grad_fn is not None else [],
        )
        for number, x in enumerate(tensors(outputs), 1)
    ]  # fmt: skip
    return GraphDef(node=nodes, versions=VersionDef(producer=22))


def watched(value: Any) -> Any:
    """An argument that what is computed from it can be followed back to."""
    if isinstance(value, Tensor) and (value.is_floating_point() or value.is_complex()):
        return value.detach().requires_grad_()
    return value


def scopes(model: Any) -> Iterator[tuple[Any, str]]:
    """Each module with its path: the class of each module around it, and its name in it."""
    known = {"": type(model).__name__}
    yield model, known[""]
    for name, module in model.named_modules():
        if name:
            around, _, own = name.rpartition(".")
            known[name] = f"{known[around]}/{type(module).__name__}[{own}]"
            yield module, known[name]


def tensors(value: Any) -> list[Tensor]:
    """The tensors in what a module was given or gives."""
    return [x for x in tree_leaves(value) if isinstance(x, Tensor)]


def nodes_of(value: Any) -> set[Any]:
    """The nodes of the tensors in it."""
    return {x.grad_fn for x in tensors(value) if x.grad_fn is not None}


def behind(ends: set[Any], stops: Any) -> list[Any]:
    """The nodes from which `ends` are computed, and these, up to `stops`."""
    found: dict[Any, None] = {}
    waiting = [node for node in ends if node not in stops]
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found[node] = None
        waiting += [one for one, _ in node.next_functions if one is not None and one not in stops]
    return [*found]
