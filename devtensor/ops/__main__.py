"""The catalogue as text: a page for each operation, a table of them, and the type stubs.

::

    python -m devtensor.ops                # what each operation is and what it saves, as Markdown
    python -m devtensor.ops log1p matmul   # of these alone
    python -m devtensor.ops --table        # one line an operation
    python -m devtensor.ops --stub         # the stubs, as text
    python -m devtensor.ops --write        # the stubs, into the package
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterable
from pathlib import Path

import devtensor
from devtensor.op import Entry, Op, catalogue
from devtensor.stub import stubs
from devtensor.stublines import defaults
from devtensor.stubwords import HOMES


def home(entry: Entry) -> str:
    """The module of an operation's public name."""
    return HOMES.get(entry.home, f"devtensor.{entry.home}")


def signature(entry: Entry) -> str:
    """An operation's parameters without their types."""
    parameters = inspect.signature(entry.function).parameters.values()
    shown = [
        p.replace(annotation=p.empty, default=p.empty if p.default is p.empty else Shown(p.default))
        for p in parameters
    ]
    return f"{entry.name}{inspect.Signature(shown)}"


class Shown:
    """A default as a reader wants to see it."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return defaults(self.value)


def saves(op: Op) -> dict[str, str]:
    """What is saved for the gradient of each input alone, as the plans of its rules say."""
    count = len(op.inputs)
    found = {}
    for i, name in enumerate(op.inputs):
        plan = op.plan(tuple([i == k for k in range(count)]))
        if plan is not None:
            kept = [s.name if not s.part else f"{s.part} of {s.name}" for s in plan.saves]
            found[name] = ", ".join(kept) or "nothing"
    return found


def traits(entry: Entry) -> Iterable[str]:
    """What follows from an operation's definition, as sentences."""
    op = entry.op
    if op is None:
        yield "Made of other operations, whose rules give its gradients."
        return
    if op.view is True:
        yield "A view: the result shares the memory of the input."
    if op.elementwise:
        yield "Elementwise: inputs broadcast."
    if op.inplace and op.outputs is None:
        yield f"In place: `{entry.name}_`."
    if entry.aliases:
        yield f"Also called {', '.join(f'`{name}`' for name in entry.aliases)}."


def page(entry: Entry) -> str:
    """An operation's page in Markdown."""
    text = f"## {entry.name}\n\n```python\n{home(entry)}.{signature(entry)}\n```\n\n"
    text += (inspect.getdoc(entry.function) or "").rstrip() + "\n\n"
    text += "".join(f"{sentence}\n" for sentence in traits(entry))
    if entry.op is not None:
        found = saves(entry.op)
        if found:
            text += f"`grad_fn`: `{entry.op.node}`\n\n"
            text += "| gradient of | saves |\n| --- | --- |\n"
            text += "".join(f"| {name} | {what} |\n" for name, what in found.items())
        else:
            text += "No gradients.\n"
    return text + "\n"


def table(entries: Iterable[Entry]) -> str:
    """All operations, a line each."""
    lines = ["| operation | home | gradients of: saves | `grad_fn` |", "| --- | --- | --- | --- |"]
    for entry in entries:
        found = saves(entry.op) if entry.op is not None else {}
        node = f"`{entry.op.node}`" if entry.op is not None and found else ""
        kept = "; ".join(f"{name}: {what}" for name, what in found.items())
        kept = "of other operations" if entry.op is None else kept or "none"
        lines.append(f"| `{signature(entry)}` | {home(entry)} | {kept} | {node} |")
    return "\n".join(line.replace(" | None", " or None") for line in lines) + "\n"


def main(words: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m devtensor.ops", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", metavar="name", help="operations; by default all")
    parser.add_argument("--private", action="store_true", help="those without a public name, too")
    parser.add_argument("--table", action="store_true", help="one line an operation")
    parser.add_argument("--stub", action="store_true", help="print the type stubs")
    parser.add_argument("--write", action="store_true", help="write the type stubs")
    given = parser.parse_args(words)
    if given.stub or given.write:
        folder = Path(devtensor.__file__).parent
        for name, text in stubs().items():
            if given.stub:
                print(f"# ---- devtensor/{name}\n{text}")
            if given.write:
                folder.joinpath(name).write_text(text, encoding="utf-8")
        return 0
    unknown = [name for name in given.names if name not in catalogue]
    if unknown:
        parser.error(f"there is no operation {', '.join(unknown)}")
    wanted = [catalogue[name] for name in given.names] or [
        entry for name, entry in sorted(catalogue.items()) if entry.public or given.private
    ]
    print(table(wanted) if given.table else "".join(map(page, wanted)), end="")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
