"""Putting a graph in the place of another one, wherever that is found."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from devtensor.fx._symbolic_trace import symbolic_trace
from devtensor.fx.graph import Graph
from devtensor.fx.graph_module import GraphModule
from devtensor.fx.node import Node
from devtensor.fx.passes.utils.matcher_utils import InternalMatch, SubgraphMatcher
from devtensor.nn.module import Module

__all__ = ["Match", "ReplacedPatterns", "replace_pattern", "replace_pattern_with_filters"]


class Match(NamedTuple):
    """A place that was found.

    Attributes
    ----------
    anchor : Node
        The last node of the pattern.
    nodes_map : dict
        The node of the graph for each node of the pattern.
    """

    anchor: Node
    nodes_map: dict[Node, Any]


@dataclass
class ReplacedPatterns:
    """A `Match`, and the nodes that stand there now."""

    anchor: Node
    nodes_map: dict[Node, Any]
    replacements: list[Node]


def graph_of(given: Any) -> Graph:
    """The graph of a module or a function."""
    if isinstance(given, Graph):
        return given
    return given.graph if isinstance(given, GraphModule) else symbolic_trace(given).graph


def replace_pattern(gm: GraphModule, pattern: Any, replacement: Any) -> list[Match]:
    """Replace a pattern in the graph of a module wherever it is found.

    Parameters
    ----------
    gm : GraphModule
        It is changed.
    pattern, replacement : callable or GraphModule
        They take the same arguments, and the pattern uses all of them.

    Returns
    -------
    list of Match
        The places; those that overlap with one before are left out.

    Notes
    -----
    Reductions and some other functions record their options by name, however they were given:
    `sum(x, 0)` and `sum(x, dim=0)` are one pattern, which PyTorch tells apart. Methods are
    recorded as they are called.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor import fx
    >>> traced = fx.symbolic_trace(lambda x: (x + 1).relu() * 2)
    >>> found = fx.replace_pattern(traced, lambda a: a.relu(), lambda a: dt.tanh(a))
    >>> len(found), traced(dt.zeros(1))
    (1, tensor([1.5232]))
    """
    replaced = replace_pattern_with_filters(gm, pattern, replacement)
    return [Match(one.anchor, one.nodes_map) for one in replaced]


def replace_pattern_with_filters(
    gm: GraphModule,
    pattern: Any,
    replacement: Any = None,
    match_filters: Sequence[Callable[[InternalMatch, Graph, Graph], bool]] | None = None,
    ignore_literals: bool = False,
    replacement_callback: Callable[[InternalMatch, Graph, Graph], Graph] | None = None,
    node_name_match: str = "",
) -> list[ReplacedPatterns]:
    """Do as `replace_pattern`, where all filters agree.

    Parameters
    ----------
    gm : GraphModule
    pattern, replacement : callable, Graph or GraphModule
    match_filters : sequence of callable
        They get a place, the graph and the pattern's graph.
    ignore_literals : bool
        Take other numbers and words for those of the pattern.
    replacement_callback : callable, optional
        Makes the replacement for each place instead.
    node_name_match : str
        Nodes with this in their names are taken for the last ones of the pattern.

    Raises
    ------
    AssertionError
        If there is no replacement, its arguments or results are more or fewer, or the pattern
        does nothing.
    """
    if replacement is None and replacement_callback is None:
        raise AssertionError(
            "Must provide either a replacement GraphModule or a replacement callback"
        )
    graph, wanted = gm.graph, graph_of(pattern)
    if all(node.op in ("placeholder", "output") for node in wanted.nodes):
        raise AssertionError(
            "The insert point can't be None: the pattern only passes its arguments through; let it "
            "do something that can be replaced"
        )
    matcher = SubgraphMatcher(wanted, ignore_literals=ignore_literals)
    matches = [
        match
        for match in matcher.match(graph, node_name_match)
        if all(agrees(match, graph, wanted) for agrees in match_filters or ())
    ]
    common = None if replacement_callback is not None else graph_of(replacement)
    renewed: dict[Any, Any] = {}  # what stands where a node was
    results = []
    for match in matches:
        new = replacement_callback(match, graph, wanted) if replacement_callback else common
        assert new is not None
        match.placeholder_nodes = [renewed_by(renewed, n) for n in match.placeholder_nodes]
        match.nodes_map.update(
            {
                pn: renewed_by(renewed, match.nodes_map[pn])
                for pn in matcher.pattern_placeholder_nodes
            }
        )
        added = put(graph, match, new, renewed)
        for node in reversed(wanted.nodes):
            if node.op not in ("placeholder", "output"):
                graph.erase_node(match.nodes_map[node])
        results.append(ReplacedPatterns(match.anchors[0], match.nodes_map, added))
    gm.recompile()
    if isinstance(replacement, Module):
        take_over(gm, replacement)
    return results


def renewed_by(renewed: dict[Any, Any], value: Any) -> Any:
    """What stands where a node was before."""
    return renewed.get(value, value) if isinstance(value, Node) else value


def put(graph: Graph, match: InternalMatch, new: Graph, renewed: dict[Any, Any]) -> list[Node]:
    """Copy a graph to a place, and let it be used there; return its nodes."""
    incoming = [n for n in new.nodes if n.op == "placeholder"]
    if len(incoming) != len(match.placeholder_nodes):
        raise AssertionError(
            f"Placeholder count mismatch: {len(match.placeholder_nodes)} vs {len(incoming)}"
        )
    known = dict(zip(incoming, match.placeholder_nodes, strict=True))
    users = {user for node in match.returning_nodes for user in node.users}
    last = [n for n in graph.nodes if n in match.returning_nodes][-1]
    behind = next((n for n in graph.nodes if n in users), last.next)
    with graph.inserting_before(behind):
        results = graph.graph_copy(new, known)
    results = (results,) if isinstance(results, Node) else results
    if len(match.returning_nodes) != len(results):
        raise AssertionError(
            f"Returning nodes count mismatch: {len(match.returning_nodes)} vs {len(results)}"
        )
    for old, now in zip(match.returning_nodes, results, strict=True):
        old.replace_all_uses_with(now)
        renewed[old] = now
    return [node for key, node in known.items() if key not in incoming]


def take_over(gm: GraphModule, replacement: Module) -> None:
    """Copy the parts of a replacement that the graph names now."""
    gm.delete_all_unused_submodules()
    for node in gm.graph.nodes:
        target = str(node.target)
        if node.op not in ("call_module", "get_attr") or part_of(gm, target) is not None:
            continue
        part = part_of(replacement, target)
        if part is None:
            raise RuntimeError(
                f'Attempted to create a "{node.op}" node during subgraph rewriting with target '
                f"{target}, but the referenced attribute does not exist in the replacement "
                "GraphModule"
            )
        if isinstance(part, Module):
            gm.add_submodule(target, copy.deepcopy(part))
        else:
            setattr(gm, target, copy.deepcopy(part))
    gm.graph.lint()


def part_of(module: Module, target: str) -> Any:
    """A part of a module, or None."""
    path, _, name = target.rpartition(".")
    try:
        return getattr(module.get_submodule(path), name, None)
    except AttributeError:
        return None
