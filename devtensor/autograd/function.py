"""Operations of users' own: `Function`."""

from __future__ import annotations

import functools
import inspect
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from devtensor.autograd.context import FORTH, FunctionCtx, check_dirty
from devtensor.autograd.functionnode import FunctionNode, keep, node_class
from devtensor.autograd.mode import INFERENCE, current, line_at, users_place
from devtensor.autograd.modes import no_grad
from devtensor.autograd.node import tick
from devtensor.autograd.view import View, edge_of, is_leaf, memory_of, requires_grad, viewed
from devtensor.op import catalogue
from devtensor.tensor import Tensor, wrap


class FunctionMeta(type):
    """Keeps `Function` classes apart from instances of them."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        warnings.warn(
            f"{cls} should not be instantiated. Methods on autograd functions are all static, so "
            f"you should invoke them on the class itself: {cls.__name__}.apply(...)",
            DeprecationWarning,
            stacklevel=2,
        )
        return super().__call__()

    @property
    def _backward_cls(cls) -> Any:
        """The class of the nodes of its calls."""
        return node_class(f"{cls.__name__}Backward")


class Function(FunctionCtx, metaclass=FunctionMeta):
    """An operation with a gradient of your own (``torch.autograd.Function``).

    Write `forward` and `backward` as static methods, and call ``YourFunction.apply(...)``. Either
    ``forward(ctx, *args)`` saves what `backward` needs, or ``forward(*args)`` does not know `ctx`
    and ``setup_context(ctx, inputs, output)`` saves it.

    Of use, but not needed: ``jvp(ctx, *tangents)``, the derivative in a direction, which otherwise
    is that of `backward`; and ``vmap(info, in_dims, *args)``, which calls the operation for a whole
    batch at once and returns the outputs and the dimensions of their examples. Without it `forward`
    is called on batches, as with ``generate_vmap_rule = True``.

    Examples
    --------
    >>> import devtensor as dt
    >>> class Double(dt.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         return g * 2
    >>> x = dt.ones(2, requires_grad=True)
    >>> Double.apply(x).sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """

    generate_vmap_rule = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            f"new-style autograd function with static forward method: {type(self).__name__}"
            ".apply(...)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; recording is off."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what `backward` needs, if `forward` does not take `ctx`."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Give a gradient to each argument of `forward`, None where there is none."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Give the derivative of each output along tangents of the arguments."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> Any:
        """Give the outputs for a batch of examples, and where in them these are."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or "
            "set generate_vmap_rule=True."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the operation."""
        return apply(cls, args, kwargs)


class InplaceFunction(Function):
    """A `Function`, by a name that older programs have for those that write in place."""


BackwardCFunction = FunctionCtx
"""The class of every `ctx`, by PyTorch's name."""

batching: list[Callable[..., Any]] = []
"""What `devtensor.func` adds for batches: calls the `vmap` of a Function; levels its arguments."""


def apply(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run `forward`, and put the call on the tape."""
    mode = current()
    forward, separate = cls.forward, cls.setup_context is not Function.setup_context
    if separate and (told := defaults_of(forward)) is not None and len(args) < told[1]:
        bound = told[0].bind(*args, **kwargs)
        bound.apply_defaults()
        args, kwargs = bound.args, bound.kwargs
    if batching and cls.vmap is not Function.vmap:
        made = batching[0](cls, args, kwargs)
        if made is not None:
            (output,) = made
            parts = output if isinstance(output, (tuple, list)) else (output,)
            if not separate or any(isinstance(x, Tensor) and requires_grad(x) for x in parts):
                return output
            # What a rule has computed outside of the graph gets its gradient by `backward`.
            forward = _given(output)
    if batching and len({x._device for x in args if isinstance(x, Tensor)}) > 1:
        args = batching[1](args)
    edges = [edge_of(x) if isinstance(x, Tensor) else None for x in args]
    wanted = mode.recording and any(edge is not None for edge in edges)
    ctx = context_class(cls)()
    needs = [isinstance(x, Tensor) and requires_grad(x) for x in args]
    ctx.needs_input_grad = tuple([n and mode.recording for n in needs])
    with no_grad():
        if separate:
            output = forward(*args, **kwargs)
            cls.setup_context(ctx, args, output)
        else:
            output = forward(ctx, *args, **kwargs)
    several = isinstance(output, (tuple, list))
    outputs = list(output) if several else [output]
    if not all(any(x is d for x in outputs) for d in ctx.dirty):
        raise RuntimeError(
            "Some elements marked as dirty during the forward method were not returned as output. "
            f"The inputs that are modified inplace must all be outputs of the Function: {cls!r}"
        )
    if ctx.dirty:
        check_dirty(ctx.dirty, args, outputs)
    label = f"{cls.__name__}Backward"
    node = node_class(label)(label, way_back(cls), ctx, edges)
    node.takes = [isinstance(x, Tensor) for x in args]
    ctx.node = weakref.ref(node)
    outs = [finished(node, ctx, x, number, args, wanted, mode) for number, x in enumerate(outputs)]
    tensors = [x for x in outs if isinstance(x, Tensor)]
    if wanted and tensors:
        node.count = len(outs)
        node.device = tensors[0]._device
        node.outputs = [tuple(x._array.shape) if isinstance(x, Tensor) else () for x in outs]
        ctx.dtypes = [x._array.dtype if isinstance(x, Tensor) else None for x in outs]
        node.shape = node.outputs[0]
        constant = {id(x) for x in ctx.non_differentiable}
        tracked = [
            number
            for number, x in enumerate(outs)
            if isinstance(x, Tensor) and x.dtype.kind in ("float", "complex")
            if id(x) not in constant and id(outputs[number]) not in constant
        ]
        made = "function" if len(tracked) == 1 else "several"
        for number in tracked:
            put_in(node, outs[number], number, args, f"{made} {number} {cls.__name__}")
        if mode.anomaly:
            from devtensor.autograd.node import extra_of

            extra_of(node).line = line_at(*users_place(2))
        if cls.jvp is not Function.jvp:
            ctx.kinds = [(tuple(x.shape), x.dtype, x._device) if isinstance(x, Tensor) else None
                         for x in args]  # fmt: skip
            ctx.writes = bool(ctx.dirty)
        keep(node, ctx, outputs, outs, mode)
        ctx.dirty = ctx.non_differentiable = ()  # they lead back to the node
    else:
        node.saved = [None if x is None else (x, None, None, 0) for x in ctx.to_save]
        node.split = len(node.saved)
        node.count = len(outs)
    for book in mode.ledgers:
        book.add_function(cls, tensors, node if wanted else None, mode)
    return tuple(outs) if several else outs[0]


@functools.lru_cache(256)
def defaults_of(forward: Callable[..., Any]) -> tuple[inspect.Signature, int] | None:
    """How a `forward` is called, and by how many positions; None if none has a default."""
    signature = inspect.signature(forward)
    positions = [p for p in signature.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    if all(p.default is p.empty for p in positions):
        return None
    return signature, len(positions)


def _given(output: Any) -> Callable[..., Any]:
    """A `forward` whose output is known."""
    return lambda *args, **kwargs: output


def way_back(cls: Any) -> Callable[..., Any]:
    """The rule of a Function's node: its `backward`, and for the forward mode its `jvp`."""
    if Function.backward not in (cls.backward, cls.vjp):
        raise RuntimeError(
            "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You "
            f"should only implement one of them: {cls.__name__}"
        )
    backward: Callable[..., Any] = (
        cls.backward if cls.backward is not Function.backward else cls.vjp
    )
    if cls.jvp is Function.jvp:
        return backward

    def rule(ctx: Any, *gs: Any) -> Any:
        if not FORTH.get():
            return backward(ctx, *gs)
        node = ctx.node()
        made = Transposed.apply(cls.jvp, node, *gs)
        place = next((x._node for x in made if x is not None), None)
        if place is not None:  # a derivative along a direction depends on the arguments, too
            place.node.links += node.links
        return made

    return rule


class Transposed(Function):
    """A linear way back of which only its own way back is asked: a Function's `jvp`."""

    @staticmethod
    def forward(ctx: Any, jvp: Any, source: FunctionNode, *gs: Any) -> tuple[Any, ...]:
        ctx.set_materialize_grads(False)
        ctx.jvp, ctx.source, ctx.asked = jvp, source, [g is not None for g in gs]
        zeros = catalogue["zeros"].function
        return tuple([
            zeros(kind[0], dtype=kind[1], device=kind[2])
            if edge is not None and kind[1].kind in ("float", "complex") else None
            for edge, kind in zip(source.links, source.context.kinds, strict=True)
        ])  # fmt: skip

    @staticmethod
    def backward(ctx: Any, *tangents: Any) -> Any:
        context = ctx.source.context
        given = []
        for t, kind in zip(tangents, context.kinds, strict=True):
            wanted = kind is not None and kind[1].kind in ("float", "complex")
            if t is None and wanted and context.materialize_grads:
                t = catalogue["zeros"].function(kind[0], dtype=kind[1], device=kind[2])
            given.append(t.clone() if context.writes and t is not None else t)
        token = FORTH.set(True)
        try:
            found = ctx.jvp(context, *given)
        finally:
            FORTH.reset(token)
        found = found if isinstance(found, tuple) else (found,)
        count = ctx.source.count
        if len(found) != count:
            raise RuntimeError(
                "Function's jvp returned an invalid number of forward gradients (expected "
                f"{count} but got {len(found)}): {ctx.source.label}"
            )
        for number, (t, shape) in enumerate(zip(found, ctx.source.outputs, strict=True)):
            if t is None:
                continue
            if not isinstance(t, Tensor):
                raise RuntimeError(
                    f"expected Variable or None (got {type(t).__name__}) for grad output {number}."
                )
            if tuple(t.shape) != shape:
                raise RuntimeError(
                    "Trying to set a forward gradient that has a different size than that of the "
                    f"original Tensor, this is not supported. Tensor is of size {list(shape)} "
                    f"while the given forward gradient is of size {list(t.shape)}: the jvp of "
                    f"{ctx.source.label} returned it for output {number}"
                )
        found = [t if asked else None for t, asked in zip(found, ctx.asked, strict=True)]
        return None, None, *found, *[None] * len(ctx.source.links)


@functools.lru_cache(None)
def context_class(cls: Any) -> Any:
    """The class of a Function's `ctx`; it has the Function's own helpers, too."""
    skipped = (
        "forward",
        "backward",
        "vjp",
        "jvp",
        "setup_context",
        "apply",
        "__dict__",
        "__weakref__",
    )
    own = {k: v for c in reversed(cls.__mro__) if c not in (Function, FunctionCtx, object)
           for k, v in vars(c).items() if k not in skipped}  # fmt: skip
    return type(f"{cls.__name__}Backward", (FunctionCtx,), own)


def finished(
    node: FunctionNode,
    ctx: Any,
    x: Any,
    number: int,
    args: tuple[Any, ...],
    wanted: bool,
    mode: Any,
) -> Any:
    """An output as the caller gets it: a dirty input itself, an untouched one as a new tensor."""
    if not isinstance(x, Tensor):
        return x
    if any(x is d for d in ctx.dirty):
        return x
    if any(x is a for a in args):
        twin = wrap(x._array, x._device, INFERENCE if x.is_inference() else None)
        if not x.is_inference():
            viewed(twin, x, catalogue["alias"].op, {}, None, mode.name)
        return twin
    return x


def put_in(node: FunctionNode, x: Tensor, number: int, args: tuple[Any, ...], made: str) -> None:
    """Give an output its place in the graph; a view is one that was `made` by the function."""
    place = node.edge(number)
    if any(x is a for a in args):  # written in place
        from devtensor.autograd.write import rebase

        if requires_grad(x) and is_leaf(x):
            raise RuntimeError(
                "a leaf Variable that requires grad has been used in an in-place operation: "
                f"{node.label} marked it dirty"
            )
        memory = memory_of(x)
        memory.stamp = tick()
        node.clock = tick()
        rebase(x, place, x._device)
        return
    x._node = place
    if x._alias.__class__ is View:
        x._alias.made = made


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Let a `backward` run unrecorded, so that its result cannot be differentiated.

    A second derivative through it is then an error, not a silent zero.
    """

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with no_grad():
            outputs = fn(ctx, *args)
        if not current().recording:
            return outputs
        if not any(isinstance(x, Tensor) and requires_grad(x) for x in args):
            return outputs
        single = not isinstance(outputs, tuple)
        results: Sequence[Any] = (outputs,) if single else outputs
        guarded = tuple([Error.apply(x, *args) if isinstance(x, Tensor) else x for x in results])
        return guarded[0] if single else guarded

    return wrapper


class Error(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, *args: Any) -> Any:
        return x.detach().clone()

    @staticmethod
    def backward(ctx: Any, *g: Any) -> Any:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )
