"""Operations of users' own: `Function`."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from devtensor.autograd.functionnode import FunctionNode
from devtensor.autograd.mode import INFERENCE, current, line_at, users_place
from devtensor.autograd.modes import no_grad
from devtensor.autograd.node import tick
from devtensor.autograd.saved import Packed
from devtensor.autograd.view import Owner, View, edge_of, memory_of, requires_grad, viewed
from devtensor.op import catalogue
from devtensor.tensor import Tensor, wrap


class FunctionCtx:
    """What `forward` and `backward` of a `Function` share: the `ctx`."""

    def __init__(self) -> None:
        self.to_save: tuple[Any, ...] = ()
        self.dirty: tuple[Any, ...] = ()
        self.non_differentiable: tuple[Any, ...] = ()
        self.materialize_grads = True
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors for `backward`, which finds them in ``ctx.saved_tensors``.

        Raises
        ------
        TypeError
            If one is neither a tensor nor None.
        """
        for number, x in enumerate(tensors):
            if x is not None and not isinstance(x, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {number} is of type "
                    f"{type(x).__name__}"
                )
        self.to_save = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *args: Any) -> None:
        """Say which inputs `forward` has written in place; it must return them."""
        self.dirty = args

    def mark_non_differentiable(self, *args: Any) -> None:
        """Say which outputs have no gradient."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether `backward` gets zeros for outputs without a gradient, instead of None."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What was saved, as long as the graph is not freed."""
        return self.node().open()

    node: Callable[[], FunctionNode]
    dtypes: list[Any]

    def name(self) -> str:
        """The name of the node."""
        return self.node().name()

    @property
    def next_functions(self) -> Any:
        """The edges of the node."""
        return self.node().next_functions

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary for users."""
        return self.node().metadata


class FunctionMeta(type):
    """Keeps `Function` classes apart from instances of them."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"{cls.__name__} should not be instantiated. Methods on autograd functions are all "
            f"static, so you should invoke them on the class itself: {cls.__name__}.apply(...)"
        )


class Function(FunctionCtx, metaclass=FunctionMeta):
    """An operation with a gradient of your own (``torch.autograd.Function``).

    Write `forward` and `backward` as static methods, and call ``YourFunction.apply(...)``. Either
    ``forward(ctx, *args)`` saves what `backward` needs, or ``forward(*args)`` does not know `ctx`
    and ``setup_context(ctx, inputs, output)`` saves it.

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

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the operation."""
        return apply(cls, args, kwargs)


def apply(cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run `forward`, and put the call on the tape."""
    mode = current()
    edges = [edge_of(x) if isinstance(x, Tensor) else None for x in args]
    wanted = mode.recording and any(edge is not None for edge in edges)
    ctx = context_class(cls)()
    needs = [isinstance(x, Tensor) and requires_grad(x) for x in args]
    ctx.needs_input_grad = tuple([n and mode.recording for n in needs])
    separate = cls.setup_context is not Function.setup_context
    with no_grad():
        if separate:
            output = cls.forward(*args, **kwargs)
            cls.setup_context(ctx, args, output)
        else:
            output = cls.forward(ctx, *args, **kwargs)
    several = isinstance(output, (tuple, list))
    outputs = list(output) if several else [output]
    backward = cls.backward if cls.backward is not Function.backward else cls.vjp
    node = FunctionNode(f"{cls.__name__}Backward", backward, ctx, edges)
    ctx.node = weakref.ref(node)
    outs = [finished(node, ctx, x, number, args, wanted, mode) for number, x in enumerate(outputs)]
    tensors = [x for x in outs if isinstance(x, Tensor)]
    if wanted and tensors:
        node.count = len(outs)
        node.device = tensors[0]._device
        node.outputs = [tuple(x._array.shape) if isinstance(x, Tensor) else () for x in outs]
        ctx.dtypes = [x._array.dtype if isinstance(x, Tensor) else None for x in outs]
        node.shape = node.outputs[0]
        for number, x in enumerate(outs):
            if not isinstance(x, Tensor) or x.dtype.kind not in ("float", "complex"):
                continue
            if any(x is y for y in ctx.non_differentiable) or any(
                outputs[number] is y for y in ctx.non_differentiable
            ):
                continue
            put_in(node, x, number, args)
        if mode.anomaly:
            from devtensor.autograd.node import extra_of

            extra_of(node).line = line_at(*users_place(2))
        keep(node, ctx, outputs, outs, mode)
        ctx.dirty = ctx.non_differentiable = ()  # they lead back to the node
    else:
        node.saved = [None if x is None else (x, None, None, 0) for x in ctx.to_save]
        node.count = len(outs)
    for book in mode.ledgers:
        book.add_function(cls, tensors, node if wanted else None, mode)
    return tuple(outs) if several else outs[0]


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


def put_in(node: FunctionNode, x: Tensor, number: int, args: tuple[Any, ...]) -> None:
    """Give an output its place in the graph."""
    place = node.edge(number)
    if any(x is a for a in args):  # written in place
        from devtensor.autograd.write import is_leaf, rebase

        if requires_grad(x) and is_leaf(x):
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation: "
                f"{node.label} marked it dirty"
            )
        memory = memory_of(x)
        memory.stamp = tick()
        node.clock = tick()
        rebase(x, place, x._device)
        return
    x._node = place
    if x._alias.__class__ is View and x._alias.made == "grad":
        x._alias = Owner(x._alias.memory)


def keep(node: FunctionNode, ctx: Any, outputs: list[Any], outs: list[Any], mode: Any) -> None:
    """Hold what `forward` saved."""
    node.saved = []
    for x in ctx.to_save:
        if x is None:
            node.saved.append(None)
            continue
        if x.is_inference():
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. Please make a clone to use it in "
                f"autograd instead: {node.label} saves one of shape {list(x.shape)}"
            )
        output = next((i for i, o in enumerate(outputs) if o is x), None)
        if isinstance(mode.hooks, tuple):
            node.saved.append((Packed(x, mode.hooks, None), output, None, 0))
            continue
        memory = memory_of(x)
        held = wrap(x._array, x._device) if output is not None else x
        node.saved.append((held, output, memory, tick()))
    ctx.to_save = ()


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
        guarded = tuple([_Once.apply(x, *args) if isinstance(x, Tensor) else x for x in results])
        return guarded[0] if single else guarded

    return wrapper


class _Once(Function):
    @staticmethod
    def forward(ctx: Any, x: Any, *args: Any) -> Any:
        return x.detach().clone()

    @staticmethod
    def backward(ctx: Any, *g: Any) -> Any:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )
