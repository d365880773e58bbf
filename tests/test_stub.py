"""The type stubs are fresh, and a user's program profits from them."""

import ast
import importlib.util
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest

import devtensor as dt
from devtensor.op import catalogue
from devtensor.ops.__main__ import main, saves
from devtensor.stub import Makers, stubs
from samples import cases

ROOT = Path(__file__).parent.parent
FRESH = stubs()

PROGRAM = """\
from typing import assert_type

import devtensor as dt
import devtensor.array_api as xp
from devtensor import Tensor, nn
from devtensor.nn import functional as F


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.scale = nn.Parameter(dt.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layer(x)) * self.scale


x = dt.randn(2, 3, dtype=dt.float64, requires_grad=True)
assert_type(x, Tensor)
assert_type(dt.tensor([1.0, 2.0]), Tensor)
assert_type(dt.zeros((2, 3)).sin(), Tensor)
assert_type(x + 1, Tensor)
assert_type(2 - x, Tensor)
assert_type(x @ x.T, Tensor)
assert_type(-x, Tensor)
assert_type(x == 1, Tensor)
assert_type(x[0, :2], Tensor)
assert_type(x.add_(1), Tensor)
assert_type(nn.Parameter(x).mul_(2), nn.Parameter)
assert_type(dt.relu_(x), Tensor)
assert_type(x.sum(dim=0, keepdim=True), Tensor)
assert_type(x.permute(1, 0), Tensor)
assert_type(x.permute((1, 0)), Tensor)
assert_type(x.view(-1, 2).reshape((6,)), Tensor)
assert_type(x.max(), Tensor)
assert_type(x.max(0).indices, Tensor)
assert_type(x.topk(2).values, Tensor)
assert_type(dt.linalg.svd(x).S, Tensor)
assert_type(x.split(1), tuple[Tensor, ...])
assert_type(dt.nonzero(x, as_tuple=True), tuple[Tensor, ...])
assert_type(dt.cat([x, x], dim=0), Tensor)
assert_type(dt.where(x > 0, x, 0.0), Tensor)
assert_type(dt.allclose(x, x), bool)
assert_type(F.cross_entropy(x, dt.tensor([0, 1])), Tensor)
assert_type(F.max_pool2d(x, 2), Tensor)
assert_type(x.to("cpu"), Tensor)
assert_type(x.to(dt.float32).float(), Tensor)
assert_type(xp.sum(xp.maximum(x, 1.0), axis=(0, 1)), Tensor)
assert_type(xp.linalg.svd(xp.asarray([[1.0]])).S, Tensor)
assert_type(x.size(), dt.Size)
assert_type(x.size(0), int)
assert_type(x.shape.numel(), int)
assert_type(x.dtype, dt.dtype)
assert_type(x.device, dt.device)
assert_type(x.requires_grad, bool)
assert_type(x.grad, Tensor | None)
assert_type(x.is_leaf, bool)
assert_type([row for row in x][0], Tensor)
assert_type(dt.special.erf(x), Tensor)
assert_type(dt.float16, dt.dtype)
assert_type(dt.cuda.is_available(), bool)
assert_type(dt.distributions.Normal(0.0, 1.0).sample(), Tensor)
assert_type(dt.resize_as_(x, x), Tensor)
dt.vmap(dt.func.grad(lambda x: x.sin().sum()), chunk_size=2)(x)
with dt.autocast("cpu"), dt.amp.autocast("cpu"):
    dt.batch_norm(x, None, None, None, None, True, 0.1, 1e-5, False)

net = Net()
optimizer = dt.optim.SGD(net.parameters(), lr=0.1)
with dt.no_grad():
    x.zero_()
x.requires_grad = False
x.grad = None
x[0] = 1
F.mse_loss(net(x), x).backward()
dt.autograd.grad(x.sum(), [x])

# What is wrong is said to be wrong: under --strict, a note that is not needed is an error.
x.sinn()  # type: ignore[attr-defined]
dt.vmap(3)  # type: ignore[arg-type]
dt.sinn(x)  # type: ignore[attr-defined]
x.sum("no")  # type: ignore[arg-type]
dt.sin("no")  # type: ignore[arg-type]
x + "no"  # type: ignore[operator]
x.topk()  # type: ignore[call-arg]
F.softmax(x, dimension=1)  # type: ignore[call-arg]
"""


@pytest.mark.parametrize("name", sorted(FRESH))
def test_is_fresh(name):
    written = (ROOT / "devtensor" / name).read_text(encoding="utf-8")
    assert written == FRESH[name], "run `python -m devtensor.ops --write`"


def test_every_stub_is_written():
    found = {str(path.relative_to(ROOT / "devtensor")) for path in ROOT.glob("devtensor/**/*.pyi")}
    assert {Path(name) for name in found} == {Path(name) for name in FRESH}


def names_in(text):
    """What a stub defines at its top, and in its classes."""
    tree = ast.parse(text)
    top, members = set(), set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            top |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.AnnAssign):
            top.add(node.target.id)
        elif isinstance(node, ast.FunctionDef):
            top.add(node.name)
        elif isinstance(node, ast.ClassDef) and node.name == "Members":
            for member in node.body:
                members.add(member.target.id if isinstance(member, ast.AnnAssign) else member.name)
    return top, members


def test_every_public_operation_is_there():
    top, _ = names_in(FRESH["__init__.pyi"])
    missing = [
        name
        for entry in catalogue.values()
        if entry.public and entry.home == ""
        for name in (entry.name, *entry.aliases)
        if hasattr(dt, name) and name not in top and not name.startswith("_")
    ]
    assert not missing


def test_every_member_of_tensors_is_there():
    _, members = names_in(FRESH["_members.pyi"])
    own = {"array", "shape", "ndim", "dtype", "device", "is_inference"}
    missing = [
        name for name in vars(dt.Tensor)
        if not name.startswith("_") and name not in members and name not in own
    ]  # fmt: skip
    assert not missing


TYPES = {
    "_Any": Any, "_Callable": Callable, "_Dims": int | Sequence[int], "_Generator": dt.Generator,
    "_Iterator": Iterator, "_Literal": Literal, "_Number": bool | int | float | complex,
    "_Place": dt.device | str | int | None, "_Sequence": Sequence, "_Size": dt.Size,
    "_Tensor": dt.Tensor, "_bool": bool, "_complex": complex, "_device": dt.device,
    "_dtype": dt.dtype, "_float": float, "_int": int, "_str": str, "_tuple": tuple,
}  # fmt: skip
"""What the stubs' names mean."""


def fits(value, kind):
    """Whether a value is of a type as the stubs write it."""
    if kind is Any:
        return True
    if isinstance(kind, tuple):  # the names of a result's parts
        return getattr(value, "_fields", None) == kind
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin in (Sequence, tuple, list):
        right = isinstance(value, origin) and not isinstance(value, str)
        return right and all(fits(part, inner[0]) for part in value)
    if origin is Callable:
        return callable(value)
    return isinstance(value, (int, float) if kind is float else kind or type(None))


@pytest.mark.filterwarnings("ignore:.* is deprecated:UserWarning")
@pytest.mark.parametrize("case", cases(lambda entry: entry.public), ids=repr)
def test_examples_fit_the_stub(case):
    makers = Makers()
    returned = [kind for _, kind in makers.signatures(case.entry)]
    types = {**TYPES, **makers.results}
    result = case.call(case.tensors())
    assert any(fits(result, eval(kind, types)) for kind in returned), returned
    args, kwargs = case.filled(lambda sample: dt.ones(()))
    if case.op is not None and case.op.varargs is not None:
        return
    bound = inspect.signature(case.entry.function).bind(*args, **kwargs)
    for name, value in bound.arguments.items():
        p = bound.signature.parameters[name]
        kind = eval(makers.taken(case.entry, p), types)
        if p.kind is p.VAR_KEYWORD or (case.name in ("max", "min") and name == "dim"):
            continue  # options of factories; the second tensor of `max(input, other)`
        for one in value if p.kind is p.VAR_POSITIONAL else [value]:
            assert fits(one, kind), (name, one, kind)


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
@pytest.mark.timeout(600)
def test_a_program_type_checks(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    found = subprocess.run(
        [
            sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--config-file=",
            f"--cache-dir={tmp_path / 'cache'}", str(program),
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": os.pathsep.join([str(ROOT), str(ROOT / "backends")])},
    )  # fmt: skip
    assert found.returncode == 0, found.stdout + found.stderr


def test_pages(capsys):
    assert main(["mul", "topk", "tanh"]) == 0
    shown = capsys.readouterr().out
    assert "devtensor.topk(input, k, dim=-1, largest=True, sorted=True)" in shown
    assert "`grad_fn`: `MulBackward0`" in shown
    assert "| other | input |" in shown
    assert "| input | out |" in shown


def test_table_has_a_line_for_every_public_operation(capsys):
    assert main(["--table"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + sum(entry.public for entry in catalogue.values())
    assert all(line.count("|") == 5 for line in lines)


def test_unknown_operations_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["no_such_operation"])
    assert "there is no operation no_such_operation" in capsys.readouterr().err


def test_what_is_saved_is_what_plans_save():
    assert saves(catalogue["add"].op) == {"input": "nothing", "other": "nothing"}
    assert saves(catalogue["mul"].op) == {"input": "other", "other": "input"}
    assert saves(catalogue["sum"].op) == {"input": "shape of input, dtype of input"}
