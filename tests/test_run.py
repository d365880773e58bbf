"""``python -m devtensor run``: a PyTorch program as it is, in a process of its own."""

import os
import subprocess
import sys

import pytest

from devtensor.alias import counterpart
from devtensor.commands.run import lacking

pytestmark = pytest.mark.timeout(300)


def run(*arguments, cwd=None, plain=False):
    """Run a program, by Python alone with `plain`: status, output, complaints."""
    before = [] if plain else ["-m", "devtensor", "run"]
    done = subprocess.run(
        [sys.executable, *before, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=280,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def written(tmp_path):
    def write(text, name="program.py"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return str(file)

    return write


IMPORTS = """\
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim.lr_scheduler
import torch.backends.cudnn as cudnn
import torch.utils.data.sampler
from torch import Tensor, optim
from torch.nn.modules.linear import Linear
from torch.utils.data import DataLoader
from torch.autograd import Variable
from torch.cuda.amp import GradScaler
from torch.nn.parallel import DataParallel
import torch.autograd.profiler as profiler
import torch.multiprocessing as mp

import devtensor
import devtensor.nn.functional

assert torch is devtensor
assert F is devtensor.nn.functional is torch.nn.functional
assert Linear is nn.Linear and Tensor is torch.Tensor
assert devtensor.nn.__spec__.name == "devtensor.nn"
cudnn.benchmark = True
print(nn.Linear(2, 1)(torch.zeros(3, 2)).shape)
"""


def test_every_way_to_import(written):
    assert run(written(IMPORTS)) == (0, "torch.Size([3, 1])\n", "")


PARTS = """\
import torch
import torch.distributed as dist
assert not hasattr(dist, "nn")
from torch.distributed import nn as dist_nn
from torch.nn import quantized
from torch.fx.passes import split_module
import torch.distributed.nn as same
from torch.cuda.amp.grad_scaler import GradScaler
assert dist_nn is same is dist.nn and issubclass(GradScaler, torch.amp.GradScaler)
assert torch.cuda._initialized is torch.cuda.is_initialized()
try:
    from torch.nn import nothing
except ImportError:
    dist_nn.all_reduce(torch.ones(2))
"""


def test_parts_that_are_not_here_are_found_within_their_packages(written):
    status, out, said = run(written(PARTS))
    assert (status, out) == (1, "") and "torch.distributed.nn.all_reduce: devtensor trains" in said


SEEN = """\
import os, sys
print(__name__, __file__, __spec__ and __spec__.name, __package__, sys.argv, sys.path[0])
print(sys.modules["__main__"].__dict__ is globals(), "torch" in sys.modules)
"""


def told(text):
    """What a program printed, but for whether it has PyTorch."""
    return text.replace("True True", "True False")


def test_a_file_sees_what_it_sees_without_us(written):
    file = written(SEEN)
    ours, theirs = run(file, "--lr", "1", "-m", "x"), run(file, "--lr", "1", "-m", "x", plain=True)
    assert (ours[0], told(ours[1])) == (theirs[0], theirs[1])
    assert "True True" in ours[1]


@pytest.mark.parametrize("name", ["package.module", "package"])
def test_a_module_sees_what_it_sees_without_us(written, tmp_path, name):
    for file in ("__init__", "module", "__main__"):
        written("" if file == "__init__" else SEEN, f"package/{file}.py")
    ours = run("-m", name, "a", "--b", cwd=tmp_path)
    theirs = run("-m", name, "a", "--b", cwd=tmp_path, plain=True)
    assert (ours[0], told(ours[1])) == (theirs[0], theirs[1])


def test_a_folder_sees_what_it_sees_without_us(written, tmp_path):
    written("print('helped')", "tool/helper.py")
    written("import helper, sys\nprint(__name__, sys.argv)", "tool/__main__.py")
    ours, theirs = run("tool", "1", cwd=tmp_path), run("tool", "1", cwd=tmp_path, plain=True)
    assert ours[0] == theirs[0] == 0 and ours[1].startswith("helped\n__main__")


FAILS = """\
import sys

def inner(x):
    return 1 / x

def outer():
    try:
        inner(0)
    except ZeroDivisionError as error:
        raise ValueError("no") from error

outer()
"""


def test_errors_are_shown_as_without_us(written):
    file = written(FAILS)
    assert run(file) == run(file, plain=True)


def test_the_status_is_the_programs(written):
    assert run(written("raise SystemExit('enough')"))[::2] == (1, "enough\n")


def test_what_we_lack_is_named_and_blamed_on_us(written):
    status, _, said = run(written("import torch\n\ntorch.nn.Shine(2)\n"))
    lines = said.splitlines()
    assert status == 1 and "torch.nn.Shine(2)" in lines[2]
    assert lines[-1] == (
        "This program runs on devtensor in PyTorch's place, which lacks torch.nn.Shine."
    )
    for name in ("torch.shine", "torch.nn.shine.deep", "torch.tensor"):
        with pytest.raises(ModuleNotFoundError, match="devtensor") as caught:
            counterpart(name)
        assert caught.value.name.startswith("torch.")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("torch.shine", "torch.shine"),
        ("from devtensor.nn import Shine", "torch.nn.Shine"),
        ("torch.ones(1).shine()", "torch.Tensor.shine"),
        ("torch.Tensor.shine", "torch.Tensor.shine"),
        ("torch.nn.Linear.shine", "torch.nn.Linear.shine"),
        ("''.shine", None),
        ("type('Net', (torch.nn.Module,), {'__module__': '__main__'})().shine", None),
        ("raise AttributeError('no')", None),
        ("from sys import shine", None),
    ],
)
def test_the_name_that_is_lacking(line, name):
    with pytest.raises((AttributeError, ImportError)) as caught:
        exec(f"import devtensor as torch\n{line}", {})
    assert lacking(caught.value) == name


def test_a_programs_own_hook_has_the_last_word(written):
    program = "import sys, torch\nsys.excepthook = lambda *e: print('mine')\ntorch.shine\n"
    assert run(written(program)) == (1, "mine\n", "")


def test_what_cannot_be_run(tmp_path):
    for arguments in (["none.py"], ["-m", "no_such_module"]):
        status, out, said = run(*arguments, cwd=tmp_path)
        assert (status, out) == (1, "")
        assert said.startswith("devtensor: ") and arguments[-1] in said


WORKERS = """\
import os
import sys
import torch
from torch.utils.data import DataLoader, Dataset


class Numbers(Dataset):
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return torch.tensor([float(i)]), os.path.basename(os.path.dirname(torch.__file__))


if __name__ == "__main__":
    loader = DataLoader(
        Numbers(), batch_size=3, num_workers=2, multiprocessing_context=sys.argv[1]
    )
    for values, names in loader:
        print(values.flatten().tolist(), *names)
"""


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_import_the_same(written, method):
    if method != "spawn" and sys.platform == "win32":
        pytest.skip("this system only spawns")
    names = " ".join(["devtensor"] * 3)
    assert run(written(WORKERS), method) == (
        0,
        f"[0.0, 1.0, 2.0] {names}\n[3.0, 4.0, 5.0] {names}\n",
        "",
    )


def test_a_process_that_has_pytorch_is_refused():
    import torch  # noqa: F401

    from devtensor.alias import install

    with pytest.raises(RuntimeError, match="python -m devtensor run"):
        install()


def test_programs_are_told_the_version_whose_functions_are_here(written):
    program = written(
        "import importlib.metadata, torch\n"
        "print(importlib.metadata.version('torch'), torch.__version__, torch.version.__version__)\n"
    )
    assert run(program)[1].split() == ["2.13.0"] * 3


def test_classes_say_that_they_are_pytorchs(written):
    """Programs print them, and libraries choose by their module what to do with a value."""
    program = """\
import pickle
import torch
parameter = torch.nn.Parameter(torch.ones(1))
for value in (torch.ones(1), torch.float32, torch.device("cpu"), torch.Size([1]), parameter):
    print(type(value))
    assert getattr(__import__(type(value).__module__, None, None, ["*"]), type(value).__name__)
    assert pickle.loads(pickle.dumps((value, type(value)))) == (value, type(value))
call = torch.float32.__reduce__()[0]  # some picklers look for it by attributes alone
package, _, last = call.__module__.rpartition(".")
assert getattr(getattr(__import__(package), last), call.__name__) is call
torch.ones(1).shine()
"""
    status, out, said = run(written(program))
    kinds = ["Tensor", "dtype", "device", "Size", "nn.parameter.Parameter"]
    assert out.splitlines() == [f"<class 'torch.{kind}'>" for kind in kinds], said
    assert status == 1 and "which lacks torch.Tensor.shine" in said


HELPERS = """\
import torch
from torch.testing._internal.common_device_type import dtypes, instantiate_device_type_tests
from torch.testing._internal.common_nn import NNTestCase
from torch.testing._internal.common_utils import (
    TestCase, freeze_rng_state, instantiate_parametrized_tests, parametrize, run_tests,
)

class TestNetwork(NNTestCase):
    @parametrize("count", [1, 2])
    def test_equal(self, count):
        self.assertEqual(torch.ones(count) + 1, torch.full((count,), 2.0))
        with self.assertRaisesRegex(AssertionError, "Tensor-likes are not close"):
            self.assertEqual(torch.ones(count), torch.zeros(count))
        with freeze_rng_state():
            first = torch.rand(2)
        self.assertEqual(first, torch.rand(2))

class TestTypes(TestCase):
    @dtypes(torch.float64, torch.int32)
    def test_sum(self, device, dtype):
        self.assertEqual(torch.ones(2, device=device, dtype=dtype).sum().item(), 2)

instantiate_parametrized_tests(TestNetwork)
instantiate_device_type_tests(TestTypes, globals(), only_for="cpu")
if __name__ == "__main__":
    run_tests()
"""


def test_pytorchs_helpers_of_tests_are_taken_from_its_files(written, monkeypatch):
    for module in ("torch", "expecttest"):
        pytest.importorskip(module)
    monkeypatch.delenv("CI", raising=False)  # there its runner wants a library for reports
    status, _, complaints = run(written(HELPERS))
    assert not status and "Ran 4 tests" in complaints and "OK" in complaints
