"""The four gradient modes as users have them: blocks and decorators."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Generator
from typing import Any, TypeVar

from devtensor.autograd.mode import Block, Entry, opened, owner_of, push, remove, users_place
from devtensor.errors import UnusedModeWarning

F = TypeVar("F", bound=Callable[..., Any])
Maker = Callable[[], Any]


def under(make: Maker, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call under the mode that `make` makes."""
    with make():
        return call(*args, **kwargs)


def stepped(coroutine: Any, make: Maker) -> Generator[Any, Any, Any]:
    """Run a generator or coroutine under a mode that its caller does not see at a `yield`."""
    try:
        answer = under(make, coroutine.send, None)
        while True:
            try:
                question = yield answer
            except GeneratorExit:
                under(make, coroutine.close)
                raise
            except BaseException as problem:
                answer = under(make, coroutine.throw, problem)
            else:
                answer = under(make, coroutine.send, question)
    except StopIteration as end:
        return end.value


class Steps:
    """An awaitable whose steps run under a mode."""

    __slots__ = ("coroutine", "make")

    def __init__(self, coroutine: Any, make: Maker) -> None:
        self.coroutine, self.make = coroutine, make

    def __await__(self) -> Generator[Any, Any, Any]:
        return stepped(self.coroutine, self.make)


def decorated(function: Any, make: Maker) -> Any:
    """`function`, of any kind, with its body under the mode that `make` makes."""
    if not callable(function):
        raise TypeError(f"a gradient mode decorates functions, not {type(function).__name__}")
    if inspect.isclass(function):
        warnings.warn(
            f"Decorating classes is deprecated: only the construction of {function.__name__} runs "
            "under the mode, and the name is then a function. Decorate its methods.",
            FutureWarning,
            stacklevel=3,
        )

    call: Callable[..., Any]
    if inspect.isasyncgenfunction(function):

        async def generator(*args: Any, **kwargs: Any) -> Any:
            inner = function(*args, **kwargs)
            try:
                value = await Steps(inner.asend(None), make)
                while True:
                    try:
                        sent = yield value
                    except GeneratorExit:
                        await Steps(inner.aclose(), make)
                        raise
                    except BaseException as problem:
                        value = await Steps(inner.athrow(problem), make)
                    else:
                        value = await Steps(inner.asend(sent), make)
            except StopAsyncIteration:
                return

        call = generator

    elif inspect.iscoroutinefunction(function):

        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            return await Steps(function(*args, **kwargs), make)

        call = coroutine

    elif inspect.isgeneratorfunction(function):

        def steps(*args: Any, **kwargs: Any) -> Any:
            return (yield from stepped(function(*args, **kwargs), make))

        call = steps

    else:

        def plain(*args: Any, **kwargs: Any) -> Any:
            with make():
                return function(*args, **kwargs)

        call = plain

    # A class's attributes are its own; the function that stands for it takes its name only.
    return functools.wraps(function, updated=() if inspect.isclass(function) else ("__dict__",))(
        call
    )


class GradMode(Block):
    """What the four have in common."""

    def __init__(self, value: bool) -> None:
        self._value = value
        self._entries = []
        self._unused = users_place(2)

    def _again(self, line: str) -> GradMode:
        made = type(self)(self._value) if self.kind == "inference" else type(self)()  # type: ignore[call-arg]
        made._line = line
        return made

    def __call__(self, function: F) -> F:
        self._unused = None
        code = getattr(
            inspect.unwrap(function) if callable(function) else function, "__code__", None
        )
        line = f"{code.co_filename}:{code.co_firstlineno}" if code is not None else "?"
        made: F = decorated(function, functools.partial(self._again, line))
        return made

    def __del__(self) -> None:
        if self._unused is not None:
            file, _, line = Entry("", None, None, False, self._unused).line.rpartition(":")
            with contextlib.suppress(Exception):  # the interpreter may be ending
                warnings.warn_explicit(
                    f"{type(self).__name__}() was made but never entered, so it did nothing; write "
                    f"`with {type(self).__name__}():` or put it above a function as a decorator",
                    UnusedModeWarning,
                    file,
                    int(line),
                )


class no_grad(GradMode):
    """Launches inside are not recorded for backward (``torch.no_grad``).

    A context manager and a decorator of functions, methods, generators, coroutines and
    asynchronous generators. Results computed inside have ``requires_grad=False``; tensors that
    exist already keep their flag, and factories honour ``requires_grad=True``.

    Examples
    --------
    >>> import devtensor as dt
    >>> x = dt.ones(2, requires_grad=True)
    >>> with dt.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    kind = "grad"

    def __new__(cls, orig_func: Any = None) -> Any:
        return super().__new__(cls) if orig_func is None else cls()(orig_func)

    def __init__(self, orig_func: Any = None) -> None:
        super().__init__(False)


class enable_grad(GradMode):
    """Launches inside are recorded, also within `no_grad` (``torch.enable_grad``).

    Within `inference_mode` it changes what `is_grad_enabled` says and nothing else.
    """

    kind = "grad"

    def __new__(cls, orig_func: Any = None) -> Any:
        return super().__new__(cls) if orig_func is None else cls()(orig_func)

    def __init__(self, orig_func: Any = None) -> None:
        super().__init__(True)


class inference_mode(GradMode):
    """Launches inside make inference tensors, which never take part in a graph.

    They have no version counter, no record of views and no place on the tape, so their memory can
    be used again by the next launch (``torch.inference_mode``).

    Parameters
    ----------
    mode : bool
        False turns inference mode off inside another one. The grad flag is then what it was
        around the outer block, where PyTorch always turns it on.
    """

    kind = "inference"

    def __new__(cls, mode: Any = True) -> Any:
        return super().__new__(cls) if isinstance(mode, bool) else cls()(mode)

    def __init__(self, mode: bool = True) -> None:
        super().__init__(mode)


class set_grad_enabled(GradMode):
    """Turn recording on or off, for a block or from here on (``torch.set_grad_enabled``).

    It acts when it is made. As a `with` block it ends with the mode that held before it was made;
    called bare it lasts until another call, or the end of an enclosing block.

    Parameters
    ----------
    mode : bool

    Raises
    ------
    TypeError
        If `mode` is no bool.
    """

    kind = "grad"

    def __init__(self, mode: bool) -> None:
        self._made: Entry | None = None
        if not isinstance(mode, bool):
            raise TypeError(
                f"set_grad_enabled(): argument 'mode' (position 1) must be bool, "
                f"not {type(mode).__name__}"
            )
        super().__init__(mode)
        self.mode = mode
        self._unused = None
        self._made = Entry("grad", mode, None, False, users_place(2))
        push(self._made)

    def _again(self, line: str) -> GradMode:
        return set_grad_enabled(self.mode)

    def __enter__(self) -> None:
        frame = sys._getframe(1)
        if self._made is None:
            self._open(frame)
        else:
            self._entries.append(self._made)
            opened(self._made, owner_of(frame))
            self._made = None

    def __call__(self, function: F) -> F:
        if self._made is not None:
            remove(self._made)
            self._made = None
        return super().__call__(function)

    def __del__(self) -> None:
        if self._made is not None:
            self._made.settled = True

    def __repr__(self) -> str:
        return f"set_grad_enabled(mode={self.mode})"


class set_multithreading_enabled(contextlib.ContextDecorator):
    """Say whether a backward pass may use several threads, as a block or a bare call.

    Nothing follows from it: a pass runs in the thread that begins it.

    Parameters
    ----------
    mode : bool
    """

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


class _force_original_view_tracking(set_multithreading_enabled):
    """Say whether views of what was written are made again step by step: here they always are."""


def is_multithreading_enabled() -> bool:
    """Whether a backward pass might use several threads: True, as in PyTorch."""
    return True


def is_view_replay_enabled() -> bool:
    """Whether views are made again where PyTorch would not: False, as in PyTorch."""
    return False
