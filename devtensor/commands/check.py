"""Says which names of PyTorch a program uses that devtensor lacks, without running it.

Names are followed from where they are imported, through aliases and attributes, in the scopes of
the program's functions and classes. What type an object has is not known, so methods of tensors are
told by their names.
"""

from __future__ import annotations

import argparse
import ast
import os
import tokenize
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from devtensor.alias import counterpart
from devtensor.refusal import Refused
from devtensor.tensor import Tensor

__all__ = ["Use", "add_arguments", "lacks", "run", "uses"]

LATE = """
    apply_ as_strided_ as_strided_scatter ccol_indices chalf coalesce col_indices const_data_ptr
    crow_indices dense_dim dequantize fill_diagonal_ grad_dtype hash_tensor igamma
    igamma_ igammac igammac_ index_reduce index_reduce_ int_repr ipu is_coalesced is_distributed
    is_ipu is_maia is_mtia is_set_to is_sparse_csr is_vulkan is_xla map2_ map_ module_load mtia
    narrow_copy new_empty_strided nonzero_static polygamma q_per_channel_axis q_per_channel_scales
    q_per_channel_zero_points q_scale q_zero_point qscheme record_stream reinforce resize_as
    resize_as_ resize_as_sparse_ row_indices set_ slice_inverse smm sparse_dim sparse_mask
    sparse_resize_ sparse_resize_and_clear_ sspaddmm storage_type symeig to_dense to_mkldnn
    to_padded_tensor to_sparse to_sparse_bsc to_sparse_bsr to_sparse_coo to_sparse_csc
    to_sparse_csr unsafe_chunk unsafe_split unsafe_split_with_sizes
"""
TENSOR_NAMES = frozenset(LATE.split())
"""Names of PyTorch's tensors that ours have not had, some of which may have come since.

Those that other objects often have, such as `values` and `index`, would be false alarms.
"""

Scope = dict[str, str | None]
"""What a name stands for: a name of PyTorch, or nothing of PyTorch's."""


class Use(NamedTuple):
    """A name of PyTorch where a program uses it."""

    line: int
    name: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument("program", nargs="+", help="files, or folders whose files are all checked")


def run(options: argparse.Namespace) -> int:
    """Check the programs and print what is lacking, a line each; 1 if anything is."""
    names, missing, unread, files = set(), set(), 0, 0
    for file in sources(options.program):
        files += 1
        try:
            found = uses(read(file))
        except (SyntaxError, UnicodeDecodeError) as error:
            unread += 1
            line = getattr(error, "lineno", None)
            print(f"{file}{f':{line}' if line else ''}: cannot be read: {error}")
            continue
        for line, name in sorted(found):
            names.add(name)
            why = lacks(name)
            if why:
                missing.add(name)
                print(f"{file}:{line}: {name}: {why}")
    count = f"{files} file{'s' * (files != 1)}"
    print(f"{len(missing)} of the {len(names)} names of PyTorch in {count} are lacking")
    return int(bool(missing or unread))


def sources(programs: Sequence[str]) -> Iterator[Path]:
    """The files of Python among files and folders.

    Raises
    ------
    FileNotFoundError
        If something is neither.
    """
    for program in map(Path, programs):
        if program.is_dir():
            for folder, inner, files in os.walk(program):
                # Environments and caches are not the program.
                inner[:] = sorted(
                    name
                    for name in inner
                    if not name.startswith((".", "__"))
                    and not (Path(folder) / name / "pyvenv.cfg").exists()
                )
                yield from (Path(folder) / name for name in sorted(files) if name.endswith(".py"))
        elif program.exists():
            yield program
        else:
            raise FileNotFoundError(f"there is no file or folder {str(program)!r}")


def read(file: Path) -> ast.Module:
    """A file's syntax tree."""
    with tokenize.open(file) as opened:
        return ast.parse(opened.read(), str(file))


def lacks(name: str) -> str | None:
    """Why a name of PyTorch cannot be used here; None if it can.

    Parameters
    ----------
    name : str
        Such as ``"torch.nn.Linear"``.

    Examples
    --------
    >>> from devtensor.commands.check import lacks
    >>> lacks("torch.nn.Linear")
    >>> lacks("torch.nn.Linear.shine")
    'devtensor lacks it'
    """
    at: Any = counterpart("torch")
    path = "torch"
    for part in name.split(".")[1:]:
        path = f"{path}.{part}"
        if not isinstance(at, (ModuleType, type)):
            return None  # what objects have is not known before they are there
        try:
            at = getattr(at, part)
        except AttributeError:
            if isinstance(at, type):
                return "devtensor lacks it"
            try:
                at = counterpart(path)
            except ModuleNotFoundError:
                return "devtensor lacks it" if path == name else f"devtensor lacks {path}"
    return at.refusal if isinstance(at, Refused) else None


def uses(program: ast.Module) -> set[Use]:
    """The names of PyTorch that a program uses, each with its line.

    What it only tries, below ``try: ... except ImportError`` or ``if hasattr(...)``, is not
    counted.
    """
    reader = Reader()
    reader.block(program.body, {})
    return reader.found


class Reader(ast.NodeVisitor):
    """Reads a program and notes the names of PyTorch it uses.

    Attributes
    ----------
    found : set of Use
    scopes : list of dict
        Those that a name is looked up in, the innermost last.
    tried : list of str
        What the program has asked for before it uses it.
    """

    def __init__(self) -> None:
        self.found: set[Use] = set()
        self.scopes: list[Scope] = []
        self.tried: list[str] = []
        self.trying = 0

    # ---- names

    def block(self, body: Sequence[ast.AST], scope: Scope) -> None:
        """Read statements in a scope of their own."""
        self.scopes.append(scope)
        for node in body:
            self.visit(node)
        self.scopes.pop()

    def note(self, node: ast.AST, name: str) -> None:
        """Note a name, unless the program is prepared for not finding it."""
        asked = any(name == one or name.startswith(f"{one}.") for one in self.tried)
        if not self.trying and not asked:
            self.found.add(Use(getattr(node, "lineno", 1), name))

    def meaning(self, node: ast.AST) -> str | None:
        """The name of PyTorch that an expression stands for."""
        if isinstance(node, ast.Name):
            for scope in reversed(self.scopes):
                if node.id in scope:
                    return scope[node.id]
            return None
        if isinstance(node, ast.Attribute):
            outer = self.meaning(node.value)
            return f"{outer}.{node.attr}" if outer else None
        return None

    # ---- what binds names

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            first = alias.name.split(".")[0]
            if first == "torch":
                self.note(node, alias.name)
                self.scopes[-1][alias.asname or first] = alias.name if alias.asname else first
            else:
                self.scopes[-1][alias.asname or first] = None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = node.module or ""
        ours = not node.level and module.split(".")[0] == "torch"
        for alias in node.names:
            if ours and alias.name == "*":
                self.note(node, module)
                shown = getattr(counterpart_or_none(module), "__all__", ())
                self.scopes[-1].update({name: f"{module}.{name}" for name in shown})
                continue
            full = f"{module}.{alias.name}" if ours else None
            if full:
                self.note(node, full)
            self.scopes[-1][alias.asname or alias.name] = full

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self.bind(target, node.value)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self.bind(node.target, node.value)

    def bind(self, target: ast.AST, value: ast.AST) -> None:
        """Note what a name stands for after it was assigned to."""
        if isinstance(target, (ast.Tuple, ast.List)):
            values = value.elts if isinstance(value, (ast.Tuple, ast.List)) else ()
            for i, one in enumerate(target.elts):
                self.bind(one, values[i] if len(values) == len(target.elts) else target)
        elif isinstance(target, ast.Name):
            self.scopes[-1][target.id] = self.meaning(value)
        else:
            self.visit(target)

    def function(self, node: Any) -> None:
        """Read a function: its parameters and what it assigns hide outer names."""
        arguments = node.args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        given += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
        for outside in (*arguments.defaults, *arguments.kw_defaults):
            if outside is not None:
                self.visit(outside)
        for one in given:
            if one.annotation is not None:
                self.visit(one.annotation)
        body = node.body if isinstance(node.body, list) else [node.body]
        scope: Scope = {one.arg: None for one in given}
        kept = {name for n in walk(body) if isinstance(n, ast.Global) for name in n.names}
        for inner in walk(body):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                scope.setdefault(inner.id, None)
        self.block(body, {name: what for name, what in scope.items() if name not in kept})

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        if node.returns is not None:
            self.visit(node.returns)
        self.scopes[-1][node.name] = None
        self.function(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for outside in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(outside)
        self.scopes[-1][node.name] = None
        # A class's names are not seen from its methods; those that hide one of PyTorch's are rare.
        self.block(node.body, {})

    # ---- what asks before it uses

    def visit_Try(self, node: Any) -> None:
        caught = " ".join(
            ast.unparse(h.type) if h.type is not None else "Exception" for h in node.handlers
        )
        prepared = any(
            word in caught
            for word in ("ImportError", "ModuleNotFoundError", "AttributeError", "Exception")
        )
        self.trying += prepared
        for inner in node.body:
            self.visit(inner)
        self.trying -= prepared
        for after in (*node.handlers, *node.orelse, *node.finalbody):
            self.visit(after)

    visit_TryStar = visit_Try

    def asked(self, test: ast.AST) -> list[str]:
        """The names whose presence a condition asks for."""
        return [
            f"{self.meaning(n.args[0])}.{n.args[1].value!s}"
            for n in ast.walk(test)
            if isinstance(n, ast.Call)
            and isinstance(n.func, ast.Name)
            and n.func.id == "hasattr"
            and len(n.args) == 2
            and isinstance(n.args[1], ast.Constant)
            and self.meaning(n.args[0])
        ]

    def visit_If(self, node: ast.If | ast.IfExp | ast.BoolOp) -> None:
        names = self.asked(node.values[0] if isinstance(node, ast.BoolOp) else node.test)
        self.tried += names
        self.generic_visit(node)
        del self.tried[len(self.tried) - len(names) :]

    visit_IfExp = visit_BoolOp = visit_If

    # ---- uses

    def visit_Name(self, node: ast.Name) -> None:
        name = self.meaning(node)
        if name and isinstance(node.ctx, ast.Load) and name != "torch":
            self.note(node, name)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        name = self.meaning(node)
        if name:
            self.note(node, name)
            return
        if node.attr in TENSOR_NAMES and not hasattr(Tensor, node.attr):
            self.note(node, f"torch.Tensor.{node.attr}")
        self.visit(node.value)


def counterpart_or_none(name: str) -> ModuleType | None:
    """The module that stands for one of PyTorch, if there is one."""
    try:
        return counterpart(name)
    except ModuleNotFoundError:
        return None


def walk(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of a function's body that are not inside functions and classes of their own."""
    for node in body:
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            yield from walk(list(ast.iter_child_nodes(node)))
