"""The gradient mode: whether launches are recorded, and who watches them.

The mode of a thread is an immutable stack of entries, one for each block that is open. A context
variable holds the stack, and another what the stack amounts to, so a launch reads one variable.
Context variables keep asyncio tasks apart. Two more rules keep the mode from leaking:

* an entry counts only in the thread that made it, so executors start with the defaults;
* an entry made in a generator's frame counts only while that frame is on the call stack, so a
  suspended generator takes its mode with it. (Generators that `contextlib.contextmanager` drives
  are exempt: holding a mode across their `yield` is what they are for.)
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from contextvars import ContextVar
from inspect import CO_ASYNC_GENERATOR, CO_GENERATOR
from threading import get_ident
from types import FrameType
from typing import Any

from devtensor.backend import loaded


class Inference:
    """The place in the graph of tensors made in inference mode: none, for good."""

    __slots__ = ()
    inference = True

    def __repr__(self) -> str:
        return "INFERENCE"


INFERENCE = Inference()


class Entry:
    """One open block, or one bare call of `set_grad_enabled`.

    Attributes
    ----------
    kind : str
        ``"grad"``, ``"inference"``, or what a watcher is: ``"hooks"``, ``"ledger"``, ``"watch"``,
        ``"cast"``, ``"function"``, ``"anomaly"``, ``"dispatch"``.
    value : object
        What the block sets.
    owner : frame or None
        The generator's frame within which alone the entry counts.
    open : bool
        False for a bare call, which an enclosing block's end undoes.
    settled : bool
        Whether a bare call can no longer become a block.
    before : tuple or None
        The stack beneath it and its mode, as they were when it was put on top.
    place : tuple
        Where it was made: a code object and an offset in it, or a text.
    """

    __slots__ = ("before", "kind", "open", "owner", "place", "settled", "value")

    def __init__(
        self, kind: str, value: Any, owner: FrameType | None, opened: bool, place: Any
    ) -> None:
        self.kind = kind
        self.value = value
        self.owner = owner
        self.open = opened
        self.place = place
        self.settled = False
        self.before: Any = None

    @property
    def line(self) -> str:
        """Where it was made, as ``"file:line"``."""
        if isinstance(self.place, str):
            return self.place
        return line_at(*self.place)


def line_at(code: Any, offset: int) -> str:
    """A place in a code object as ``"file:line"``."""
    number = next((n for a, b, n in code.co_lines() if a <= offset < b), code.co_firstlineno)
    return f"{code.co_filename}:{number}"


def users_frame(depth: int) -> tuple[FrameType, int]:
    """The frame outside this package from which it was called, and its depth."""
    frame = sys._getframe(depth)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("devtensor"):
        depth, frame = depth + 1, frame.f_back
    return frame, depth


def users_place(depth: int) -> tuple[Any, int]:
    """Where, outside this package, it was called from."""
    # As `users_frame`, which counts besides: every write in place asks.
    frame = sys._getframe(depth)
    while frame.f_globals.get("__name__", "").startswith("devtensor"):
        if (caller := frame.f_back) is None:
            break
        frame = caller
    return frame.f_code, frame.f_lasti


def tell(text: str, category: type[Warning]) -> None:
    """Warn of the line outside this package that it was called from."""
    warnings.warn(text, category, stacklevel=users_frame(2)[1])


class Mode:
    """What a stack of entries amounts to.

    Attributes
    ----------
    grad, inference : bool
        PyTorch's two flags.
    recording : bool
        Whether launches are recorded: `grad` and not `inference`.
    edge : Inference or None
        The place in the graph of what is made unrecorded.
    hooks : tuple or str or None
        The innermost pair (pack, unpack) for saved tensors, or why there may be none.
    ledgers : tuple
        What is told of every launch: the ledgers that are open, and casts, which note nothing.
    functions : tuple
        The objects that are asked what functions do.
    servers : tuple
        The objects that are asked what launches do.
    anomaly : bool
        Whether nodes remember the line that made them.
    watched : bool
        Whether the launches of the way back are told, too: rules then run on tensors.
    plain : bool
        Whether nothing but the flags matters to a launch.
    bound : bool
        Whether a generator's frame must be looked for first.
    thread : int
        The thread in which it holds.
    setter : Entry or None
        What set the flags; None for the defaults.
    """

    __slots__ = (
        "anomaly",
        "bound",
        "edge",
        "functions",
        "grad",
        "hooks",
        "inference",
        "ledgers",
        "plain",
        "recording",
        "servers",
        "setter",
        "thread",
        "watched",
    )

    def __init__(self, stack: tuple[Entry, ...], thread: int) -> None:
        grad = outer = True
        inference = anomaly = bound = watched = False
        hooks: Any = None
        ledgers: tuple[Any, ...] = ()
        functions: tuple[Any, ...] = ()
        servers: tuple[Any, ...] = ()
        setter: Entry | None = None
        for entry in stack:
            kind, value = entry.kind, entry.value
            if entry.owner is not None:
                bound = True
            if kind == "grad":
                grad = outer = value
                setter = entry
            elif kind == "inference":
                # Leaving inference mode restores the flag around it, also inside `no_grad`.
                inference, grad = value, outer and not value
                setter = entry
            elif kind == "hooks":
                hooks = value
            elif kind in ("ledger", "watch", "cast"):
                ledgers = (*ledgers, value)
                watched = watched or kind == "watch"
            elif kind == "function":
                functions = functions[:-1] if value is None else (*functions, value)
            elif kind == "anomaly":
                anomaly = value
            elif value is not None:  # a server, which is told, too
                servers, ledgers, watched = (*servers, value), (*ledgers, value), True
            else:  # what is beneath one
                servers, ledgers, functions, watched = servers[:-1], (), (), len(servers) > 1
        self.grad, self.inference, self.setter = grad, inference, setter
        self.recording = grad and not inference
        self.edge = INFERENCE if inference else None
        self.hooks, self.ledgers, self.anomaly = hooks, ledgers, anomaly
        self.functions, self.servers, self.watched = functions, servers, watched
        self.bound, self.thread = bound, thread
        self.plain = hooks is None and not (ledgers or functions or servers or anomaly or bound)

    @property
    def line(self) -> str:
        """The line that set the flags, "" for the defaults."""
        return self.setter.line if self.setter is not None else ""

    @property
    def name(self) -> str:
        """What the mode is called: ``"grad"``, ``"no_grad"`` or ``"inference"``."""
        return "inference" if self.inference else "grad" if self.grad else "no_grad"


RECORD = Mode((), 0)
"""The default. Launches compare with it by identity."""

FRESH = Mode((), 0)
"""The default, in a context that no launch has run in: libraries may need to be set up there."""
FRESH.plain = False

MODE: ContextVar[Mode] = ContextVar("mode", default=FRESH)
_stack: ContextVar[tuple[int, tuple[Entry, ...]]] = ContextVar("stack", default=(0, ()))


def entries() -> tuple[Entry, ...]:
    """The stack of this thread and context."""
    thread, stack = _stack.get()
    return stack if thread == get_ident() else ()


def _set(stack: tuple[Entry, ...]) -> None:
    thread = get_ident()
    mode = Mode(stack, thread) if stack else RECORD
    MODE.set(RECORD if mode.plain and mode.recording else mode)
    _stack.set((thread, stack))


def prepare() -> None:
    """Let the libraries in use make their settings for this context."""
    for backend in loaded():
        backend.setup()
    if MODE.get() is FRESH:
        MODE.set(RECORD)


def current() -> Mode:
    """The mode in which a launch from here runs."""
    mode = MODE.get()
    if mode is RECORD:
        return mode
    if mode is FRESH:
        prepare()
        return RECORD
    if mode.thread != get_ident():
        return RECORD
    if not mode.bound:
        return mode
    running = set()
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        running.add(frame)
        frame = frame.f_back
    counted = [e for e in entries() if e.owner is None or e.owner in running]
    return Mode(tuple(counted), mode.thread) if counted else RECORD


def unwatched() -> Mode | None:
    """The mode, if nobody watches launches in it or looks from elsewhere; else None."""
    mode = MODE.get()
    return mode if mode is RECORD or (mode.plain and mode.thread == get_ident()) else None


def is_grad_enabled() -> bool:
    """Whether gradient recording is on (``torch.is_grad_enabled``)."""
    return current().grad


def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on (``torch.is_inference_mode_enabled``)."""
    return current().inference


_CONTEXTLIB = contextlib.__file__
_SUSPENDS = CO_GENERATOR | CO_ASYNC_GENERATOR


def owner_of(frame: FrameType | None) -> FrameType | None:
    """The frame to which a block opened in `frame` is bound, if it can be suspended."""
    code = frame.f_code if frame is not None else None
    if code and not code.co_flags & _SUSPENDS and code.co_filename != _CONTEXTLIB:
        return None
    while frame is not None:
        caller = frame.f_back
        if frame.f_code.co_flags & _SUSPENDS:
            if caller is None or caller.f_code.co_filename != _CONTEXTLIB:
                return frame
            frame = caller  # a context manager written as a generator acts for its user
        elif frame.f_code.co_filename != _CONTEXTLIB:
            return None
        else:
            frame = caller
    return None


def push(entry: Entry) -> None:
    """Put an entry on the stack; of settled bare calls in a row only the last one counts."""
    if MODE.get() is FRESH:
        prepare()
    stack = entries()
    if len(stack) > 1 and stack[-1].settled and stack[-2].settled:
        stack = (*stack[:-2], stack[-1])
    else:
        entry.before = stack, MODE.get()
    _set((*stack, entry))


def opened(entry: Entry, owner: FrameType | None) -> None:
    """Make a bare call a block."""
    entry.open, entry.owner = True, owner
    stack = entries()
    _set(stack if entry in stack else (*stack, entry))


def remove(entry: Entry) -> None:
    """Take an entry off the stack, and the bare calls made after it."""
    stack = entries()
    before = entry.before
    if stack and stack[-1] is entry and before is not None and len(before[0]) == len(stack) - 1:
        MODE.set(before[1])  # the common case: nothing has changed beneath it
        _stack.set((get_ident(), before[0]))
    elif entry in stack:
        at = stack.index(entry)
        _set(stack[:at] + tuple([e for e in stack[at + 1 :] if e.open]))


class Block:
    """A `with` block that puts one entry on the stack; it may be entered again and again."""

    kind = ""
    _line = ""
    _unused: tuple[Any, int] | None = None

    def __init__(self, value: Any) -> None:
        self._value = value
        self._entries: list[Entry] = []

    def __enter__(self) -> Any:
        self._open(sys._getframe(1))

    def _open(self, frame: FrameType) -> None:
        self._unused = None
        place = self._line or (frame.f_code, frame.f_lasti)
        entry = Entry(self.kind, self._value, owner_of(frame), True, place)
        self._entries.append(entry)
        push(entry)

    def __exit__(self, *_: object) -> None:
        if self._entries:
            remove(self._entries.pop())
