"""Classes that say themselves what functions do with them: ``__torch_function__``.

A function that is given one of them hands the call over. Plain tensors and parameters are not asked
for it: what every launch looks at is their class alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from functools import wraps
from types import FunctionType
from typing import Any

from devtensor.autograd.mode import MODE, RECORD, Block, current
from devtensor.tensor import MEMBERS, Constant, Tensor, on_tensor

Function = Callable[..., Any]
_off: ContextVar[bool] = ContextVar("off", default=False)


class OfPyTorch(dict[type, bool]):
    """Whether a class is one of PyTorch's own tensors."""

    def __missing__(self, cls: type) -> bool:
        found = self[cls] = any([base.__module__ == "torch._C" for base in cls.__mro__])
        return found


OF_PYTORCH = OfPyTorch()


def refuse_pytorchs(function: Function) -> None:
    """Refuse to be asked what one of PyTorch's own functions does; it would ask again forever.

    Raises
    ------
    TypeError
        If it is one.
    """
    home = getattr(function, "__module__", None) or getattr(
        getattr(function, "__objclass__", None), "__module__", ""
    )
    if str(home).partition(".")[0] == "torch":
        raise TypeError(
            f"PyTorch's own {getattr(function, '__name__', function)} was given a Tensor of "
            "devtensor's: give it torch.from_dlpack(tensor), or call devtensor's function"
        )


def disabled(func: Function, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """The ``__torch_function__`` of classes that are tensors like any other."""
    refuse_pytorchs(func)
    with Unrouted():
        return func(*args, **(kwargs or {}))


class Acting(dict[type, bool]):
    """Whether objects of a class are asked what a function does with them."""

    def __missing__(self, cls: type) -> bool:
        found = self[cls] = getattr(cls, "__torch_function__", disabled) is not disabled
        return found


ACTING = Acting({Tensor: False, Constant: False})


def always(value: Any) -> bool:
    """Whether an object is asked last, but whatever is off: it has no dense memory to work on."""
    return bool(getattr(value.__class__, "__torch_function_always__", False))


class Plain(dict[type, bool]):
    """Whether objects of a class are tensors that nobody is asked about."""

    def __missing__(self, cls: type) -> bool:
        found = self[cls] = issubclass(cls, Tensor) and not ACTING[cls]
        return found


PLAIN = Plain()


class Unrouted:
    """A block in which subclasses of `Tensor` are tensors like any other."""

    def __enter__(self) -> None:
        self.token = _off.set(True)

    def __exit__(self, *_: object) -> None:
        _off.reset(self.token)


class Handlers(Block):
    """A block in which an object is asked first, or the innermost such object is not asked."""

    kind = "function"


def actors(values: Iterable[Any]) -> list[Any]:
    """Those among some arguments that are to be asked, each class once, subclasses first."""
    if _off.get():
        return []
    found: list[Any] = []
    for value in values:
        for one in value if value.__class__ in (list, tuple) else (value,):
            if not ACTING[one.__class__] or always(one):
                continue
            if not any(type(x) is type(one) for x in found):
                before = (n for n, x in enumerate(found) if issubclass(type(one), type(x)))
                found.insert(next(before, len(found)), one)
    return found


def routed(values: Sequence[Any]) -> bool:
    """Whether a call with these arguments goes to somebody else."""
    for value in values:
        cls = value.__class__
        acts = any(map(acting, value)) if cls is list or cls is tuple else ACTING[cls]
        if acts and (not _off.get() or lowest((value,)) is not None):
            return True
    return MODE.get() is not RECORD and bool(current().functions)


def acting(value: Any) -> bool:
    """Whether an object is asked what a function does with it."""
    return ACTING[value.__class__]


def lowest(values: Iterable[Any]) -> Any:
    """The first among some arguments, and lists of them, that is always asked; None if none is."""
    for value in values:
        if value.__class__ is list or value.__class__ is tuple:
            value = lowest(value)
        if always(value):
            return value
    return None


def hand_over(
    function: Function,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    relevant: list[Any] | None = None,
) -> Any:
    """Let the innermost mode, or else the arguments, say what a function does.

    Parameters
    ----------
    function : callable
    args, kwargs
        The arguments of the call.
    relevant : list, optional
        Those that are asked; by default all that can be.

    Raises
    ------
    TypeError
        If none of them does.
    """
    given = (*args, *kwargs.values())
    acting = actors(given) if relevant is None else relevant
    types = tuple([type(x) for x in acting])
    modes = current().functions
    if modes:
        with Handlers(None):
            result = modes[-1].__torch_function__(function, types, args, kwargs)
        if result is not NotImplemented:
            return result
    for one in acting:
        if OF_PYTORCH[type(one)]:
            raise TypeError(
                f"{getattr(function, '__name__', function)}() was given one of PyTorch's own "
                f"tensors, of shape {list(one.shape)}: pass devtensor.from_dlpack(tensor)"
            )
        result = type(one).__torch_function__(function, types, args, kwargs)
        if result is not NotImplemented:
            return result
    if not acting and (one := lowest(given)) is not None:
        return type(one).__torch_function__(function, types, args, kwargs)
    name = getattr(function, "__name__", str(function))
    raise TypeError(
        f"Multiple dispatch failed for 'torch.{name}'; all __torch_function__ handlers returned "
        f"NotImplemented: {[*map(type, modes[-1:]), *types]}"
    )


def asking_first(function: Function) -> Function:
    """A function of operations that asks its arguments and modes what it does, as those do."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if routed((*args, *kwargs.values()) if kwargs else args):
            return hand_over(call, args, kwargs)
        return function(*args, **kwargs)

    return call


def converted(result: Any, cls: type) -> Any:
    """A result, and the tensors in it, as tensors of a subclass."""
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) else result.as_subclass(cls)
    if isinstance(result, (tuple, list)):
        parts = [converted(one, cls) for one in result]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    return result


SPECIAL = {"__array__", "__bool__", "__complex__", "__float__", "__index__", "__int__", "__len__"}
"""Members with underscores of which subclasses are asked."""


def asking(member: Any) -> Any:
    """A member of `Tensor` as subclasses have it that are asked what it does."""

    def asked(function: Function) -> Function:
        def call(*args: Any, **kwargs: Any) -> Any:
            if always(args[0]):  # whoever is asked first has to call it, too
                return hand_over(call, args, kwargs)
            return function(*args, **kwargs) if _off.get() else hand_over(function, args, kwargs)

        return call

    if not isinstance(member, property):
        return wraps(member)(asked(member))
    kinds: Any = (member.fget, member.fset, member.fdel)
    ways: Any = (member.__get__, member.__set__, member.__delete__)
    made: Any = property
    return made(*[kind and wraps(kind)(asked(way)) for kind, way in zip(kinds, ways, strict=True)])


@on_tensor
class Asked:
    """What subclasses of `Tensor` do by default."""

    def __init_subclass__(cls: Any, **kwargs: Any) -> None:
        super(Tensor, cls).__init_subclass__(**kwargs)  # type: ignore[misc] # it is put there
        if Tensor not in cls.__bases__ or not ACTING[cls]:
            return
        for name, member in list(vars(Tensor).items()):
            named = name in SPECIAL or not (name.startswith("_") or name == "as_subclass")
            mine = isinstance(member, property) or (
                name in MEMBERS and isinstance(member, FunctionType)
            )
            if named and mine and getattr(cls, name) is member:
                setattr(cls, name, asking(member))

    @classmethod
    def __torch_function__(
        cls: Any, func: Function, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Call a function; its results are of the subclass, too."""
        if not all(issubclass(cls, one) for one in types):
            return NotImplemented
        result = disabled(func, types, args, kwargs)
        return result if func == vars(Tensor)["grad"].__get__ else converted(result, cls)
