"""Where gradients end: the ``.grad`` of leaves."""

from __future__ import annotations

import sys
import threading
from typing import Any

from devtensor.autograd.mode import current
from devtensor.autograd.modes import no_grad
from devtensor.autograd.node import Leaf
from devtensor.autograd.step import on
from devtensor.autograd.view import memory_of
from devtensor.coo import Coo
from devtensor.hooks import called, described
from devtensor.op import catalogue
from devtensor.tensor import rest_of, wrap

_leaf_lock = threading.Lock()


def settle(leaf: Leaf, g: Any, owned: bool, create_graph: bool) -> None:
    """Add a gradient to the ``.grad`` of a leaf.

    Parameters
    ----------
    leaf : Leaf
    g : Tensor or array
        A tensor if the pass is recorded or watched.
    owned : bool
        Whether the array is the pass's own, so that it may become the ``.grad`` as it is.
    create_graph : bool
        Whether the pass runs on tensors.
    """
    tensor = leaf.tensor()
    if tensor is None:
        return
    native = tensor._array.dtype
    if create_graph and not current().grad and g.__class__ is not Coo:
        create_graph, g = False, g._array
    with _leaf_lock:
        rest = rest_of(tensor)
        old = rest.grad
        if create_graph:
            if g.dtype is not tensor.dtype:
                g = g.to(tensor.dtype)
            rest.grad = catalogue["clone"].function(g) if old is None else old + g
        else:
            backend = leaf.device.backend
            if g.__class__ is Coo or (old is not None and old.is_sparse):
                rest.grad = scattered(old, g, leaf.device)
            elif old is None:
                if not backend.in_rows(g):
                    fresh = backend.xp.empty(g.shape, dtype=native, **on(leaf.device))
                    backend.write(fresh, g)
                    g = fresh
                elif g.dtype != native or not (owned or alone(backend, g)):
                    g = backend.xp.asarray(g, dtype=native, copy=True)
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
            result = called(hook, leaf, tensor)
            if result is not None:
                raise TypeError(
                    f"expected Variable, but hook returned '{type(result).__name__}': such a hook "
                    f"must return None: {described(hook, leaf)}"
                )


def scattered(old: Any, g: Any, device: Any) -> Any:
    """The sum of two gradients of which at least one is sparse."""
    if g.__class__ is not Coo:
        return wrap(g, device, current().edge) + old
    made = g.tensor(current().edge)
    if old is None:
        return catalogue["clone"].function(made)  # others may hold its values
    with no_grad():
        return old.add_(made)


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
