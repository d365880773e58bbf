"""``python -m devtensor check``: what a program uses that devtensor lacks."""

import ast
import subprocess
import sys
from textwrap import dedent

import pytest

import devtensor as dt
from devtensor.commands.check import TENSOR_NAMES, lacks, uses


def found(program):
    """What a program uses that is lacking: lines and names."""
    return [(line, name) for line, name in sorted(uses(ast.parse(dedent(program)))) if lacks(name)]


@pytest.mark.parametrize(
    ("program", "names"),
    [
        ("import torch\ntorch.shine(1)", [(2, "torch.shine")]),
        ("import torch as t\nt.nn.Shine()", [(2, "torch.nn.Shine")]),
        ("import torch.nn.functional as F\nF.shine(F.relu)", [(2, "torch.nn.functional.shine")]),
        ("from torch import nn\nnn.Shine(nn.Linear(2, 1))", [(2, "torch.nn.Shine")]),
        ("from torch import nn as layers\nlayers.a", [(2, "torch.nn.a")]),
        ("from torch.nn import Shine, Linear", [(1, "torch.nn.Shine")]),
        ("from torch.nn import Linear\nLinear.shine", [(2, "torch.nn.Linear.shine")]),
        ("import torch.shine.deep", [(1, "torch.shine.deep")]),
        ("from torch.shine import glow", [(1, "torch.shine.glow")]),
        ("import torch\nL = torch.nn\nG = L.init\nG.shine_", [(4, "torch.nn.init.shine_")]),
        ("import torch\na, b = torch.nn, torch.fft\nb.shine", [(3, "torch.fft.shine")]),
        ("from torch.nn.functional import *\nrelu(1)", []),
        ("import torch\ndef f():\n    import torch.nn as nn\n    nn.Q\nnn.P", [(4, "torch.nn.Q")]),
        ("import torch\nclass A(torch.nn.B):\n    x: torch.C = torch.D",
         [(2, "torch.nn.B"), (3, "torch.C"), (3, "torch.D")]),
        ("import torch\n@torch.shine\ndef f(x=torch.glow, *, y: torch.gleam) -> torch.ray: ...",
         [(2, "torch.shine"), (3, "torch.glow"), (3, "torch.gleam"), (3, "torch.ray")]),
        ("import torch\nf = lambda x: torch.shine(x)\n[torch.glow for _ in ()]",
         [(2, "torch.shine"), (3, "torch.glow")]),
    ],
)  # fmt: skip
def test_names_are_followed(program, names):
    assert found(program) == sorted(names)


@pytest.mark.parametrize(
    "program",
    [
        "torch.shine",  # nobody's
        "import numpy as torch\ntorch.shine",
        "import torch\ntorch = 1\ntorch.shine",
        "import torch\ndef f(torch):\n    torch.shine",
        "import torch\nf = lambda torch: torch.shine",
        "import torch\ndef f():\n    for torch in range(2):\n        torch.shine",
        "import torch\ndef torch(): ...\ntorch.shine",
        "import torch\nfrom . import torch\ntorch.shine",
        "try:\n    import torch.shine\nexcept ImportError:\n    pass",
        "import torch\nif hasattr(torch, 'shine'):\n    torch.shine()",
        "import torch\nx = torch.shine if hasattr(torch, 'shine') else 1",
        "import torch\nx = hasattr(torch, 'shine') and torch.shine.glow()",
        "import torch\ntorch.zeros(2).shine()",  # what that is, is not known
        "import torch\ntorch.float32.itemsize\ntorch.Tensor.grad",
    ],
)
def test_what_is_no_use_of_a_lacking_name(program):
    assert found(program) == []


def test_a_guard_ends_with_its_block():
    program = "import torch\nif hasattr(torch, 'shine'):\n    torch.shine\ntorch.shine"
    assert found(program) == [(4, "torch.shine")]
    program = "import torch\ntry:\n    torch.a\nexcept AttributeError:\n    torch.b"
    assert found(program) == [(5, "torch.b")]


def test_methods_of_tensors_are_told_by_name():
    lacking = sorted(name for name in TENSOR_NAMES if not hasattr(dt.Tensor, name))
    name = lacking[0]
    assert found(f"def f(x):\n    return x.abs().{name}()") == [(2, f"torch.Tensor.{name}")]


def test_the_names_of_tensors_are_all_there_are():
    import torch

    names = {name for name in dir(torch.Tensor) if not name.startswith("_")}
    elsewhere = {
        "eig", "histogram", "index", "indices", "lstsq", "names", "new", "resize", "solve",
        "values", "volatile",
    }  # fmt: skip
    assert names - set(dir(dt.Tensor)) <= TENSOR_NAMES | elsewhere
    assert names >= TENSOR_NAMES and not TENSOR_NAMES & elsewhere


def check(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "devtensor", "check", *arguments],
        capture_output=True, text=True, timeout=100, cwd=cwd,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_command(tmp_path):
    (tmp_path / "good.py").write_text("import torch\ntorch.ones(2)\n")
    (tmp_path / "bad.py").write_text("import torch\n\ntorch.shine()\ntorch.shine()\n")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "odd.py").write_text("def")
    (tmp_path / "env" / "lib").mkdir(parents=True)
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    (tmp_path / "env" / "lib" / "other.py").write_text("import torch.gleam")
    status, out, said = check("good.py", cwd=tmp_path)
    assert (status, out, said) == (0, "0 of the 2 names of PyTorch in 1 file are lacking\n", "")
    status, out, said = check(".", cwd=tmp_path)
    assert status == 1 and said == ""
    assert out.splitlines()[:2] == [f"bad.py:{n}: torch.shine: devtensor lacks it" for n in (3, 4)]
    assert "odd.py:1: cannot be read" in out and "gleam" not in out
    assert out.splitlines()[-1] == "1 of the 3 names of PyTorch in 3 files are lacking"
    status, out, said = check("none.py", cwd=tmp_path)
    assert status == 1 and "there is no file or folder 'none.py'" in said
