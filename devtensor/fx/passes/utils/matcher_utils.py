"""Where a graph is found within another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from devtensor.fx.graph import Graph
from devtensor.fx.node import Node
from devtensor.tensor import Tensor

__all__ = ["InternalMatch", "SubgraphMatcher"]

Pairs = dict[Node, Any]
"""What each node of the pattern is in the graph: a node, or for a placeholder any value."""


@dataclass
class InternalMatch:
    """A place where a pattern was found.

    Attributes
    ----------
    anchors : list of Node
        The last nodes of the pattern.
    nodes_map : dict
        The node of the graph for each node of the pattern.
    placeholder_nodes : list
        What comes in: nodes, or other values.
    returning_nodes : list of Node
        What goes out.
    """

    anchors: list[Node]
    nodes_map: Pairs = field(default_factory=dict)
    placeholder_nodes: list[Any] = field(default_factory=list)
    returning_nodes: list[Node] = field(default_factory=list)


class SubgraphMatcher:
    """Finds a pattern in graphs, by what its nodes do and take; names do not count.

    Parameters
    ----------
    pattern : Graph
        Its placeholders stand for any value.
    match_output, match_placeholder : bool
        Whether outputs must be outputs, and placeholders placeholders.
    remove_overlapping_matches : bool
        Leave out what has nodes in common with what was found before.
    ignore_literals : bool
        Take other numbers and words for those of the pattern.

    Raises
    ------
    ValueError
        If the pattern is empty.
    AssertionError
        If it has nodes that nobody uses.
    """

    def __init__(
        self,
        pattern: Graph,
        match_output: bool = False,
        match_placeholder: bool = False,
        remove_overlapping_matches: bool = True,
        ignore_literals: bool = False,
    ) -> None:
        self.pattern = pattern
        self.match_output, self.match_placeholder = match_output, match_placeholder
        self.remove_overlapping_matches = remove_overlapping_matches
        self.ignore_literals = ignore_literals
        if not len(pattern.nodes):
            raise ValueError("SubgraphMatcher cannot be initialized with an empty pattern")
        for node in pattern.nodes:
            if node.op != "output" and not node.users:
                raise AssertionError(
                    "SubgraphMatcher cannot be initialized with an pattern with dead code: nobody "
                    f"uses {node}"
                )
        self.pattern_placeholder_nodes = [n for n in pattern.nodes if n.op == "placeholder"]
        output = pattern.output_node()
        self.pattern_returning_nodes = output.all_input_nodes
        self.pattern_anchors = (
            [output] if match_output else [n for n in output.all_input_nodes if len(n.users) == 1]
        )

    def match(self, graph: Graph, node_name_match: str = "") -> list[InternalMatch]:
        """All places in a graph where the pattern is, in the graph's order.

        What is inside of one is used there only; what it returns may be used by anybody.
        """
        found: list[InternalMatch] = []
        taken: set[Node] = set()
        ways = self._ways(self.pattern_anchors, graph, {}, node_name_match)
        for pairs in ways if self.pattern_anchors else ():
            inner = {gn for pn, gn in pairs.items() if pn.op not in ("placeholder", "output")}
            if not self._is_contained(pairs) or returns_to(inner):
                continue
            if self.remove_overlapping_matches and not taken.isdisjoint(inner):
                continue
            taken |= inner
            incoming = [pairs[pn] for pn in self.pattern_placeholder_nodes]
            outgoing = [pairs[pn] for pn in self.pattern_returning_nodes]
            found.append(InternalMatch(self.pattern_anchors, pairs, incoming, outgoing))
        return found

    def _ways(self, anchors: list[Node], graph: Graph, pairs: Pairs, name: str) -> Iterator[Pairs]:
        """The ways to find these last nodes of the pattern, and what they take, in a graph."""
        if not anchors:
            yield dict(pairs)
            return
        for node in graph.nodes:
            before = len(pairs)
            if self._pair(anchors[0], node, pairs, name):
                yield from self._ways(anchors[1:], graph, pairs, name)
            while len(pairs) > before:
                pairs.popitem()

    def _pair(self, pn: Node, gn: Any, pairs: Pairs, name: str = "") -> bool:
        """Whether a node of the pattern is this one of the graph; then `pairs` has it."""
        if pn in pairs:
            return type(pairs[pn]) is type(gn) and bool(pairs[pn] == gn)
        if pn.op == "placeholder" and not isinstance(gn, Node):
            pairs[pn] = gn
            return True
        if not isinstance(gn, Node) or gn in [v for v in pairs.values() if isinstance(v, Node)]:
            return False
        if not self._are_alike(pn, gn, name):
            return False
        pairs[pn] = gn
        if pn.op == "placeholder":
            return True
        same = list(pn.kwargs) == list(gn.kwargs)
        return same and self._all(
            [*pn.args, *pn.kwargs.values()], [*gn.args, *gn.kwargs.values()], pairs
        )

    def _all(self, ones: Any, others: Any, pairs: Pairs) -> bool:
        """Whether arguments are the same."""
        if len(ones) != len(others):
            return False
        for one, other in zip(ones, others, strict=True):
            if isinstance(one, Node):
                same = self._pair(one, other, pairs)
            elif isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
                same = self._all(one, other, pairs)
            elif isinstance(other, Node):
                same = False
            else:
                same = self.ignore_literals or (type(one) is type(other) and one == other)
            if not same:
                return False
        return True

    def _are_alike(self, pn: Node, gn: Node, name: str) -> bool:
        """Whether two nodes do the same, whatever they take."""
        if pn.op == "placeholder" and not self.match_placeholder:
            return True
        if name and name in gn.name:
            return True
        if pn.op != gn.op or pn.op in ("placeholder", "output"):
            return pn.op == gn.op
        if pn.op != "get_attr":
            return bool(pn.target == gn.target)
        values = [attrgetter(str(n.target))(n.graph.owning_module) for n in (pn, gn)]
        if type(values[0]) is type(values[1]) and not isinstance(values[0], Tensor):
            raise RuntimeError(f"Unsupported type {values[0]} when matching attributes")
        return type(values[0]) is type(values[1])

    def _is_contained(self, pairs: Pairs) -> bool:
        """Whether what the pattern does not return is used within it only."""
        inner = {gn: pn for pn, gn in pairs.items() if pn.op != "placeholder"}
        return all(
            pn in self.pattern_returning_nodes or all(user in inner for user in gn.users)
            for gn, pn in inner.items()
        )


def returns_to(inner: set[Node]) -> bool:
    """Whether nodes, taken as one, would use what they make."""
    waiting = [user for node in inner for user in node.users if user not in inner]
    seen: set[Node] = set()
    while waiting:
        node = waiting.pop()
        if node in inner:
            return True
        if node not in seen:
            seen.add(node)
            waiting.extend(node.users)
    return False
