"""The way back: from some tensors through the graph to others."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

from devtensor.autograd.mode import Block, current
from devtensor.autograd.node import Call, Leaf, Node, Part, hooked_leaves, mark_needed
from devtensor.autograd.settle import settle
from devtensor.autograd.step import _anomaly, pull, tell_origin
from devtensor.autograd.tensorspace import TENSORS
from devtensor.coo import Coo
from devtensor.device import device as Device
from devtensor.halves import half_space, is_half
from devtensor.hooks import called, called_by, described
from devtensor.ops.shape import spread
from devtensor.plan import LATER
from devtensor.route import Unrouted
from devtensor.space import natives, space_of
from devtensor.tensor import Constant, Tensor, wrap


class GradBlock(Block):
    """The grad flag during a backward pass."""

    kind = "grad"


class Walk:
    """One backward pass.

    Parameters
    ----------
    roots : list
        The places to begin at, each with its gradient; emptied when the pass begins.
    create_graph : bool
        Whether rules run on tensors instead of arrays, as they must where the pass is itself
        recorded or watched.
    keep : bool
        Whether what was saved stays.
    """

    def __init__(self, roots: list[tuple[Any, Any]], create_graph: bool, keep: bool) -> None:
        self.roots, self.create_graph, self.keep = roots, create_graph, keep
        self.heap: list[tuple[int, Node]] = []
        self.arrived: dict[Node, Any] = {}
        self.owned: set[Node] = set()
        self.leaves: list[Leaf] = []
        self.captures: dict[Node, dict[int, int]] = {}
        self.captured: dict[int, Any] = {}
        self.needed: dict[Node, bool] | None = None
        self.starts: list[Node] = [edge.node for edge, _ in roots]
        self.ends: list[Callable[[], None]] = []
        self.device: Device | None = None
        self.node: Node | None = None
        self.before: dict[Any, int] = {}
        self.awaited: dict[Node, list[Leaf]] = {}
        self.missing: dict[Leaf, int] = {}

    def aim(self, targets: Sequence[Any], accumulate: bool = False) -> None:
        """Go to these places only; keep their gradients, with `accumulate` but those of leaves."""
        for place, edge in enumerate(targets):
            if not (accumulate and isinstance(edge, Leaf)):
                self.captures.setdefault(edge.node, {})[edge.index] = place
        self.needed = mark_needed(self.starts, {edge.node for edge in targets})

    def enter(self, device: Device) -> None:
        """Make `device` the current one of its library, for the operators of rules."""
        self.device = device
        backend = device.backend
        if not backend.host:
            if backend not in self.before:
                self.before[backend] = backend.current()
            backend.set_current(device.index or 0)

    def leave(self) -> None:
        """Make the devices current again that were so before."""
        for backend, index in self.before.items():
            backend.set_current(index)
        self.before.clear()
        self.device = None

    # ---- gradients on their way

    def carrier(self) -> Callable[[Any, Any], None]:
        """The function that adds a gradient to what waits for a node."""
        arrived, heap, owned, leaves = self.arrived, self.heap, self.owned, self.leaves
        needed, fitted, create_graph = self.needed, self.fitted, self.create_graph

        def deliver(edge: Any, g: Any) -> None:
            if g is None:
                return
            if g.shape != edge.shape:
                g = fitted(g, edge)
            if edge.__class__ is Part:
                node = edge.node
                waiting = arrived.get(node)
                if waiting is None:
                    if needed is not None and node not in needed:
                        return
                    waiting = arrived[node] = [None] * node.count
                    heappush(heap, (-node.clock, node))
                one = waiting[edge.index]
                if one is not None and node.device is not self.device:  # g was carried there
                    self.enter(node.device)
                waiting[edge.index] = g if one is None else one + g
                return
            waiting = arrived.get(edge)
            if waiting is None:
                if needed is not None and edge not in needed:
                    return
                arrived[edge] = g
                if edge.__class__ is Leaf:
                    leaves.append(edge)
                else:
                    heappush(heap, (-edge.clock, edge))
                return
            if edge.device is not self.device:
                self.enter(edge.device)
            if edge in owned:
                arrived[edge] = edge.device.backend.added(waiting, g)
            else:
                arrived[edge] = total = waiting + g
                if not create_graph and total.__class__ is not Coo:
                    owned.add(edge)

        return deliver

    def expect(self) -> None:
        """Find the leaves with hooks, and the nodes that each of them waits for."""
        for node in self.reached():
            for edge in node.edges_in_turn():
                if edge.__class__ is Leaf and edge.extra is not None:
                    self.awaited.setdefault(node, []).append(edge)
                    self.missing[edge] = self.missing.get(edge, 0) + 1

    def passed(self, node: Node) -> None:
        """End at the leaves that waited for a node last: their hooks run in its turn."""
        for leaf in self.awaited.pop(node, ()):
            self.missing[leaf] -= 1
            if not self.missing[leaf] and leaf in self.arrived:
                self.leaves.remove(leaf)
                self.end(leaf)

    def end(self, leaf: Leaf) -> None:
        """Add what has arrived for a leaf to its ``.grad``, past its hooks."""
        g = self.arrived.pop(leaf)
        if leaf.device is not self.device:
            self.enter(leaf.device)
        if leaf.extra is None and leaf not in self.captures:
            settle(leaf, g, leaf in self.owned, self.create_graph)
            return
        g = self.observed(leaf, g)
        if leaf in self.captures or leaf.extra is None:
            return
        if leaf.extra.prehooks:
            g = self.prehooked(leaf, g)
        settle(leaf, g, False, self.create_graph)  # what hooks have seen they may have kept
        for hook in list(leaf.extra.hooks.values()):
            called(hook, leaf, (), (self.tensor(g, leaf),))

    def reached(self) -> set[Node]:
        """The nodes that the pass goes to."""
        if self.needed is not None:
            return set(self.needed)
        found: set[Node] = set()
        stack = list(self.starts)
        while stack:
            node = stack.pop()
            if node not in found:
                found.add(node)
                stack.extend([e.node for e in node.edges() if e is not None])
        return found

    def fitted(self, g: Any, edge: Any) -> Any:
        """A gradient summed down to the shape of what it belongs to.

        A sparse one stays so on its way to a leaf, unless a dense one waits there.
        """
        same = tuple(g.shape) == tuple(edge.shape)
        if g.__class__ is Coo:
            waiting = self.arrived.get(edge)
            if same and edge.__class__ is Leaf and waiting.__class__ in (Coo, type(None)):
                return g
            g = g.dense()
        if same:
            return g
        if self.create_graph:
            return spread(TENSORS, g, edge.shape)
        xp = half_space if is_half(g) else space_of
        return spread(xp(edge.node.device), g, edge.shape)

    def run(self, record: bool) -> None:
        """Go back from the roots until nothing waits, on the device of each node."""
        current()  # a thread's first use of the library may be here
        outer, _running.walk = _running.walk, self
        try:
            with GradBlock(record), Unrouted():  # rules are not what users override
                self.go()
        except Exception:
            if _anomaly[0] and self.node is not None:
                tell_origin(self.node)
            raise
        finally:
            _running.walk = outer
            if self.before:
                self.leave()

    def go(self) -> None:
        """The same; the current devices of libraries are left as they come."""
        heap, arrived, owned, deliver = self.heap, self.arrived, self.owned, self.carrier()
        if hooked_leaves[0]:
            self.expect()
        awaited = self.awaited
        for edge, g in self.roots:
            deliver(edge, g)
        self.roots.clear()
        node: Any = None
        edge = g = None
        common = not self.create_graph and not self.captures and not _anomaly[0]
        keep, needed, space, device = self.keep, self.needed, None, None
        while node is not None or heap:
            if node is None:
                node = heappop(heap)[1]
                g = arrived.pop(node)
                if owned:
                    owned.discard(node)
            if node.device is not self.device:
                self.enter(node.device)
            if common and node.__class__ is Call and node.extra is None:
                plan, links = node.plan, node.links
                if plan.back is not None:
                    if node.device is not device:
                        device = node.device
                        space = space_of(device)
                    params = natives(node.params, device) if plan.uses_params else None
                    one = plan.back(space, g, links, node.clock, params, deliver)
                    if one is not LATER:
                        if not keep and plan.holds:
                            if links[-1].__class__ is Constant:
                                node.free()
                            else:
                                node.links = links[: plan.edges]
                        edge, g, done = links[0], one, node
                        # What would be the first to be taken again need not be put down.
                        if (
                            edge.__class__ is Call
                            and (not heap or edge.clock > -heap[0][0])
                            and one is not None
                            and (node.shape if plan.even else one.shape) == edge.shape
                            and (needed is None or edge in needed)
                        ):
                            node = edge
                        else:
                            node = None
                            deliver(edge, one)
                        if awaited:
                            self.passed(done)
                        continue
            if node.extra is not None or node in self.captures:
                g = self.observed(node, g)
            if self.needed is None or self.needed[node] is True:
                self.node = node
                if node.extra is not None and node.extra.prehooks:
                    g = self.prehooked(node, g)
                steps = pull(node, self, g) if isinstance(node, Call) else node.go(self, g)
                for edge, one in steps:
                    if edge is not None:
                        deliver(edge, one)
                if awaited:
                    self.passed(node)
            node = None
        one = None  # `settle` looks at who else holds a gradient
        for leaf in self.leaves:
            self.end(leaf)
        for finish in self.ends:
            finish()

    def observed(self, node: Node, g: Any) -> Any:
        """Show a gradient to the hooks that hang on a node; they may replace it."""
        extra = node.extra
        several = isinstance(g, list)
        gs = list(g) if several else [g]
        if extra is not None:
            for index, hooks in extra.outputs.items():
                shown = None  # all see one tensor, until one of them gives another
                for key, hook in list(hooks.items()):
                    if gs[index] is None or key == -1:
                        continue
                    if shown is None:
                        shown = self.tensor(gs[index], node)
                    result = called(hook, node, shown)
                    if result is not None:
                        gs[index] = self.replaced(result, gs[index], hook, node)
                        shown = result
                if -1 in hooks and gs[index] is not None:
                    hooks[-1](self.tensor(gs[index], node, shared=True))
        for index, place in self.captures.get(node, {}).items():
            if gs[index] is not None:
                self.captured[place] = gs[index]
        return gs if several else gs[0]

    def prehooked(self, node: Node, g: Any) -> Any:
        """Show the gradients of a node's outputs to its own hooks, which may replace them."""
        assert node.extra is not None
        several = isinstance(g, list)
        gs = g if several else [g]
        for hook in list(node.extra.prehooks.values()):
            shown = tuple([None if g is None else self.tensor(g, node) for g in gs])
            result = called(hook, node, shown)
            if result is not None:
                result = result if isinstance(result, tuple) else (result,)
                if len(result) != len(gs):
                    raise RuntimeError(
                        f"hook '{called_by(hook)}' has returned an incorrect number of values (got "
                        f"{len(result)}, but expected {len(gs)}): {described(hook, node)}"
                    )
                gs = [None if r is None else self.value(r) for r in result]
        return gs if several else gs[0]

    def replaced(self, result: Any, g: Any, hook: Any, node: Node) -> Any:
        """What a tensor hook returned, in place of a gradient."""
        if not isinstance(result, Tensor):
            raise TypeError(
                f"expected Variable, but hook returned '{type(result).__name__}': "
                f"{described(hook, node)}"
            )
        if tuple(result._array.shape) != tuple(g.shape):
            raise RuntimeError(
                f"hook '{called_by(hook)}' has changed the size of value from {list(g.shape)} to "
                f"{list(result._array.shape)}: {described(hook, node)}"
            )
        return self.value(result)

    def tensor(self, g: Any, node: Node, shared: bool = False) -> Tensor:
        """A gradient as hooks see it."""
        if self.create_graph:
            return g
        if g.__class__ is Coo:
            return g.tensor(current().edge)
        device = node.device
        xp = device.backend.xp
        if shared:
            return wrap(xp.asarray(g, copy=True), device, current().edge)
        return wrap(xp.asarray(g), device, current().edge)

    def value(self, tensor: Tensor) -> Any:
        """A tensor from a hook as the walk carries it."""
        return tensor if self.create_graph else tensor._array


def walk_from(
    roots: list[tuple[Any, Any]],
    create_graph: bool,
    keep: bool,
    targets: Sequence[Any] | None = None,
    accumulate: bool = False,
) -> list[Any]:
    """Run a pass; give the gradients of the `targets` that are asked for.

    With `accumulate` those of leaves are added to their ``.grad`` instead. A pass that is watched
    and not recorded runs on tensors in between.
    """
    watched = current().watched and not create_graph
    if watched:
        roots = [(e, g if g.__class__ is Coo else wrap(g, e.node.device)) for e, g in roots]
    walk = Walk(roots, create_graph or watched, keep)
    if targets is not None:
        walk.aim(targets, accumulate)
    walk.run(create_graph)
    found = [walk.captured.get(place) for place in range(len(targets or ()))]
    return [g._array if isinstance(g, Tensor) else g for g in found] if watched else found


class Running(threading.local):
    """The pass that is under way in a thread."""

    walk: Walk | None = None


_running = Running()


def running() -> Walk | None:
    """The pass that is under way in this thread; None outside of one."""
    return _running.walk
