"""Results that go into tensors which the caller gives: ``out=`` of composites."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from devtensor.dtype import can_cast
from devtensor.options import refuse_overlap, same_memory, write_out
from devtensor.tensor import Tensor

Function = Callable[..., Any]


def with_out(
    *, casts: bool | Callable[..., bool] = False, apart: bool = False, over: bool = False
) -> Callable[[Function], Function]:
    """Let a composite take ``out=``, as operations do: a tensor, or one to each result.

    A composite that casts, and has a `dtype` that is not given, computes in the type of `out`.

    Parameters
    ----------
    casts : bool or callable, optional
        Whether what is written may have another type than the result, to which the result's type
        can be cast; else it must have the same. A function says it of the arguments of a call.
    apart : bool, optional
        Whether `out` may not lie in the memory of an input.
    over : bool, optional
        The same, but for the very memory of an input, over which it may be written.

    Raises
    ------
    RuntimeError
        By the composite, if something requires gradients, or the type of `out` does not suit.
    TypeError
        If `out` is no tensor.
    """

    def define(function: Function) -> Function:
        name = function.__name__

        @wraps(function)
        def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
            if out is None:
                return function(*args, **kwargs)
            cast = casts(*args, **kwargs) if callable(casts) else casts
            if typed and cast and isinstance(out, Tensor) and kwargs.get("dtype") is None:
                kwargs["dtype"] = out.dtype
            inputs = tensors((*args, *kwargs.values()))
            for one in tensors((out,)) if apart or over else ():
                read = [x for x in inputs if not over or (x is not one and not same_memory(x, one))]
                refuse_overlap(one, read, True)
            return placed(name, function(*args, **kwargs), out, inputs, cast)

        typed = "dtype" in inspect.signature(function).parameters
        call.__signature__ = taking_out(function)  # type: ignore[attr-defined]
        return call

    return define


def taking_out(function: Function) -> inspect.Signature:
    """The signature of a function with the option `out`."""
    signature = inspect.signature(function)
    option = inspect.Parameter(
        "out", inspect.Parameter.KEYWORD_ONLY, default=None, annotation="Any"
    )
    listed = list(signature.parameters.values())
    place = len(listed) - bool(listed and listed[-1].kind is inspect.Parameter.VAR_KEYWORD)
    listed.insert(place, option)
    return signature.replace(parameters=listed)


def placed(name: str, result: Any, out: Any, inputs: Sequence[Tensor], casts: bool) -> Any:
    """The tensor or tensors `out`, after the result of a composite was written there.

    Parameters
    ----------
    name : str
        Of the composite.
    result : Tensor or tuple of Tensor
    out : Tensor or sequence of Tensor
    inputs : sequence of Tensor
        What the result was computed from.
    casts : bool
        As for `with_out`.
    """
    outs = tuple(out) if isinstance(out, (tuple, list)) else (out,)
    single = isinstance(result, Tensor)
    values = (result,) if single else tuple(result)
    if len(values) != len(outs):
        raise TypeError(f"{name}(): out has {len(outs)} tensors for {len(values)} results")
    refuse_tracked(name, outs, (*inputs, *outs))
    for value, x in zip(values, outs, strict=True):
        refuse_overlap(x, (), value.shape == x.shape)
        check_type(name, value, x, casts)
    for value, x in zip(values, outs, strict=True):
        write_out(name, value, x)
    if single:
        return outs[0]
    return type(result)._make(outs) if hasattr(result, "_make") else outs


def tensors(values: tuple[Any, ...]) -> list[Any]:
    """The tensors among arguments, also those in lists."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += [x for x in value if isinstance(x, Tensor)]
    return found


def refuse_tracked(name: str, outs: tuple[Any, ...], involved: tuple[Any, ...]) -> None:
    """Raise if `outs` are no tensors, or what is written there would have to be differentiated."""
    for x in outs:
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(x).__name__}")
    # A copy of a tracked tensor is tracked as long as gradients are recorded.
    if any(x.requires_grad and x.clone().requires_grad for x in involved):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad. Leave out= away, or use no_grad()."
        )


def check_type(name: str, value: Tensor, out: Tensor, casts: bool) -> None:
    """Raise unless a result may be written into `out`."""
    if value._device is not out._device:
        raise RuntimeError(
            f"{name}(): Expected out tensor to have device {value._device}, but got {out._device} "
            "instead"
        )
    if casts and can_cast(value.dtype, out.dtype):
        return
    if value.dtype is not out.dtype:
        raise RuntimeError(
            f"{name}(): Expected out tensor to have dtype {value.dtype}, but got {out.dtype} "
            "instead"
        )
