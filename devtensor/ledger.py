"""The ledger: what each launch made, what was saved for backward, for whom, by which line."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

from devtensor.autograd.mode import Mode
from devtensor.autograd.node import Call, Node
from devtensor.autograd.saved import Packed
from devtensor.op import Op
from devtensor.tensor import Constant, Tensor
from devtensor.watch import Watch

SCHEMA = 1


@dataclass(frozen=True)
class Saved:
    """One thing that a launch has saved.

    Attributes
    ----------
    name : str
        The input's name, or ``"out"``, or that of one of several outputs.
    bytes : int
    used_by : tuple of str
        The inputs whose gradient rules ask for it.
    """

    name: str
    bytes: int
    used_by: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One launch.

    Attributes
    ----------
    op : str
        The operation; with an underscore if it wrote in place.
    mode : str
        ``"grad"``, ``"no_grad"`` or ``"inference"``.
    mode_line : str
        The line that set the mode; empty for the default.
    output_bytes : int
        Bytes of new memory: 0 for views and writes.
    saved : tuple of Saved
    line : str
        The user's line, as ``"file:number"``.
    module : str
        Path of the `nn.Module` that was running, as ``"Net.features.0"``.
    """

    op: str
    mode: str
    mode_line: str
    output_bytes: int
    line: str
    module: str
    saved: tuple[Saved, ...] = field(default=())

    @property
    def saved_bytes(self) -> int:
        """Bytes of all that the launch has saved."""
        return sum(s.bytes for s in self.saved)


class ledger(Watch):
    """Records every launch in a block.

    Attributes
    ----------
    rows : list of Row
        In the order of the launches.

    Examples
    --------
    >>> import devtensor as dt
    >>> x = dt.ones(1000, requires_grad=True)
    >>> with dt.ledger() as led:
    ...     y = x.exp().sum()
    >>> led.launches, led.output_bytes, led.saved_bytes, led.held_bytes
    (2, 4004, 4000, 4000)
    """

    kind = "ledger"

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self._saved: dict[tuple[str, int], int] = {}
        self._made: dict[tuple[str, int], int] = {}

    # ---- what launches tell

    def add(
        self, op: Op, inputs: Any, params: Any, outs: Any, node: Node | None, mode: Mode,
        written: bool = False,
    ) -> None:  # fmt: skip
        """Note a launch; `devtensor.launch` calls it."""
        made = 0
        if not (op.view is True or written):
            for out in outs if isinstance(outs, list) else (outs,):
                if out is None or (op.view and out._alias is not None):
                    continue
                key = memory_key(out)
                if not (op.view and key in self._made):  # in inference mode views have no record
                    self._made[key] = out.nbytes
                    made += out.nbytes
        saved = self.saved_by(node) if isinstance(node, Call) else ()
        self.note(f"{op.name}_" if written and not op.writes else op.name, mode, made, saved)

    def add_function(self, cls: Any, outs: Any, node: Any, mode: Mode) -> None:
        """Note a call of a user's `Function`."""
        made = 0
        for out in outs:
            self._made[memory_key(out)] = out.nbytes
            made += out.nbytes
        saved = []
        for number, value in enumerate(node.saved or () if node is not None else ()):
            if value is not None and isinstance(value[0], Tensor):
                saved.append(Saved(f"saved_tensors[{number}]", self.keep(value[0]), ("backward",)))
        self.note(cls.__name__, mode, made, tuple(saved))

    def note(self, name: str, mode: Mode, made: int, saved: tuple[Saved, ...]) -> None:
        """Add a row."""
        line, module = where()
        self.rows.append(Row(name, mode.name, mode.line, made, line, module, saved))

    def saved_by(self, node: Call) -> tuple[Saved, ...]:
        """What a node has saved, and for which inputs."""
        plan, links = node.plan, node.links
        op: Op = plan.op
        assert links is not None
        found = []
        for save, value in zip(plan.saves, links[plan.edges :], strict=False):
            if save.part:
                continue
            bytes_ = sum(
                self.keep(one, node) for one in (value if isinstance(value, tuple) else (value,))
            )
            if bytes_:
                users = tuple([n for n, asked in op.rule_names.items() if save.name in asked])
                wanted = {
                    op.inputs[min(i, len(op.inputs) - 1)] for i, w in enumerate(plan.wanted) if w
                }
                found.append(
                    Saved(
                        save.name,
                        bytes_,
                        tuple([u for u in users if u in wanted or u == "together"]),
                    )
                )
        return tuple(found)

    def keep(self, value: Any, node: Any = None) -> int:
        """Count a saved value's memory once, and tell its bytes."""
        if value is None or value.__class__ is Constant or value.__class__ is Packed:
            return 0
        if isinstance(value, Tensor):
            device, array = value._device, value._array
        else:
            device, array = node.device, value
        key = key_of(device, array)
        size = int(device.backend.nbytes(array))
        self._saved[key] = max(self._saved.get(key, 0), size)
        return size

    # ---- what it amounts to

    @property
    def launches(self) -> int:
        """How many launches there were."""
        return len(self.rows)

    @property
    def output_bytes(self) -> int:
        """Bytes of all results in memory of their own."""
        return sum(row.output_bytes for row in self.rows)

    @property
    def saved_bytes(self) -> int:
        """Bytes of all that was saved; memory that was saved twice counts once."""
        return sum(self._saved.values())

    @property
    def held_bytes(self) -> int:
        """Bytes that are held for backward and were made in the block: what recording costs."""
        return sum(size for key, size in self._saved.items() if key in self._made)

    def to_json(self) -> str:
        """The ledger as JSON: ``schema``, ``totals`` and ``rows`` with the attributes of `Row`."""
        totals = {
            "launches": self.launches,
            "output_bytes": self.output_bytes,
            "saved_bytes": self.saved_bytes,
            "held_bytes": self.held_bytes,
        }
        rows = [{**asdict(row), "saved_bytes": row.saved_bytes} for row in self.rows]
        return json.dumps({"schema": SCHEMA, "totals": totals, "rows": rows}, indent=1)

    def __str__(self) -> str:
        """A table: launches of one operation at one line are counted together."""
        groups: dict[tuple[Any, ...], list[int]] = {}
        for row in self.rows:
            saved = ", ".join(f"{s.name} for {'/'.join(s.used_by)}" for s in row.saved) or "-"
            key = (row.op, row.mode, saved, short(row.line), row.module)
            sums = groups.setdefault(key, [0, 0, 0])
            sums[0] += 1
            sums[1] += row.output_bytes
            sums[2] += row.saved_bytes
        head = ("op", "mode", "calls", "output", "saved", "what is saved", "line", "module")
        lines = [
            (op, mode, str(n), size(out), size(kept), what, line, module)
            for (op, mode, what, line, module), (n, out, kept) in groups.items()
        ]
        widths = [max(len(row[i]) for row in (head, *lines)) for i in range(len(head))]
        right = (2, 3, 4)
        shown = [
            "  ".join(
                cell.rjust(w) if i in right else cell.ljust(w)
                for i, (cell, w) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in (head, *lines)
        ]
        lines_set = {row.mode_line for row in self.rows if row.mode_line}
        if lines_set:
            shown.append("modes set at " + ", ".join(sorted(map(short, lines_set))))
        shown.append(
            f"{self.launches} launches, {size(self.output_bytes)} of results, "
            f"{size(self.saved_bytes)} saved, {size(self.held_bytes)} of it held by the tape alone"
        )
        return "\n".join(shown)

    def __repr__(self) -> str:
        return f"<ledger: {self.launches} launches, {size(self.saved_bytes)} saved>"


def key_of(device: Any, array: Any) -> tuple[str, int]:
    """What tells one memory from another: its device and where it begins."""
    backend = device.backend
    start = backend.pointer(array) - backend.storage_offset(array) * backend.itemsize(array)
    return str(device), start


def memory_key(tensor: Tensor) -> tuple[str, int]:
    """The memory that a tensor looks at."""
    return key_of(tensor._device, tensor._array)


def size(count: int) -> str:
    """Bytes for people."""
    if count < 1000:
        return f"{count} B"
    power = min(4, (len(str(count)) - 1) // 3)
    return f"{count / 1000**power:.1f} {'kMGT'[power - 1]}B"


def short(line: str) -> str:
    """A line's place without the folders."""
    return os.path.basename(line)


def where() -> tuple[str, str]:
    """The user's line that runs, and the path of the modules around it."""
    frame: FrameType | None = sys._getframe(1)
    line = ""
    modules: list[Any] = []
    while frame is not None:
        package = frame.f_globals.get("__name__", "")
        if not line and (not package.startswith("devtensor") or "commands" in package):
            line = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        if frame.f_code.co_name == "forward":
            owner = frame.f_locals.get("self")
            if hasattr(owner, "named_modules"):
                modules.append(owner)
        frame = frame.f_back
    if not modules:
        return line, ""
    top, inner = modules[-1], modules[0]
    name = next((n for n, m in top.named_modules() if m is inner), "")
    return line, f"{type(top).__name__}.{name}" if name else type(inner).__name__
