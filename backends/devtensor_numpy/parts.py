"""Parts of arrays that stay in the processor's cache, and threads that share them.

NumPy works on one processor. It lets go of Python's lock while it does, so kernels that go through
large arrays part by part can have several threads take the parts. Products of matrices use the
threads of the BLAS library itself, except inside of a part.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from _thread import allocate_lock
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from devtensor.settings import follow_threads, get_num_threads

BLOCK = 1 << 17  # Elements of a part: shorter calls have threads wait for Python's lock.
SHARE = 1 << 20  # Steps to a thread: with fewer, waiting for Python's lock costs more.
SLOW, SLOWEST = 4, 8
"""Steps of an element whose exponential is taken, say; and of one that takes no wide registers."""
MOST = 256  # Threads.


def parts(count: int, width: int = 1, most: int = BLOCK) -> list[slice]:
    """Slices that together are `count` rows of `width` elements, of one size up to `most`."""
    rows = even(count, max(1, most // max(1, width)))
    return [slice(start, min(start + rows, count)) for start in range(0, count, max(1, rows))]


def even(count: int, most: int) -> int:
    """The size of as few equal shares of `count` as there can be of at most `most`."""
    return -(-count // max(1, -(-count // most)))


def by_parts(
    work: Callable[[slice], object],
    count: int,
    width: int = 1,
    most: int = BLOCK,
    weight: int = 1,
) -> None:
    """Call `work` with each of the `parts`, as `each` does; `weight` is in steps."""
    if count * width <= most:
        if count:
            work(slice(0, count))
    else:
        each(work, parts(count, width, most), count * width * weight)


def each(work: Callable[[Any], object], pieces: Sequence[Any], size: int) -> None:
    """Call `work` with each of the pieces, which threads share if there is enough to do.

    No piece may need what another one writes. The caller works as well and takes what no thread
    has begun, so busy processors cost no time, and a piece may itself call `each`.

    Parameters
    ----------
    work : callable
        Gets a piece.
    pieces : sequence
        As `parts` makes them.
    size : int
        The elements of all of them, times the steps that each takes.
    """
    helpers = min(get_num_threads(), len(pieces), size // SHARE, MOST) - 1
    if helpers < 1:
        for piece in pieces:
            work(piece)
        return
    with BLAS:
        Job(work, pieces).share(helpers)


class Job:
    """Pieces of work that threads take in turns."""

    __slots__ = ("begun", "errors", "left", "work")

    def __init__(self, work: Callable[[Any], object], pieces: Sequence[Any]) -> None:
        self.left, self.begun, self.errors = deque(pieces), [], []  # type: ignore[var-annotated]
        self.work: Callable[[Any], object] | None = work

    def share(self, helpers: int) -> None:
        """Have some threads help; return, or raise what a piece has raised, when all is done."""
        for helper in claimed(helpers):
            helper.job = self
            helper.wake.release()
        try:
            self.take()
        finally:
            self.left.clear()
            for done in self.begun:
                done.acquire()
            self.work = None  # a thread that comes too late holds no arrays
        if self.errors:
            try:
                raise self.errors.pop(0)
            finally:
                self.errors.clear()  # they would hold this job, and it them

    def take(self) -> None:
        """Take pieces until none is left."""
        while True:
            try:
                piece = self.left.popleft()
            except IndexError:
                return
            self.work(piece)  # type: ignore[misc]

    def help(self, helper: Helper) -> None:
        """The same in another thread, for which `share` waits if it has begun in time."""
        done = allocate_lock()
        with done:
            self.begun.append(done)
            try:
                self.take()
            except BaseException as error:
                self.left.clear()
                self.errors.append(error)
            finally:
                IDLE.append(helper)  # it is there for the next job that its caller begins


class Helper:
    """A thread that does what it is woken for. Locks alone wake it sooner than an executor does."""

    __slots__ = ("job", "wake")

    def __init__(self) -> None:
        self.job: Job | None = None
        self.wake = allocate_lock()
        self.wake.acquire()
        threading.Thread(target=self.go, name="devtensor", daemon=True).start()

    def go(self) -> None:
        """Help with one job after another, as silent as the main thread where numbers overflow."""
        np.seterr(all="ignore")
        while True:
            self.wake.acquire()
            job, self.job = self.job, None
            assert job is not None
            job.help(self)
            del job


HELPERS: list[Helper] = []
IDLE: list[Helper] = []
"""All, and those that wait for a job."""


def claimed(count: int) -> list[Helper]:
    """Some threads that wait, and new ones instead of those that are busy or late."""
    found: list[Helper] = []
    # As many to each call that is under way, twice for those that have not gone back yet.
    most = min(MOST, 2 * (get_num_threads() - 1) * BLAS.inside)
    while len(found) < count:
        try:
            found.append(IDLE.pop())
        except IndexError:
            with BLAS.lock:
                if len(HELPERS) >= most:
                    break
                try:
                    found.append(Helper())
                except RuntimeError:  # the system has no more: the caller works alone
                    break
                HELPERS.append(found[-1])
    return found


STEPS = """
absolute add bitwise_and bitwise_or bitwise_xor ceil divide equal fabs floor greater greater_equal
invert isfinite isinf isnan left_shift less less_equal logical_and logical_not logical_or
logical_xor maximum minimum multiply negative not_equal positive reciprocal right_shift rint sign
signbit square subtract trunc
"""
"""Functions of NumPy's that take no longer than memory does."""
WIDE = "cos exp exp2 log log2 sin sqrt tanh"
"""Those that use wide registers; all others go from element to element."""
LONG = 1 << 18  # Elements of a part for those that memory keeps waiting; eight parts are worth it.


class Shared:
    """A function of NumPy's own for large arrays, which threads share.

    The parts are the same for any number of threads.
    """

    __slots__ = ("function", "least", "most", "weight")

    def __init__(self, function: np.ufunc) -> None:
        name, self.function = function.__name__, function
        self.weight, self.most, self.least = SLOWEST, BLOCK, BLOCK
        if name in STEPS.split():
            self.weight, self.most, self.least = 1, LONG, 8 * LONG
        elif name in WIDE.split():
            self.weight = SLOW

    def __call__(self, *arrays: Any, out: Any = None, **options: Any) -> Any:
        function, shape = self.function, arrays[0].shape
        if arrays[0].size < self.least:
            return function(*arrays, out=out, **options)
        for x in arrays if out is None else (*arrays, out):
            if x.ndim and (x.shape != shape or not x.flags.c_contiguous):
                return function(*arrays, out=out, **options)
            # Parts may not be written before others read them.
            if out is not None and x is not out and np.may_share_memory(x, out):
                return function(*arrays, out=out, **options)
        flat = [x.reshape(-1) if x.ndim else x for x in arrays]
        if out is None:
            out = np.empty(shape, function(*[x[:1] if x.ndim else x for x in flat]).dtype)
        target = out.reshape(-1)

        def work(part: slice) -> None:
            some = [x[part] if x.ndim else x for x in flat]
            function(*some, out=target[part], **options)

        by_parts(work, target.size, most=self.most, weight=self.weight)
        return out


class Blas:
    """The threads of the BLAS library that NumPy is linked with, where it can be told."""

    def __init__(self) -> None:
        # Its symbols are found through the module that is linked with it.
        library = ctypes.CDLL(sys.modules["numpy._core._multiarray_umath"].__file__)
        self.ask: Callable[[], int] = lambda: 1
        self.tell: Callable[[int], object] = lambda count: None
        for name in ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads"):
            if hasattr(library, name.format("set")):
                self.ask, self.tell = (getattr(library, name.format(w)) for w in ("get", "set"))
                break
        self.lock, self.inside, self.usual = threading.Lock(), 0, 1

    def __enter__(self) -> None:
        """Leave it one thread to each of ours."""
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self.usual = self.ask()
                self.tell(1)

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if not self.inside:
                self.tell(self.usual)


BLAS = Blas()
follow_threads(BLAS.tell)


def forked() -> None:
    """Forget the threads, which a child process does not have."""
    HELPERS.clear()
    IDLE.clear()
    BLAS.lock, BLAS.inside = threading.Lock(), 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forked)
