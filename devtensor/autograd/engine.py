"""The way back: from some tensors through the graph to others."""

from __future__ import annotations

import math
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

import devtensor.dtype as dtypes
from devtensor.autograd.mode import Block, current, tell
from devtensor.autograd.node import Call, GradientEdge, Leaf, Node, Part
from devtensor.autograd.saved import open_arrays, open_tensors
from devtensor.autograd.tensorspace import TENSORS
from devtensor.autograd.view import edge_of, memory_of
from devtensor.device import device as Device
from devtensor.op import catalogue
from devtensor.ops.shape import spread
from devtensor.size import Size
from devtensor.space import native, natives, space_of
from devtensor.tensor import Constant, Tensor, rest_of, wrap

_anomaly = [False, True]
"""Whether NaN is looked for in every process's gradient, and whether it is an error."""

_leaf_lock = threading.Lock()
_running = threading.local()
"""The pass that is under way in a thread."""


class GradBlock(Block):
    """The grad flag during a backward pass."""

    kind = "grad"


class Walk:
    """One backward pass.

    Parameters
    ----------
    create_graph : bool
        Whether the pass is itself recorded: rules then run on tensors instead of arrays.
    keep : bool
        Whether what was saved stays.
    """

    def __init__(self, create_graph: bool, keep: bool) -> None:
        self.create_graph, self.keep = create_graph, keep
        self.heap: list[tuple[int, Node]] = []
        self.arrived: dict[Node, Any] = {}
        self.owned: set[Node] = set()
        self.leaves: list[Leaf] = []
        self.captures: dict[Node, dict[int, int]] = {}
        self.captured: dict[int, Any] = {}
        self.needed: dict[Node, bool] | None = None
        self.starts: list[Node] = []
        self.ends: list[Callable[[], None]] = []
        self.device: Device | None = None
        self.before: dict[Any, int] = {}

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
                arrived[edge] = waiting + g
                if not create_graph:
                    owned.add(edge)

        return deliver

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
        """A gradient summed down to the shape of what it belongs to."""
        if tuple(g.shape) == tuple(edge.shape):
            return g
        xp = TENSORS if self.create_graph else space_of(edge.node.device)
        return spread(xp, g, edge.shape)

    def run(self, roots: list[tuple[Any, Any]]) -> None:
        """Go back from the roots until nothing waits, on the device of each node."""
        try:
            self.go(roots)
        finally:
            if self.before:
                self.leave()

    def go(self, roots: list[tuple[Any, Any]]) -> None:
        """The same; the current devices of libraries are left as they come."""
        heap, arrived, owned, deliver = self.heap, self.arrived, self.owned, self.carrier()
        for edge, g in roots:
            deliver(edge, g)
        roots.clear()
        edge = g = None
        common = not self.create_graph and not self.captures and not _anomaly[0]
        keep, space, device = self.keep, None, None
        while heap:
            node: Any = heappop(heap)[1]
            g = arrived.pop(node)
            if node.device is not self.device:
                self.enter(node.device)
            if owned:
                owned.discard(node)
            if common and node.__class__ is Call and node.extra is None:
                plan, links = node.plan, node.links
                if plan.back is not None:
                    if node.device is not device:
                        device = node.device
                        space = space_of(device)
                    params = natives(node.params, device) if plan.uses_params else None
                    if plan.back(space, g, links, node.clock, params, deliver):
                        if not keep and plan.holds:
                            if links[-1].__class__ is Constant:
                                node.free()
                            else:
                                node.links = links[: plan.edges]
                        continue
            if node.extra is not None or node in self.captures:
                g = self.observed(node, g)
            if self.needed is None or self.needed[node] is True:
                if node.extra is not None and node.extra.prehooks:
                    g = self.prehooked(node, g)
                steps = pull(node, self, g) if node.__class__ is Call else node.go(self, g)
                for edge, one in steps:
                    if edge is not None:
                        deliver(edge, one)
        for leaf in self.leaves:
            g = arrived.pop(leaf)
            if leaf.device is not self.device:
                self.enter(leaf.device)
            if leaf.extra is not None or leaf in self.captures:
                g = self.observed(leaf, g)
            if leaf in self.captures:
                continue
            if leaf.extra is None:
                self.settle(leaf, g, leaf in owned)
            else:
                if leaf.extra.prehooks:
                    g = self.prehooked(leaf, g)
                self.settle(leaf, g, False)  # what hooks have seen they may have kept
                for hook in list(leaf.extra.hooks.values()):
                    hook((), (self.tensor(g, leaf),))
        for finish in self.ends:
            finish()

    def observed(self, node: Node, g: Any) -> Any:
        """Show a gradient to the hooks that hang on a node; they may replace it."""
        extra = node.extra
        several = isinstance(g, list)
        gs = list(g) if several else [g]
        if extra is not None:
            for index, hooks in extra.outputs.items():
                for key, hook in list(hooks.items()):
                    if gs[index] is None or key == -1:
                        continue
                    result = hook(self.tensor(gs[index], node))
                    if result is not None:
                        gs[index] = self.replaced(result, gs[index], node)
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
            result = hook(shown)
            if result is not None:
                result = result if isinstance(result, tuple) else (result,)
                if len(result) != len(gs):
                    raise RuntimeError(
                        f"hook has returned an incorrect number of values (got {len(result)}, "
                        f"but expected {len(gs)})"
                    )
                gs = [None if r is None else self.value(r) for r in result]
        return gs if several else gs[0]

    def replaced(self, result: Any, g: Any, node: Node) -> Any:
        """What a tensor hook returned, in place of a gradient."""
        if not isinstance(result, Tensor):
            raise TypeError(
                f"hook returned {type(result).__name__}, but a gradient must be a Tensor or None"
            )
        if tuple(result._array.shape) != tuple(g.shape):
            raise RuntimeError(
                f"hook has changed the size of value: from {list(g.shape)} to "
                f"{list(result._array.shape)}"
            )
        return self.value(result)

    def tensor(self, g: Any, node: Node, shared: bool = False) -> Tensor:
        """A gradient as hooks see it."""
        if self.create_graph:
            return g
        device = node.device
        xp = device.backend.xp
        if shared:
            return wrap(xp.asarray(g, copy=True), device, current().edge)
        return wrap(xp.asarray(g), device, current().edge)

    def value(self, tensor: Tensor) -> Any:
        """A tensor from a hook as the walk carries it."""
        return tensor if self.create_graph else tensor._array

    # ---- gradients that have arrived

    def settle(self, leaf: Leaf, g: Any, owned: bool) -> None:
        """Add a gradient to the ``.grad`` of a leaf."""
        tensor = leaf.tensor()
        if tensor is None:
            return
        native = tensor._array.dtype
        with _leaf_lock:
            rest = rest_of(tensor)
            old = rest.grad
            if self.create_graph:
                if g.dtype is not tensor.dtype:
                    g = g.to(tensor.dtype)
                rest.grad = catalogue["duplicate"].function(g) if old is None else old + g
            else:
                backend = leaf.device.backend
                if old is None:
                    if g.dtype != native or not (owned or alone(backend, g)):
                        g = backend.xp.asarray(g, dtype=native, copy=True)
                    if not backend.in_rows(g):
                        fresh = backend.xp.empty(g.shape, dtype=native, **on(leaf.device))
                        backend.write(fresh, g)
                        g = fresh
                    elif g.__class__ is not backend.array_types[0]:
                        g = backend.xp.asarray(g)
                    rest.grad = wrap(g, leaf.device, current().edge)
                elif old.is_inference() and not current().inference:
                    raise RuntimeError(
                        "Inplace update to inference tensor outside InferenceMode is not allowed: "
                        "the .grad of a leaf was made in inference mode; set it to None first"
                    )
                else:
                    backend.write(old._array, old._array + g)
                    memory_of(old).written("the accumulation of gradients")
        if rest.post_hooks:
            for hook in list(rest.post_hooks.values()):
                hook(tensor)


def alone(backend: Any, array: Any) -> bool:
    """Whether nobody but the walk holds `array`, nor memory that it shares."""
    return sys.getrefcount(array) <= _HELD and bool(backend.owns(array))


def _calibrate() -> int:
    """How often a gradient that only `settle` holds is counted inside `alone`."""

    class Thing:
        pass

    def inner(backend: Any, array: Any) -> int:
        return sys.getrefcount(array)

    def settle(g: Any, owned: bool) -> int:
        return inner(None, g)

    def run(arrived: dict[int, Any]) -> int:
        g = arrived.pop(0)
        return settle(g, False)

    return run({0: Thing()})


_HELD = _calibrate() if getattr(sys, "_is_gil_enabled", lambda: True)() else -1


# ---- steps


def pull(node: Call, walk: Walk, g: Any) -> Any:
    """The gradients of a call's inputs, each with where it goes."""
    plan, device = node.plan, node.device
    if walk.create_graph:
        saved: Any = open_tensors(node)
        xp: Any = TENSORS
        params = node.params
    else:
        saved = open_arrays(node)
        xp = space_of(device)
        params = natives(node.params, device) if plan.uses_params else None
    results = plan.pull(xp, g, saved, params)
    links = node.links
    if not walk.keep and plan.saves:
        node.free()
    if anomalous():
        look_for_nan(node, results)
    if node.extra is not None and node.extra.hooks:
        results = hooked(node, walk, results, g)
    return zip(links, results, strict=False)


def hooked(node: Any, walk: Walk, results: Any, g: Any) -> Any:
    """Show the gradients of a step to its hooks, which may replace them."""
    wanted = node.plan.wanted if isinstance(node, Call) else [e is not None for e in node.edges()]
    for hook in list(node.extra.hooks.values()):
        given = iter(results)
        inputs = tuple([None if not w or (r := next(given)) is None else walk.tensor(r, node)
                        for w in wanted])  # fmt: skip
        outputs = tuple(
            [
                None if x is None else walk.tensor(x, node)
                for x in (g if isinstance(g, list) else [g])
            ]
        )
        changed = hook(inputs, outputs)
        if changed is not None:
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != len(inputs):
                raise RuntimeError(
                    f"hook has returned an incorrect number of values (got {len(changed)}, "
                    f"but expected {len(inputs)})"
                )
            results = tuple(
                [
                    None if r is None else walk.value(r)
                    for r, w in zip(changed, wanted, strict=True)
                    if w
                ]
            )
    return results


def anomalous() -> bool:
    """Whether NaN is to be looked for."""
    return _anomaly[0] and _anomaly[1]


def look_for_nan(node: Any, results: Any) -> None:
    """Raise RuntimeError if a step gave NaN, in anomaly mode."""
    for number, g in enumerate(results):
        if g is None:
            continue
        if isinstance(g, Tensor):
            g = g._array
        total = space_of(node.device).sum(g)
        if math.isnan(complex(total).real):
            isnan = space_of(node.device).isnan(g)
            if not bool(space_of(node.device).any(isnan)):
                continue
            line = node.extra.line if node.extra is not None else ""
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {number}th output."
                + (f" Its forward ran at {line}." if line else "")
            )


# ---- where a pass begins


def roots_of(
    outputs: Sequence[Any], grads: Sequence[Any], create_graph: bool, name: str
) -> list[tuple[Any, Any]]:
    """The edges at which a pass begins, and the gradient of each.

    Raises
    ------
    RuntimeError
        If an output is not tracked, is no number and has no gradient, or its gradient does not
        fit.
    """
    edges = [place_of(output, name, f"output {i}") for i, output in enumerate(outputs)]
    if None in edges:
        raise RuntimeError(
            f"element {edges.index(None)} of tensors does not require grad and does not have a "
            "grad_fn"
        )
    found = []
    for number, (output, edge, grad) in enumerate(zip(outputs, edges, grads, strict=True)):
        shape = tuple(edge.shape)
        device = edge.node.device
        dtype = output.dtype if isinstance(output, Tensor) else None
        if grad is None:
            if math.prod(shape) != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs, but output "
                    f"{number} has shape {list(shape)}; pass its gradient, or sum it first"
                )
            if dtype is not None and dtype.kind == "complex":
                raise RuntimeError(
                    f"grad can be implicitly created only for real scalar outputs but got {dtype!r}"
                )
            one = native(dtype or dtypes.get_default_dtype(), device)
            xp = device.backend.xp
            grad = wrap(xp.ones(shape, dtype=one, **on(device)), device)
        elif not isinstance(grad, Tensor):
            raise TypeError(
                f"gradients can be either Tensors or None, but got {type(grad).__name__}"
            )
        elif tuple(grad._array.shape) != shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{number}] has a shape of {grad.shape} and "
                f"output[{number}] has a shape of {Size(shape)}."
            )
        if dtype is not None and grad.dtype is not dtype:
            grad = catalogue["cast"].function(grad, dtype)
        if grad._device is not device:
            raise RuntimeError(
                f"Expected all tensors to be on the same device: grad_output[{number}] is on "
                f"{grad._device} and output[{number}] on {device}"
            )
        found.append((edge, grad if create_graph else grad._array))
    return found


def place_of(value: Any, name: str, what: str) -> Any:
    """The edge of a tensor or of a `GradientEdge`; None if no gradient goes there.

    Raises
    ------
    TypeError
        If it is neither.
    """
    if isinstance(value, Tensor):
        return edge_of(value)
    if not isinstance(value, GradientEdge):
        raise TypeError(
            f"{name}: {what} must be Tensor or GradientEdge, not {type(value).__name__}"
        )
    return value.node.edge(value.output_nr)


def on(device: Any) -> dict[str, Any]:
    """The keyword with which a library makes an array on a device; nothing for the host."""
    return device.backend.placed(device.index)


def mark_needed(roots: Sequence[Node], targets: set[Node]) -> dict[Node, bool]:
    """Which nodes lead to the targets: True to be walked, False only to be reached."""
    needed: dict[Node, bool] = {}
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(root, False) for root in roots]
    leads: set[Node] = set()
    while stack:
        node, done = stack.pop()
        children = [e.node for e in node.edges() if e is not None]
        if done:
            through = any(child in leads for child in children)
            if through or node in targets:
                leads.add(node)
                needed[node] = through
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend([(child, False) for child in children if child not in seen])
    return needed


def walk_from(
    roots: list[tuple[Any, Any]],
    create_graph: bool,
    keep: bool,
    targets: Sequence[Any] | None = None,
    accumulate: bool = False,
) -> list[Any]:
    """Run a pass; give the gradients of the `targets` that are asked for.

    With `accumulate` those of leaves are added to their ``.grad`` instead.
    """
    walk = Walk(create_graph, keep)
    walk.starts = [edge.node for edge, _ in roots]
    if targets is not None:
        for place, edge in enumerate(targets):
            if not (accumulate and isinstance(edge, Leaf)):
                walk.captures.setdefault(edge.node, {})[edge.index] = place
        walk.needed = mark_needed(walk.starts, {edge.node for edge in targets})
    current()  # a thread's first use of the library may be here
    outer = getattr(_running, "walk", None)
    _running.walk = walk
    try:
        with GradBlock(create_graph):
            walk.run(roots)
    finally:
        _running.walk = outer
    if targets is None:
        return []
    return [walk.captured.get(place) for place in range(len(targets))]


def running() -> Walk:
    """The pass that is under way in this thread."""
    walk: Walk = _running.walk
    return walk


def as_tuple(value: Any) -> tuple[Any, ...]:
    """One tensor, or a sequence of them, as a tuple."""
    one = isinstance(value, (Tensor, GradientEdge)) or value is None
    return (value,) if one else tuple(value)


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Compute gradients and add them to the ``.grad`` of the leaves.

    Parameters
    ----------
    tensors : Tensor or sequence of Tensor
        Where to begin.
    grad_tensors : Tensor or sequence, optional
        Their gradients; None stands for 1, and is allowed for single numbers.
    retain_graph : bool, optional
        Whether what was saved stays for another pass; as `create_graph` by default.
    create_graph : bool
        Whether the gradients can be differentiated.
    inputs : Tensor or sequence of Tensor, optional
        Fill the gradients of these only; they need not be leaves.

    Raises
    ------
    RuntimeError
        If a tensor has no graph, or the graph was freed, or a saved value overwritten.

    Notes
    -----
    PyTorch's ``torch.autograd.backward``.
    """
    outputs = as_tuple(tensors)
    if grad_variables is not None:
        text = "`grad_variables` is deprecated. Use `grad_tensors` instead."
        warnings.warn(text, FutureWarning, stacklevel=2)
        grad_tensors = grad_variables
    grads = (None,) * len(outputs) if grad_tensors is None else as_tuple(grad_tensors)
    if len(grads) != len(outputs):
        raise RuntimeError(f"got {len(outputs)} tensors and {len(grads)} gradients")
    wanted = None if inputs is None else as_tuple(inputs)
    if wanted == ():
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    keep = create_graph if retain_graph is None else retain_graph
    roots = roots_of(outputs, grads, create_graph, "backward()")
    if create_graph:
        tell(
            "Using backward() with create_graph=True will create a reference cycle between the "
            "parameter and its gradient which can cause a memory leak. We recommend using "
            "autograd.grad when creating the graph to avoid this. If you have to use this "
            "function, make sure to reset the .grad fields of your parameters to None after use "
            "to break the cycle and avoid the leak.",
            UserWarning,
        )
    if wanted is None:
        walk_from(roots, create_graph, keep)
        return
    edges = []
    for number, x in enumerate(wanted):
        edge = place_of(x, "backward()", f"inputs[{number}]")
        if edge is None:
            raise RuntimeError(
                f"One of the differentiated Tensors does not require grad: inputs[{number}]"
            )
        edges.append(edge)
        if not isinstance(edge, Leaf) and not isinstance(x, Tensor):
            raise RuntimeError(
                "backward() with a GradientEdge among its inputs: only that of a leaf has a "
                f".grad to add to, but this one leads to {edge.node.name()}; use grad()"
            )
    found = walk_from(roots, create_graph, keep, edges, accumulate=True)
    for x, g in zip(wanted, found, strict=True):
        if g is not None and not x.retains_grad:
            with GradBlock(create_graph):
                Walk(create_graph, keep).settle(Leaf(x), g, False)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """Compute the gradients of outputs with respect to inputs, leaving every ``.grad`` alone.

    Parameters
    ----------
    outputs, inputs : Tensor or sequence of Tensor
    grad_outputs : Tensor or sequence, optional
        The gradients of `outputs`; None stands for 1, and is allowed for single numbers.
    retain_graph : bool, optional
        Whether what was saved stays for another pass; as `create_graph` by default.
    create_graph : bool
        Whether the gradients can be differentiated.
    only_inputs : bool
        PyTorch's former option; it must be True.
    allow_unused : bool, optional
        Whether an input that `outputs` do not depend on has the gradient None instead of an
        error; as `materialize_grads` by default.
    is_grads_batched : bool
        Whether `grad_outputs` have a first dimension to go through one by one.
    materialize_grads : bool
        Whether such an input has a gradient of zeros.

    Returns
    -------
    tuple of Tensor
        A gradient to each input.

    Raises
    ------
    RuntimeError
        If a tensor has no graph, the graph was freed, or an input is not used.
    ValueError
        If `materialize_grads` is asked for and `allow_unused` forbidden.

    Notes
    -----
    PyTorch's ``torch.autograd.grad``.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    if not only_inputs:
        raise ValueError(
            "grad(): only_inputs=False was removed; call backward() to add to every .grad"
        )
    allow = materialize_grads if allow_unused is None else allow_unused
    outs, ins = as_tuple(outputs), as_tuple(inputs)
    grads = (None,) * len(outs) if grad_outputs is None else as_tuple(grad_outputs)
    if len(grads) != len(outs):
        raise RuntimeError(f"got {len(outs)} outputs and {len(grads)} gradients")
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        return batched(outs, ins, grads, keep, create_graph, allow, materialize_grads)
    roots = roots_of(outs, grads, create_graph, "grad()")
    edges = []
    for number, x in enumerate(ins):
        edge = place_of(x, "grad()", f"inputs[{number}]")
        if edge is None:
            raise RuntimeError(
                "One of the differentiated Tensors does not require grad: "
                f"inputs[{number}] of shape {list(x.shape)}"
            )
        edges.append(edge)
    found = walk_from(roots, create_graph, keep, edges)
    results: list[Any] = []
    by_edge: dict[tuple[int, int], Any] = {}
    for edge, g in zip(edges, found, strict=True):
        if g is not None:
            by_edge[id(edge.node), edge.index] = g
    for number, (x, edge) in enumerate(zip(ins, edges, strict=True)):
        g = by_edge.get((id(edge.node), edge.index))
        if g is None:
            if not allow:
                raise RuntimeError(
                    f"One of the differentiated Tensors appears to not have been used in the "
                    f"graph. Set allow_unused=True if this is the desired behavior. "
                    f"The differentiated Tensor at index {number} appears to not have been used "
                    "in the graph. Set allow_unused=True if this is the desired behavior."
                )
            g = zeros_at(x, edge) if materialize_grads else None
        elif not create_graph:
            device = edge.node.device
            dtype = x._array.dtype if isinstance(x, Tensor) else g.dtype
            copied = device.backend.xp.asarray(g, dtype=dtype, copy=True)
            g = wrap(copied, device, current().edge)
        results.append(g)
    return tuple(results)


def zeros_at(value: Any, edge: Any) -> Any:
    """Zeros in the place of a gradient that nothing reaches."""
    if isinstance(value, Tensor):
        return catalogue["zeros_like"].function(value)
    return catalogue["zeros"].function(tuple(edge.shape), device=edge.node.device)


def batched(
    outs: tuple[Any, ...],
    ins: tuple[Any, ...],
    grads: Sequence[Any],
    keep: bool,
    create_graph: bool,
    allow: bool,
    materialize: bool,
) -> tuple[Any, ...]:
    """`grad` for each entry of the first dimension of the gradients."""
    for number, g in enumerate(grads):
        if not isinstance(g, Tensor):
            raise RuntimeError(
                "is_grads_batched=True goes through the first dimension of each gradient, so each "
                f"must be given as a Tensor, but grad_outputs[{number}] is {type(g).__name__}"
            )
        if not g._array.ndim:
            raise IndexError(
                f"is_grads_batched=True wants a batch dimension, but grad_outputs[{number}] is 0-d"
            )
    sizes = {g.shape[0] for g in grads}
    if len(sizes) != 1:
        raise ValueError(
            "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as "
            f"the batch dimension, but its sizes are {sorted(sizes)}"
        )
    for number, (g, out) in enumerate(zip(grads, outs, strict=True)):
        shape = place_of(out, "grad()", f"output {number}").shape
        if tuple(g.shape[1:]) != tuple(shape):
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output "
                "as the batch dimension. The sizes of the remaining dimensions are expected to "
                f"match the shape of corresponding output, but Mismatch in shape: "
                f"grad_output[{number}] has a shape of {g.shape} and output[{number}] of {shape}"
            )
    size = sizes.pop()
    rows = []
    for i in range(size):
        row = [g[i] for g in grads]
        last = keep or i < size - 1
        rows.append(grad(outs, ins, row, last, create_graph, True, allow, False, materialize))
    stack = catalogue["stack"].function
    return tuple(
        [None if column[0] is None else stack(list(column)) for column in zip(*rows, strict=True)]
    )
