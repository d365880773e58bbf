"""What users call: `backward` and `grad`."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import devtensor.dtype as dtypes
from devtensor.autograd.engine import GradBlock, Walk, walk_from
from devtensor.autograd.mode import current, tell
from devtensor.autograd.modes import inference_mode
from devtensor.autograd.node import GradientEdge, Leaf
from devtensor.autograd.settle import alone, settle
from devtensor.autograd.step import on
from devtensor.autograd.view import edge_of
from devtensor.coo import Coo
from devtensor.later import find
from devtensor.op import catalogue
from devtensor.size import Size
from devtensor.space import native
from devtensor.tensor import Tensor, wrap

TRANSFORMED: ContextVar[bool] = ContextVar("transformed", default=False)
"""Whether a function is being called by a transform of `devtensor.func`."""


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
        elif isinstance(grad, Tensor) and scattered(output):
            grad = output._at_values(grad)
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
            if "complex" in (grad.dtype.kind, dtype.kind):
                raise RuntimeError(
                    "For complex Tensors, both grad_output and output are required to have the "
                    f"same dtype. Mismatch in dtype: grad_output[{number}] has a dtype of "
                    f"{grad.dtype!r} and output[{number}] has a dtype of {dtype!r}."
                )
            grad = catalogue["cast"].function(grad, dtype)
        if grad._device is not device:
            raise RuntimeError(
                f"Expected all tensors to be on the same device: grad_output[{number}] is on "
                f"{grad._device} and output[{number}] on {device}"
            )
        found.append((edge, grad if create_graph else grad._array))
    return found


def scattered(value: Any) -> bool:
    """Whether something is a sparse tensor."""
    return isinstance(value, Tensor) and value._array.__class__ is Coo


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
        If a tensor has no graph, or the graph was freed, or a saved value overwritten; or within
        a function that a transform of `devtensor.func` calls.

    Notes
    -----
    PyTorch's ``torch.autograd.backward``.
    """
    if TRANSFORMED.get():
        raise RuntimeError(
            "backward() called inside a functorch transform. This is not supported, please use "
            "functorch.grad or functorch.vjp instead or call backward() outside of functorch "
            "transforms. Here these are devtensor.func.grad and devtensor.func.vjp; "
            "autograd.grad() works inside, too"
        )
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
                settle(Leaf(x), g, False, create_graph)


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
        Whether `grad_outputs` have a first dimension of examples. The gradients have it, too; all
        are computed at once, as by :func:`devtensor.vmap`.
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
    if not ins:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    grads = (None,) * len(outs) if grad_outputs is None else as_tuple(grad_outputs)
    if len(grads) != len(outs):
        raise RuntimeError(f"got {len(outs)} outputs and {len(grads)} gradients")
    keep = create_graph if retain_graph is None else retain_graph
    roots = None if is_grads_batched else roots_of(outs, grads, create_graph, "grad()")
    edges = []
    for number, x in enumerate(ins):
        edge = place_of(x, "grad()", f"inputs[{number}]")
        if edge is None:
            raise RuntimeError(
                "One of the differentiated Tensors does not require grad: "
                f"inputs[{number}] of shape {list(x.shape)}"
            )
        edges.append(edge)
    if roots is None:
        found = batched(outs, edges, grads, keep, create_graph)
    else:
        found = walk_from(roots, create_graph, keep, edges)
    results: list[Any] = []
    by_edge = {
        (id(edge.node), edge.index): place
        for place, (edge, g) in enumerate(zip(edges, found, strict=True))
        if g is not None
    }
    for number, (x, edge) in enumerate(zip(ins, edges, strict=True)):
        place = by_edge.get((id(edge.node), edge.index))
        g = None if place is None else found[place]
        if g is None:
            if not allow:
                raise RuntimeError(
                    f"One of the differentiated Tensors appears to not have been used in the "
                    f"graph. Set allow_unused=True if this is the desired behavior. "
                    f"The differentiated Tensor at index {number} appears to not have been used "
                    "in the graph. Set allow_unused=True if this is the desired behavior."
                )
            g = zeros_at(x, edge) if materialize_grads else None
        elif g.__class__ is Coo:
            g = g.tensor(current().edge)
        elif not isinstance(g, Tensor):
            device = edge.node.device
            backend = device.backend
            dtype = x._array.dtype if isinstance(x, Tensor) else g.dtype
            own = g.__class__ is backend.array_types[0] and g.dtype == dtype
            if not (own and alone(backend, g)):
                g = backend.xp.asarray(g, dtype=dtype, copy=True)
            g = wrap(g, device, current().edge)
        elif isinstance(x, Tensor) and x.dtype.kind == g.dtype.kind and x.dtype is not g.dtype:
            g = g.to(x.dtype)
        if g is not None and scattered(x) and not scattered(g):
            g = x._gradient(g)
        results.append(g)
    return tuple(results)


def zeros_at(value: Any, edge: Any) -> Any:
    """Zeros in the place of a gradient that nothing reaches."""
    if isinstance(value, Tensor):
        return catalogue["zeros_like"].function(value)
    return catalogue["zeros"].function(tuple(edge.shape), device=edge.node.device)


def walked(
    starts: list[tuple[Any, Any]], edges: Sequence[Any], record: bool, keep: bool = True
) -> list[Any]:
    """Gradients by rules on tensors, which may have further axes of examples or be recorded."""
    walk = Walk(starts, True, keep)
    walk.aim(edges)
    with inference_mode(False):
        walk.run(record)
    return [walk.captured.get(number) for number in range(len(edges))]


def batched(
    outs: tuple[Any, ...], edges: list[Any], grads: Sequence[Any], keep: bool, create_graph: bool
) -> list[Any]:
    """The gradients for each entry of the first dimension of the given ones, by one walk."""
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
    starts = []
    for number, (g, out) in enumerate(zip(grads, outs, strict=True)):
        edge = place_of(out, "grad()", f"output {number}")
        if edge is None:
            raise RuntimeError(
                f"element {number} of tensors does not require grad and does not have a grad_fn"
            )
        if tuple(g.shape[1:]) != tuple(edge.shape):
            raise RuntimeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output "
                "as the batch dimension. The sizes of the remaining dimensions are expected to "
                f"match the shape of corresponding output, but Mismatch in shape: "
                f"grad_output[{number}] has a shape of {g.shape} and output[{number}] of "
                f"{tuple(edge.shape)}"
            )
        starts.append(edge)
    reached: list[bool] = []

    def row(*gs: Any) -> tuple[Any, ...]:
        cast = catalogue["cast"].function
        given = [
            cast(g, out.dtype) if isinstance(out, Tensor) and g.dtype is not out.dtype else g
            for g, out in zip(gs, outs, strict=True)
        ]
        found = walked(list(zip(starts, given, strict=True)), edges, create_graph, keep)
        reached[:] = [g is not None for g in found]
        return tuple([g for g in found if g is not None])

    found = iter(find("vmap")(row)(*grads))
    return [next(found) if got else None for got in reached]
