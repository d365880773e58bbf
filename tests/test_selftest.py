"""``python -m devtensor selftest``, which people with a device run where there is no pytest."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import devtensor as dt
from devtensor.__main__ import main
from devtensor.commands import selftest
from devtensor.op import catalogue


def test_operations_agree(other_device, capsys):
    assert main(["selftest", "--device", other_device, "--only", "cum"]) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{dt.device(other_device)} (")
    assert last.endswith("values and derivatives: all agree")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda x: x.tanh() + 1e-5,
        lambda x: x.detach().tanh().requires_grad_() * 1,  # the derivative does not arrive
        lambda x: x.tanh()[None],
        lambda x: x.tanh() * dt.tensor(float("nan")),
    ],
)
def test_what_differs_is_found(wrong, monkeypatch, capsys):
    entry = catalogue["tanh"]
    right = entry.function

    def function(x):
        # Within the wrong function the right one is used.
        return right(x) if x.device.type == "cpu" else wrong(Tanh(x))

    class Tanh:
        def __init__(self, x):
            self.x = x

        def tanh(self):
            return right(self.x)

        def detach(self):
            return Tanh(self.x.detach())

    monkeypatch.setitem(catalogue, "tanh", entry._replace(function=function))
    assert main(["selftest", "--device", "strict:1", "--only", "tanh"]) == 1
    said = capsys.readouterr().out
    assert "tanh: result" in said
    assert "differ (tanh)" in said


def test_an_error_on_the_device_alone_is_found(monkeypatch, capsys):
    entry = catalogue["tanh"]
    right = entry.function

    def function(x):
        if x.device.type != "cpu":
            raise RuntimeError("no tanh here")
        return right(x)

    monkeypatch.setitem(catalogue, "tanh", entry._replace(function=function))
    assert main(["selftest", "--device", "strict:1", "--only", "tanh"]) == 1
    assert "no tanh here" in capsys.readouterr().out


def test_every_operation_is_tried():
    tried = {case.name for case in selftest.cases()}
    every = {e.name for e in catalogue.values() if e.op is not None and e.examples}
    left = {e.name for e in catalogue.values() if e.op is not None and e.op.writes}
    assert every - tried <= left | set(selftest.UNSET)


def test_it_needs_no_pytest_and_no_pytorch():
    code = """
        import sys
        for name in ("torch", "pytest", "hypothesis", "scipy"):
            sys.modules[name] = None
        from devtensor.__main__ import main
        sys.exit(main(["selftest", "--device", "cpu", "--only", "softmax"]))
    """.replace("\n        ", "\n")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "all agree" in run.stdout


def test_a_backend_of_somebody_elses_passes():
    """The one that docs/backends.rst shows, in a process of its own: it registers a device."""
    file = Path(__file__).parent / "devtensor_abacus.py"
    assert len(file.read_text().splitlines()) < 150
    code = """if True:
        import devtensor_abacus
        from devtensor.__main__ import main
        main(["selftest", "--device", "abacus"])
    """
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=110, cwd=file.parent
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"\n\d{3,} examples, values and derivatives: all agree\n$", run.stdout), (
        run.stdout
    )


def test_a_device_that_is_not_there_says_why(capsys):
    assert main(["selftest", "--device", "strict:7"]) == 1
    assert "invalid device ordinal: strict:7" in capsys.readouterr().err


def test_one_operation(monkeypatch):
    assert selftest.works("cpu") == "works"
    assert selftest.works("strict:1") == "works"
    assert "invalid device ordinal" in selftest.works("strict:7")
