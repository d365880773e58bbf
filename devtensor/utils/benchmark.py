"""Timing statements (``torch.utils.benchmark``)."""

from __future__ import annotations

import statistics
import timeit as _timeit
from collections.abc import Callable
from typing import Any

import devtensor as dt

__all__ = ["Compare", "Measurement", "Timer", "timer"]


def timer() -> float:
    """Seconds, when the work of an accelerator is done."""
    if dt.accelerator.is_available():
        dt.accelerator.synchronize()
    return _timeit.default_timer()


def shown(seconds: float) -> str:
    """A time with its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.2f} {unit}"
    return f"{seconds / 1e-9:.2f} ns"


class Measurement:
    """How long a statement took.

    Attributes
    ----------
    number_per_run : int
    raw_times : list of float
        Seconds of each run of that many.
    times : list of float
        Seconds of one.
    title, label, sub_label, description : str
    num_threads : int
    """

    def __init__(self, number_per_run: int, raw_times: list[float], **named: Any) -> None:
        self.number_per_run, self.raw_times = number_per_run, raw_times
        self.times = [t / number_per_run for t in raw_times]
        self.stmt = named.get("stmt", "")
        self.label, self.sub_label = named.get("label"), named.get("sub_label")
        self.description, self.env = named.get("description"), named.get("env")
        self.num_threads = named.get("num_threads", 1)
        self.title = self.label or self.stmt

    @property
    def median(self) -> float:
        """The median of the times."""
        return statistics.median(self.times)

    @property
    def mean(self) -> float:
        """Their mean."""
        return statistics.fmean(self.times)

    @property
    def iqr(self) -> float:
        """How far apart the quarter of the fastest and that of the slowest are."""
        if len(self.times) < 2:
            return 0.0
        first, _, third = statistics.quantiles(self.times, n=4, method="inclusive")
        return third - first

    @property
    def has_warnings(self) -> bool:
        """Whether there are few runs, or they differ much."""
        return len(self.times) < 4 or self.iqr > 0.1 * self.median

    @property
    def as_row_name(self) -> str:
        """What a table calls it."""
        return self.sub_label or self.stmt or "[Unknown]"

    def __repr__(self) -> str:
        lines = [f"<{__name__}.Measurement object at {hex(id(self))}>", self.title]
        lines.append(f"  Median: {shown(self.median)}" if len(self.times) > 1 else
                     f"  {shown(self.median)}")  # fmt: skip
        if len(self.times) > 1:
            lines.append(f"  IQR:    {shown(self.iqr)}")
        lines.append(f"  {len(self.times)} measurement{'s' * (len(self.times) > 1)}, "
                     f"{self.number_per_run} runs per measurement, {self.num_threads} "
                     f"thread{'s' * (self.num_threads > 1)}")  # fmt: skip
        return "\n".join(lines)


class Timer:
    """Times a statement.

    Parameters
    ----------
    stmt, setup : str
        What is timed, and what is run before.
    timer : callable
        Gives seconds; by default after the accelerator is done.
    globals : dict, optional
        The names that the statements know.
    label, sub_label, description, env : str, optional
        What tables say of it.
    num_threads : int
        Set for the time of the measurement.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.utils.benchmark import Timer
    >>> taken = Timer("x + x", globals={"x": dt.ones(3)}).timeit(10)
    >>> taken.number_per_run, 0 < taken.median < 1
    (10, True)
    """

    def __init__(
        self,
        stmt: str = "pass",
        setup: str = "pass",
        global_setup: str = "",
        timer: Callable[[], float] = timer,
        globals: dict[str, Any] | None = None,
        label: str | None = None,
        sub_label: str | None = None,
        description: str | None = None,
        env: str | None = None,
        num_threads: int = 1,
        language: Any = "py",
    ) -> None:
        if language not in ("py", "python", 0):
            raise NotImplementedError("torch.utils.benchmark.Timer: only Python can be timed here")
        known = dict(globals or {})
        known.setdefault("torch", dt)
        self._timer = _timeit.Timer(stmt, setup, timer, known)
        self._named: dict[str, Any] = {
            "stmt": stmt, "label": label, "sub_label": sub_label, "description": description,
            "env": env, "num_threads": num_threads,
        }  # fmt: skip

    def _times(self, number: int, repeat: int) -> list[float]:
        before = dt.get_num_threads()
        dt.set_num_threads(self._named["num_threads"])
        try:
            return self._timer.repeat(repeat, number)
        finally:
            dt.set_num_threads(before)

    def timeit(self, number: int = 1000000) -> Measurement:
        """Run the statement so often, after a few runs that do not count."""
        self._times(max(number // 100, 2), 1)
        return Measurement(number, self._times(number, 1), **self._named)

    def _block(self, least: float) -> int:
        """How many runs take at least so many seconds."""
        number = 1
        while self._times(number, 1)[0] < least:
            number *= 10
        return number

    def blocked_autorange(self, callback: Any = None, min_run_time: float = 0.2) -> Measurement:
        """Run blocks of the statement for at least `min_run_time` seconds."""
        number = self._block(min_run_time / 1000)
        times: list[float] = []
        while sum(times) < min_run_time:
            times += self._times(number, 1)
            if callback is not None:
                callback(number, times[-1])
        return Measurement(number, times, **self._named)

    def adaptive_autorange(
        self,
        threshold: float = 0.1,
        *,
        min_run_time: float = 0.01,
        max_run_time: float = 10.0,
        callback: Any = None,
    ) -> Measurement:
        """Run blocks of the statement until they differ little, or `max_run_time` is over."""
        number = self._block(min_run_time / 10)
        times: list[float] = []
        while sum(times) < max_run_time:
            times += self._times(number, 1)
            if callback is not None:
                callback(number, times[-1])
            made = Measurement(number, times, **self._named)
            if len(times) > 3 and sum(times) > min_run_time and made.iqr < threshold * made.median:
                break
        return Measurement(number, times, **self._named)


class Compare:
    """Measurements as a table: a row to each statement, a column to each description.

    Parameters
    ----------
    results : list of Measurement
    """

    def __init__(self, results: list[Measurement]) -> None:
        self._results = list(results)

    def extend_results(self, results: list[Measurement]) -> None:
        """Add measurements."""
        self._results += results

    def trim_significant_figures(self) -> None:
        """The figures are few as it is."""

    def colorize(self, rowwise: bool = False) -> None:
        """The table has no colours."""

    def highlight_warnings(self) -> None:
        """The table marks nothing."""

    def __str__(self) -> str:
        names = list(dict.fromkeys(r.as_row_name for r in self._results))
        columns = list(dict.fromkeys(r.description or "" for r in self._results))
        cells = {(r.as_row_name, r.description or ""): shown(r.median) for r in self._results}
        rows = [["", *columns]] + [[n, *(cells.get((n, c), "") for c in columns)] for n in names]
        widths = [max(len(row[i]) for row in rows) for i in range(len(columns) + 1)]
        label = next((r.label for r in self._results if r.label), "")
        return "\n".join(
            [f"[{label}]", *(" | ".join(c.rjust(w) for c, w in zip(row, widths, strict=True))
                             for row in rows)]
        )  # fmt: skip

    def print(self) -> None:
        """Print the table."""
        print(self)
