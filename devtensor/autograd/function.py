"""Operations of users' own: `Function`."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from devtensor.autograd.mode import INFERENCE, current, line_at, users_place
from devtensor.autograd.modes import no_grad
from devtensor.autograd.node import FREED, Node, Part, tick
from devtensor.autograd.saved import Packed, changed, type_of
from devtensor.autograd.step import anomalous, hooked, look_for_nan, on
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


class FunctionNode(Node):
    """A call of a `Function` on the tape."""

    __slots__ = (
        "__weakref__",
        "backward",
        "context",
        "count",
        "dirty",
        "label",
        "links",
        "outputs",
        "saved",
    )
    outputs: list[tuple[int, ...]]

    def __init__(self, label: str, backward: Any, context: FunctionCtx, links: list[Any]) -> None:
        self.label, self.backward, self.context, self.links = label, backward, context, links
        self.extra = None
        self.saved: list[Any] | None = []
        self.clock = tick()

    def name(self) -> str:
        return self.label

    def edges(self) -> tuple[Any, ...]:
        return tuple(self.links)

    def edge(self, index: int) -> Any:
        return Part(self, index, self.outputs[index]) if self.count > 1 else self

    def open(self) -> tuple[Any, ...]:
        """The saved tensors, each in its place in the graph."""
        if self.saved is None:
            raise RuntimeError(FREED)
        opened: list[Any] = []
        for value in self.saved:
            if value is None:
                opened.append(None)
                continue
            held, output, memory, time = value
            if held.__class__ is Packed:
                held = held.open(self)
            elif memory is not None and memory.stamp > time:
                raise changed(self, type_of(held), memory, time)
            if output is not None:
                node = self.edge(output)
                held = wrap(held._array, held._device, node)
                held._alias = Owner(memory)
            opened.append(held)
        return tuple(opened)

    def __getattr__(self, name: str) -> Any:
        if name == "saved_tensors":
            return self.open()
        if name.startswith("__") or name == "context":
            raise AttributeError(name)
        return getattr(self.context, name)

    def go(self, walk: Any, g: Any) -> Any:
        """The gradients of the inputs, each with where it goes."""
        several = isinstance(g, list)
        gs = list(g) if several else [g]
        create = walk.create_graph
        shown: list[Any] = []
        for number, one in enumerate(gs):
            if one is not None:
                shown.append(walk.tensor(one, self))
            elif self.context.materialize_grads and self.context.dtypes[number] is not None:
                dtype, here = self.context.dtypes[number], on(self.device)
                zeros = self.device.backend.xp.zeros(self.outputs[number], dtype=dtype, **here)
                shown.append(wrap(zeros, self.device))
            else:
                shown.append(None)
        if self.saved is None:
            raise RuntimeError(FREED)
        results = self.backward(self.context, *shown)
        if not walk.keep and self.saved:
            self.saved = None
        results = results if isinstance(results, tuple) else (results,)
        number = len(self.links)
        if len(results) > number and all(r is None for r in results[number:]):
            results = results[:number]
        if len(results) != number:
            raise RuntimeError(
                f"function {self.label} returned an incorrect number of gradients "
                f"(expected {number}, got {len(results)})"
            )
        passed: list[tuple[Any, Any]] = []
        for place, (edge, result) in enumerate(zip(self.links, results, strict=True)):
            if edge is None or result is None:
                passed.append((edge, None))
                continue
            if not isinstance(result, Tensor):
                raise TypeError(
                    f"function {self.label} returned a {type(result).__name__} at index {place}, "
                    "but expected a Tensor or None"
                )
            result = self.fitting(result, edge, place)
            passed.append((edge, result if create else result._array))
        if anomalous():
            look_for_nan(self, [v for _, v in passed])
        if self.extra is not None and self.extra.hooks:
            values = hooked(self, walk, [v for e, v in passed if e is not None], g)
            given = iter(values)
            passed = [(e, next(given) if e is not None else None) for e, _ in passed]
        return passed

    def fitting(self, result: Tensor, edge: Any, place: int) -> Tensor:
        """A gradient from `backward`, if its shape can be summed to that of the input."""
        shape, wanted = tuple(result._array.shape), tuple(edge.shape)
        if shape != wanted:
            tail = shape[len(shape) - len(wanted) :]
            if len(shape) < len(wanted) or any(
                m not in (n, 1) for n, m in zip(tail, wanted, strict=True)
            ):
                raise RuntimeError(
                    f"Function {self.label} returned an invalid gradient at index {place} - got "
                    f"{list(shape)} but expected shape compatible with {list(wanted)}"
                )
        return result


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
