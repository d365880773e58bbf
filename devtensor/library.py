"""Operators of one's own by name (``torch.library``); they are called from ``torch.ops``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any

from devtensor.autograd.function import Function
from devtensor.device import device
from devtensor.refusal import refused
from devtensor.tensor import Tensor
from devtensor.watch import through

__all__ = [
    "CustomOpDef",
    "Library",
    "custom_op",
    "define",
    "get_ctx",
    "impl",
    "opcheck",
    "register_autocast",
    "register_autograd",
    "register_fake",
    "register_kernel",
    "register_torch_dispatch",
    "register_vmap",
    "triton_op",
    "wrap_triton",
]

WHY = (
    "there is no dispatcher to ask; write an operation of the catalogue by devtensor.op.op, which "
    "has derivatives, vmap and every backend"
)

triton_op = refused("library.triton_op", WHY)
wrap_triton = refused("library.wrap_triton", WHY)
get_ctx = refused("library.get_ctx", WHY)
opcheck = refused("library.opcheck", WHY)
register_autocast = refused("library.register_autocast", WHY)
register_torch_dispatch = refused("library.register_torch_dispatch", WHY)
register_vmap = refused("library.register_vmap", WHY)

_operators: dict[str, CustomOpDef] = {}


def _named(name: str) -> CustomOpDef:
    """The operator of a qualified name, made now if there was none."""
    if name.count("::") != 1:
        raise ValueError(f"a name is 'namespace::name', such as 'mine::scale': got {name!r}")
    return _operators.setdefault(name, CustomOpDef(name))


class CustomOpDef:
    """An operator that a program has defined: kernels for kinds of devices, and a derivative.

    Without a derivative the kernel is run as the code it is, and gradients go through what it
    calls.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._kernels: dict[str, Callable[..., Any]] = {}
        self._function: type[Function] | None = None

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._name})>"

    def _kernel(self, inputs: Sequence[Any]) -> Callable[..., Any]:
        kinds = [x.device.type for x in inputs if isinstance(x, Tensor)] or ["cpu"]
        for kind in (kinds[0], "any"):
            if kind in self._kernels:
                return self._kernels[kind]
        raise NotImplementedError(
            f"Could not run '{self._name}' with arguments on {kinds[0]!r}: it has kernels for "
            f"{sorted(self._kernels)}; add one by torch.library.register_kernel"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return through(self._name, self._run, args, kwargs)

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        kernel = self._kernel([*args, *kwargs.values()])
        if self._function is None:
            return kernel(*args, **kwargs)
        given = signature(kernel).bind(*args, **kwargs)
        given.apply_defaults()  # a derivative is told of all, by place where they have one
        return self._function.apply(given.kwargs, *given.args)

    def register_kernel(self, device_types: Any, fn: Any = None, /) -> Any:
        """Enter a kernel for kinds of devices, or for any with None; also as a decorator."""
        kinds = [device_types] if device_types is None or isinstance(device_types, str) else [
            *device_types
        ]  # fmt: skip
        names = ["any" if kind is None else device(kind).type for kind in kinds]

        def enter(function: Any) -> Any:
            self._kernels.update(dict.fromkeys(names, function))
            return function

        return enter if fn is None else enter(fn)

    def register_fake(self, fn: Any, /) -> Any:
        """Return the function: shapes are found by running the kernel."""
        return fn

    def register_autograd(self, backward: Any, /, *, setup_context: Any = None) -> None:
        """Enter the derivative.

        Parameters
        ----------
        backward : callable
            ``backward(ctx, *gradients)``: a gradient, or None, to each argument.
        setup_context : callable, optional
            ``setup_context(ctx, inputs, output)`` saves what `backward` needs.
        """
        operator = self

        class Derived(Function):
            @staticmethod
            def forward(ctx: Any, kwargs: dict[str, Any], *args: Any) -> Any:
                kernel = operator._kernel([*args, *kwargs.values()])
                output = kernel(*args, **kwargs)
                if setup_context is not None:
                    named = {"keyword_only_inputs": kwargs} if kwargs else {}
                    setup_context(ctx=ctx, inputs=args, output=output, **named)
                return output

            @staticmethod
            def backward(ctx: Any, *gradients: Any) -> Any:
                found = backward(ctx, *gradients)
                return (None, *(found if isinstance(found, tuple) else (found,)))

        self._function = Derived


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: str | Sequence[str],
    device_types: str | Sequence[str] | None = None,
    schema: str | None = None,
    tags: Sequence[Any] | None = None,
) -> Any:
    """Give a function a name in ``torch.ops``, and a derivative if one is registered for it.

    Parameters
    ----------
    name : str
        ``"namespace::name"``.
    fn : callable, optional
        What it computes. Without it a decorator is returned.
    mutates_args : str or sequence of str
        Arguments that are written to; for the reader.
    device_types : str or sequence of str, optional
        The kinds of devices that `fn` is for; all.
    schema, tags : optional
        Accepted and without effect: the function's own signature holds.

    Raises
    ------
    ValueError
        If the name has no namespace.

    Examples
    --------
    >>> import devtensor as dt
    >>> @dt.library.custom_op("mine::twice", mutates_args=())
    ... def twice(x: dt.Tensor) -> dt.Tensor:
    ...     return x * 2
    >>> dt.ops.mine.twice(dt.ones(2))
    tensor([2., 2.])
    """

    def enter(function: Callable[..., Any]) -> CustomOpDef:
        _operators.pop(name, None)
        operator = _named(name)
        operator.register_kernel(device_types, function)
        return operator

    return enter if fn is None else enter(fn)


def _operator(op: Any) -> CustomOpDef:
    return op if isinstance(op, CustomOpDef) else _named(op)


def register_kernel(op: Any, device_types: Any, func: Any = None, /, *, lib: Any = None) -> Any:
    """Enter a kernel of an operator for kinds of devices; see :class:`CustomOpDef`."""
    return _operator(op).register_kernel(device_types, func)


def register_fake(op: Any, func: Any = None, /, *, lib: Any = None, **_: Any) -> Any:
    """Return the function: shapes are found by running the operator."""
    return (lambda function: function) if func is None else func


impl_abstract = register_fake


def register_autograd(
    op: Any, backward: Any, /, *, setup_context: Any = None, lib: Any = None
) -> None:
    """Enter the derivative of an operator; see :class:`CustomOpDef`."""
    _operator(op).register_autograd(backward, setup_context=setup_context)


def define(qualname: str, schema: str, *, lib: Any = None, tags: Any = ()) -> None:
    """Name an operator, for kernels that are entered later."""
    _named(qualname)


KINDS = {"CPU": "cpu", "CUDA": "cuda", "XPU": "xpu", "": None, "default": None,
         "CompositeExplicitAutograd": None, "CompositeImplicitAutograd": None}  # fmt: skip
"""The device types of PyTorch's dispatch keys. Kernels of others, as of Meta, are never needed."""


def impl(qualname: str, types: Any, func: Any = None, *, lib: Any = None) -> Any:
    """Enter a kernel of an operator for device types or dispatch keys."""

    def enter(function: Any) -> Any:
        for name in [types] if isinstance(types, str) else types:
            kind = KINDS.get(name, name)
            if kind is None or kind.islower():
                _named(qualname).register_kernel(kind, function)
        return function

    return enter if func is None else enter(func)


class Library:
    """Operators of one namespace.

    Parameters
    ----------
    ns : str
    kind : str
        ``"DEF"``, ``"IMPL"`` or ``"FRAGMENT"``; all may be used alike.
    dispatch_key : str, optional
        Of kernels that are entered without one.
    """

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("DEF", "IMPL", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind!r}; it is 'DEF', 'IMPL' or 'FRAGMENT'")
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Name an operator by its schema, ``"scale(Tensor x) -> Tensor"``, and return its name."""
        name = schema.partition("(")[0].strip()
        _named(f"{self.ns}::{name}")
        return name

    def impl(self, op_name: Any, fn: Any, dispatch_key: str = "", **_: Any) -> None:
        """Enter a kernel."""
        name = op_name if isinstance(op_name, str) else op_name._name
        impl(f"{self.ns}::{name.rpartition('::')[2]}", dispatch_key or self.dispatch_key, fn)
