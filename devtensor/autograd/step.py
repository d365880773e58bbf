"""One step of the way back: the rules of a node, its hooks, and the search for NaN."""

from __future__ import annotations

import contextlib
import linecache
import math
import warnings
from typing import Any

from devtensor.autograd.node import Call
from devtensor.autograd.saved import open_arrays, open_tensors
from devtensor.autograd.tensorspace import TENSORS
from devtensor.coo import Coo
from devtensor.hooks import called, called_by, described
from devtensor.space import natives, space_of
from devtensor.tensor import Tensor

_anomaly = [False, True]
"""Whether NaN is looked for in every process's gradient, and whether it is an error."""


def pull(node: Call, walk: Any, g: Any) -> Any:
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
    links = node.links
    asked = None if walk.needed is None else tuple(
        [edge.node in walk.needed for edge in links[: plan.edges]]
    )  # fmt: skip
    if asked is None or all(asked):
        results = plan.pull(xp, g, saved, params)
    else:  # gradients that lead to no target are not computed
        some, taken = plan.narrowed(asked)
        found = iter(some.pull(xp, g, [saved[place] for place in taken], params))
        results = tuple([next(found) if ask else None for ask in asked])
    if not walk.keep and plan.saves:
        node.free()
    if anomalous():
        look_for_nan(node, results)
    if node.extra is not None and node.extra.hooks:
        results = hooked(node, walk, results, g)
    return zip(links, results, strict=False)


def hooked(node: Any, walk: Any, results: Any, g: Any) -> Any:
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
        changed = called(hook, node, inputs, outputs)
        if changed is not None:
            changed = changed if isinstance(changed, tuple) else (changed,)
            if len(changed) != len(inputs):
                raise RuntimeError(
                    f"hook '{called_by(hook)}' has returned an incorrect number of values (got "
                    f"{len(changed)}, but expected {len(inputs)}): {described(hook, node)}"
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
        device = node.device
        if isinstance(g, Tensor):
            device, g = g._device, g._array
        if g.__class__ is Coo:
            g = g.values
        space = space_of(device)
        total = space.sum(g)
        if math.isnan(complex(total).real):
            if not bool(space.any(space.isnan(g))):
                continue
            line = node.extra.line if node.extra is not None else ""
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {number}th output."
                + (f" Its forward ran at {line}." if line else "")
            )


def tell_origin(node: Any) -> None:
    """Warn of where the forward of a step ran that has failed, in anomaly mode."""
    line = node.extra.line if node.extra is not None else ""
    if line:
        file, _, number = line.rpartition(":")
        source = linecache.getline(file, int(number)).strip()
        where = (
            "Traceback of forward call that caused the error:\n"
            f'  File "{file}", line {number}\n    {source}\n'
        )
    else:
        where = (
            "No forward pass information available. Enable detect anomaly during forward pass for "
            "more information."
        )
    with contextlib.suppress(UserWarning):  # where warnings are errors, the failure is the one
        warnings.warn(f"Error detected in {node.name()}. {where}", UserWarning, stacklevel=5)


def on(device: Any) -> dict[str, Any]:
    """The keyword with which a library makes an array on a device; nothing for the host."""
    return device.backend.placed(device.index)
