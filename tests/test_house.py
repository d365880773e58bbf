"""Laws of the house: who may import whom, how long files are, what is named where."""

import ast
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

import devtensor

ROOT = Path(devtensor.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# From the ground up; a module imports from its own floor and from those below. A name stands for
# all in the package of that name that no other line names.
FLOORS = [
    ["errors", "futures", "hooks", "size", "return_types", "torch_version"],
    ["example", "settings", "backends", "later", "refusal"],
    ["compiler", "_dynamo", "cpu", "distributed", "hub", "multiprocessing", "nvtx"],
    ["nested", "onnx"],
    ["dtype", "limits", "backend", "pixels", "readings"],
    ["device"],
    ["autograd.mode", "autograd.modes"],
    ["plan", "tensor"],
    ["coo"],
    ["route"],
    ["op"],
    ["space", "expected", "sequences"],
    ["halves"],
    ["autograd.node", "autograd.view", "autograd.saved"],
    ["launch"],
    ["options"],
    ["autograd.write"],
    ["autograd.overwrite"],
    ["operands"],
    ["written", "reuse", "brisk"],
    ["fast"],
    ["ops", "random"],
    ["autograd.tensorspace"],
    ["autograd.step"],
    ["autograd.settle"],
    ["autograd.engine"],
    ["autograd.passes"],
    [
        "autograd.anomaly",
        "autograd.context",
        "autograd.functionnode",
        "autograd.function",
        "autograd.graph",
        "autograd.held",
        "autograd.mutation",
        "autograd.ontensor",
        "ledger",
        "watch",
    ],
    [
        "printing",
        "host",
        "protocols",
        "look",
        "members",
        "scarce",
        "methods",
        "queries",
        "storage",
        "checks",
        "legacy",
        "overrides",
        "types",
        "linalg",
        "special",
        "fft",
        "neighbours",
    ],
    ["accelerator", "streams", "cuda", "xpu"],
    ["autograd"],
    # The shelf; what stands above imports it whole, as users do.
    [
        "",
        "autograd.backcheck",
        "autograd.check",
        "autograd.jacobians",
        "autograd.evaluation",
        "autograd.forthcheck",
        "autograd.functional",
        "autograd.forward_ad",
        "nn",
        "optim",
        "utils",
        "serialization",
        "multiprocessing.reductions",
        "amp",
        "__config__",
        "_C",
        "_ops",
        "control",
        "_utils",
        "_tensor_str",
        "aten",
        "call",
        "calls",
        "layer_calls",
        "dispatch",
        "dispatched",
        "foreach",
        "func",
        "functional",
        "fx",
        "jit",
        "library",
        "native",
        "profiler",
        "sparse",
        "version",
    ],
    [
        "_lobpcg",
        "distributions",
        "fakequantize",
        "masked",
        "quasirandom",
        "signal",
        "array_api",
        "neighbours.einops",
        "neighbours.opt_einsum",
        "neighbours._regions",
        "neighbours.torchvision",
    ],
    [
        "datasets",
        "testing",
        "stubwords",
        "stublines",
        "stub",
        "array_api._stub",
        "ops.__main__",
        "alias",
        "commands",
        "__main__",
    ],
]


def module(file):
    """A file's module name without the package's."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module(file): file for file in FILES}


def floor(name):
    """The number of the floor on which a module stands."""
    while True:
        for number, names in enumerate(FLOORS):
            if name in names:
                return number
        assert "." in name, f"{name!r} stands on no floor: put it on one"
        name = name.rpartition(".")[0]


@lru_cache(None)
def tree(file):
    return ast.parse(file.read_text())


@lru_cache(None)
def imported(file, inside=False):
    """The modules of the package that a file imports when it is loaded.

    With `inside` also those that its functions import. What is for type checkers alone does not
    count.
    """
    name = module(file)
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    run_at_once = (ast.Try, ast.With, ast.ClassDef)
    if inside:
        run_at_once += (ast.FunctionDef, ast.AsyncFunctionDef)

    def named(base, names):
        for one in names:
            inner = f"{base}.{one}" if base else one
            found.add(inner if inner in MODULES else base)

    def visit(nodes):
        for node in nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first, _, rest = alias.name.partition(".")
                    if first == "devtensor":
                        found.add(rest)
            elif isinstance(node, ast.ImportFrom):
                if node.level:
                    parts = package.split(".") if package else []
                    parts = parts[: len(parts) - node.level + 1]
                    named(
                        ".".join([*parts, *([node.module] if node.module else [])]),
                        [a.name for a in node.names],
                    )
                elif node.module and node.module.split(".")[0] == "devtensor":
                    named(node.module.partition(".")[2], [a.name for a in node.names])
            elif isinstance(node, ast.If):
                if "TYPE_CHECKING" not in ast.unparse(node.test):
                    visit([*node.body, *node.orelse])
            elif isinstance(node, run_at_once):
                visit(node.body)

    visit(tree(file).body)
    return found


@pytest.mark.parametrize("name", MODULES)
def test_stairs_are_climbed_downwards(name):
    own = floor(name)
    for other in imported(MODULES[name]):
        assert floor(other) <= own, f"{name} is below {other}"


def test_no_circle_of_imports():
    # The shelf gathers what is below it and loads what is above it, so it may be met again.
    edges = {name: imported(file) - {"", name} for name, file in MODULES.items() if name}
    done, path = set(), []

    def walk(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done or name not in edges:
            return
        path.append(name)
        for other in edges[name]:
            # A package's own modules may be imported by its __init__.
            if not name.startswith(f"{other}."):
                walk(other)
        path.pop()
        done.add(name)

    for name in edges:
        walk(name)


LONGEST = 400
# Operations are long lists of short definitions.
SHORT = [file for file in FILES if file.parent != ROOT / "ops"]


@pytest.mark.parametrize("file", SHORT, ids=module)
def test_files_are_short(file):
    assert len(file.read_text().splitlines()) <= LONGEST


LIBRARIES = ("numpy", "cupy", "cupyx", "dpnp", "dpctl", "scipy", "torch", "array_api_strict")
LIBRARIES += ("ml_dtypes", "numba", "devtensor_numpy", "devtensor_cupy", "devtensor_dpnp")
LIBRARIES += ("devtensor_formulas",)


def every_import(file):
    """The first names of all modules that a file imports, anywhere in it."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("file", FILES, ids=module)
def test_no_array_library_is_named(file):
    assert not set(every_import(file)) & set(LIBRARIES)


FORMULAS = sorted((ROOT.parent / "backends" / "devtensor_formulas").glob("*.py"))


@pytest.mark.parametrize("file", FORMULAS, ids=lambda file: file.stem)
def test_formulas_know_no_library_of_a_device(file):
    assert set(every_import(file)) & set(LIBRARIES) <= {"numpy"}


ABOVE = [file for file in FILES if module(file).split(".")[0] in ("nn", "optim", "utils")]
INTERNAL = {"launch", "fast", "space", "methods", "host", "op", "ops"}
INTERNAL |= {f"autograd.{name}" for name in ("engine", "mode", "node", "saved", "view", "write")}
# Internals that layers and optimizers may use: the catalogue, and an optimizer's step as one
# operation.
ALLOWED = {
    "utils._recomputed": {"autograd.engine"},
    "utils.checkpoint": {"autograd.engine"},
}
OF_OP = {"catalogue", "in_place"}


@pytest.mark.parametrize("file", ABOVE, ids=module)
def test_layers_and_optimizers_stand_on_what_users_have(file):
    name = module(file)
    allowed = ALLOWED.get(name, set())
    if name.startswith("optim."):
        allowed = allowed | {"ops.optimizer"}
    found = imported(file, inside=True)
    assert ALLOWED.get(name, set()) <= found, "not needed any more: take it off the list"
    for other in found - allowed:
        if other == "op":
            assert from_op(file) <= OF_OP
        else:
            assert other.split(".")[0] not in INTERNAL, other
            assert other not in INTERNAL, other


def from_op(file):
    """The names that a file imports from `devtensor.op`."""
    return {
        alias.name
        for node in ast.walk(tree(file))
        if isinstance(node, ast.ImportFrom) and node.module == "devtensor.op"
        for alias in node.names
    }


# Who asks in which mode a launch runs. Operations and layers do not: what they compute is the same
# in every mode.
READERS = {
    "profiler._events",
    "amp._cast", "amp.autocast_mode",
    "autograd.anomaly", "autograd.engine", "autograd.function", "autograd.graph",
    "autograd.modes", "autograd.mutation", "autograd.ontensor", "autograd.passes", "autograd.saved",
    "autograd.settle", "autograd.view", "autograd.write", "autograd.overwrite", "brisk", "fast",
    "host", "launch", "ledger", "members", "op", "ops.convert", "options", "overrides", "protocols",
    "route", "tensor", "watch", "",
}  # fmt: skip


def test_few_read_the_mode():
    found = {name for name, file in MODULES.items() if "autograd.mode" in imported(file, True)}
    assert found == READERS, found ^ READERS


def run(code, tmp_path, repeat=1):
    """The least user time of some runs of a program, and what the last one printed."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    timed = f"import os\n{code}\nprint(os.times().user)"
    times = []
    for _ in range(repeat):
        done = subprocess.run(
            [sys.executable, "-c", timed],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        *printed, last = done.stdout.splitlines()
        times.append(float(last))
    return min(times), printed


def test_importing_is_quick(tmp_path):
    run("import devtensor; devtensor.ones(1)", tmp_path)  # compiles
    other, _ = run("import numpy", tmp_path, 3)
    own, _ = run("import devtensor", tmp_path, 3)
    assert own < 8 * other, (own, other)


def test_importing_loads_no_array_library(tmp_path):
    code = "import sys, devtensor\nprint(*{name.split('.')[0] for name in sys.modules})"
    _, (printed,) = run(code, tmp_path)
    assert not set(printed.split()) & set(LIBRARIES)


def test_first_tensor_loads_no_more_than_numpy(tmp_path):
    code = (
        "import sys, devtensor as dt\n"
        "x = dt.ones(2, requires_grad=True)\n"
        "(x * 2).sum().backward()\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    _, (printed,) = run(code, tmp_path)
    loaded = set(printed.split()) & set(LIBRARIES)
    assert loaded <= {"numpy", "devtensor_numpy", "ml_dtypes"}
