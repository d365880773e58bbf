"""Runs a PyTorch program as it is: what it imports as `torch` is devtensor."""

from __future__ import annotations

import argparse
import builtins
import os
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any

from devtensor.alias import install

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("-m", dest="module", action="store_true", help="the program is a module")
    parser.add_argument("program", help="a file, a folder with a __main__.py, or with -m a module")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program is given")


def run(program: str, arguments: Sequence[str] = (), *, module: bool = False) -> None:
    """Run a program as ``python program`` does, with devtensor in the place of PyTorch.

    Parameters
    ----------
    program : str
        A file, a folder that has a ``__main__.py``, or the name of a module.
    arguments : sequence of str
        The program's own; it finds them in ``sys.argv``.
    module : bool
        Whether `program` is a module's name, as after ``python -m``.

    Raises
    ------
    SystemExit
        If there is no such program.
    """
    install()
    if module:
        first, main, code = named(program)
    else:
        first, main, code = filed(program)
    if not sys.flags.safe_path:
        sys.path[0] = first
    sys.argv[:] = [str(main.__file__), *arguments]
    sys.modules["__main__"] = main
    sys.excepthook = explain
    exec(code, main.__dict__)


def filed(program: str) -> tuple[str, ModuleType, CodeType]:
    """A file's place to import from, its module, and its code."""
    file = program
    if os.path.isdir(program):
        file = os.path.join(program, "__main__.py")
    if not os.path.isfile(file):
        raise SystemExit(f"devtensor: can't open file {file!r}: there is no such file")
    loader = SourceFileLoader("__main__", file)
    main = ModuleType("__main__")
    vars(main).update(__file__=file, __loader__=loader, __builtins__=builtins)
    return (
        os.path.dirname(os.path.realpath(file)),
        main,
        loader.source_to_code(loader.get_data(file), file),
    )


def named(program: str) -> tuple[str, ModuleType, CodeType]:
    """The same for a module's name."""
    if not sys.flags.safe_path:
        sys.path[0] = os.getcwd()
    spec: ModuleSpec | None = find_spec(program)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = find_spec(f"{program}.__main__")
    loader: Any = spec.loader if spec is not None else None
    code = loader.get_code(spec.name) if spec is not None and loader is not None else None
    if spec is None or code is None:
        raise SystemExit(f"devtensor: there is no module {program!r} that can be run")
    main = ModuleType("__main__")
    vars(main).update(
        __file__=spec.origin, __spec__=spec, __loader__=loader, __package__=spec.parent,
        __builtins__=builtins,
    )  # fmt: skip
    return os.getcwd(), main, code


def explain(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show the error that ended a program, from its own first line on, and say what we lack."""
    own = str(Path(__file__))
    at = trace
    while at is not None and at.tb_frame.f_code.co_filename != own:
        at = at.tb_next
    if at is not None:
        trace = at.tb_next
    name = lacking(error)
    if name:
        error.add_note(f"This program runs on devtensor in PyTorch's place, which lacks {name}.")
    sys.__excepthook__(kind, error.with_traceback(trace), trace)


def lacking(error: BaseException) -> str | None:
    """The name of PyTorch that an error says we lack."""
    found = re.match(r"cannot import name '(\w+)' from '(devtensor[\w.]*)'", str(error))
    if isinstance(error, ImportError) and found:
        return f"torch{found[2].removeprefix('devtensor')}.{found[1]}"
    if not isinstance(error, AttributeError) or error.name is None:
        return None
    at = error.obj
    if isinstance(at, ModuleType):
        place = at.__name__
    else:
        cls = at if isinstance(at, type) else type(at)
        place, name = cls.__module__, cls.__qualname__
        while "." in place:  # the outermost package that offers it is where users find it
            outer = place.rpartition(".")[0]
            if getattr(sys.modules.get(outer), name, None) is not cls:
                break
            place = outer
        place = f"{place}.{name}"
    if place.partition(".")[0] not in ("devtensor", "torch"):
        return None
    return f"torch{place.removeprefix('devtensor').removeprefix('torch')}.{error.name}"
