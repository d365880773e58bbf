"""``python -m devtensor`` as users run it: in a process of its own."""

import json
import re
import subprocess
import sys

import pytest

import devtensor as dt
from devtensor.commands import environment, train

pytestmark = pytest.mark.timeout(300)  # training takes 6 s of CPU time; a busy machine has little


def run(*arguments, status=0):
    """What a command prints, and what it complains about."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "devtensor", *arguments],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def main_job(tmp_path_factory):
    """The output of the main job, and the losses that it wrote."""
    file = tmp_path_factory.mktemp("train") / "losses.json"
    out, complaints = run("train", "--losses", str(file))
    assert complaints == ""
    return out, json.loads(file.read_text())


def test_learns_to_read_digits(main_job):
    out, _ = main_job
    found = re.search(r"test accuracy (\d+\.\d\d)%", out)
    assert found and float(found[1]) >= 97


def test_progress_is_a_line_to_each_epoch(main_job):
    out, _ = main_job
    assert "\r" not in out  # which is for terminals
    lines = [line for line in out.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines if line.split()[1] != "10/10"] == [
        f"{i}/10" for i in range(1, 10)
    ]
    losses = [float(re.search(r"loss (\d+\.\d+)", line)[1]) for line in lines]
    assert len(losses) == 10
    assert losses[-1] < losses[0] / 5


def test_the_three_modes_are_compared(main_job):
    out, _ = main_job
    rows = {
        line.split()[0]: line.split() for line in out.splitlines() if "%" in line and "kB" in line
    }
    assert list(rows) == ["default", "no_grad", "inference_mode"]
    assert len({row[1] for row in rows.values()}) == 1  # one accuracy
    saved = {mode: float(row[-4].replace(",", "")) for mode, row in rows.items()}
    held = {mode: float(row[-2].replace(",", "")) for mode, row in rows.items()}
    assert saved["default"] > held["default"] > 1000
    assert (
        saved["no_grad"]
        == saved["inference_mode"]
        == held["no_grad"]
        == held["inference_mode"]
        == 0
    )
    peak = {
        mode: float(re.search(r"µs +([\d,.]+) kB", " ".join(row))[1].replace(",", ""))
        for mode, row in rows.items()
    }
    assert peak["default"] > peak["no_grad"]
    assert peak["default"] > peak["inference_mode"]


def test_losses_of_each_step(main_job):
    _, record = main_job
    assert record["device"] == "cpu"
    assert (record["model"], record["seed"], record["epochs"]) == ("cnn", 0, 10)
    assert len(record["losses"]) == 10 * 45
    assert record["losses"][0] == pytest.approx(2.3026, rel=0.1)  # log 10: it knows nothing yet


def losses(tmp_path, *arguments):
    file = tmp_path / "losses.json"
    run("train", "--model", "mlp", "--epochs", "1", "--losses", str(file), *arguments)
    return json.loads(file.read_text())["losses"]


def test_the_seed_decides_everything(tmp_path):
    first = losses(tmp_path, "--seed", "3")
    assert losses(tmp_path, "--seed", "3") == first
    assert losses(tmp_path, "--seed", "4") != first


def test_another_device_learns_the_same(tmp_path, monkeypatch, capsys):
    pytest.importorskip("devtensor_strict")
    file = tmp_path / "losses.json"
    # The strict device is registered in this process only, so the command runs here.
    from devtensor.__main__ import main

    results = []
    for device in ("cpu", "strict:0"):
        assert (
            main(
                [
                    "train",
                    "--model",
                    "mlp",
                    "--epochs",
                    "1",
                    "--device",
                    device,
                    "--losses",
                    str(file),
                ]
            )
            == 0
        )
        results.append(json.loads(file.read_text()))
    assert results[1]["device"] == "strict:0"
    assert results[1]["losses"] == pytest.approx(results[0]["losses"], rel=1e-3)
    assert "mlp with 17,226 parameters on strict:0" in capsys.readouterr().out


class Terminal:
    """A file that says it is a terminal."""

    def __init__(self):
        self.text = ""

    def isatty(self):
        return True

    def write(self, text):
        self.text += text

    def flush(self):
        pass


def test_progress_in_a_terminal_fills_one_line():
    out = Terminal()
    progress = train.Progress(2, out)
    for step in (1, 2, 3):
        progress(0, step, 3, 1.5)
    shown = out.text.split("\r")
    assert shown[0] == ""
    assert [s.count("#") for s in shown[1:]] == [10, 20, 30]
    assert [s.endswith("\n") for s in shown[1:]] == [False, False, True]
    assert "epoch 1/2" in shown[1] and "loss 1.5000" in shown[1]


def test_the_networks_have_the_shapes_they_should():
    images = dt.zeros(2, 1, 8, 8)
    for name in ("mlp", "cnn"):
        assert train.build(name)(images).shape == (2, 10)
    data = train.load(dt.device("cpu"))
    assert data.images.shape == (1437, 1, 8, 8)
    assert data.test_images.shape == (360, 1, 8, 8)
    assert data.images.min() == -1 and data.images.max() == 1
    assert sorted(set(data.test_labels.tolist())) == list(range(10))


def test_report_of_the_environment():
    out, _ = run()
    for what in (
        f"devtensor  +{re.escape(dt.__version__)}",
        r"Python  +3\.\d+",
        "device cpu  +devtensor_numpy",
        "cpu  +the memory of this machine, one operation tried: works",
        r"NumPy  +\d",
        "BLAS  +[a-z]",
        "threads  +",
    ):
        assert re.search(what, out), what


def test_report_of_a_backend_that_cannot_be_loaded(monkeypatch):
    class Point:
        name, value = "cuda", "devtensor_cupy:CuPy"

    def refuse(kind):
        raise ImportError("No module named 'cupy'")

    monkeypatch.setattr(environment, "entry_points", lambda group: [Point])
    monkeypatch.setattr(environment.dt, "device", refuse)
    report = environment.report()
    assert "device cuda" in report and "not usable: No module named 'cupy'" in report
    assert "pip install 'devtensor[cuda13]'" in report


def test_report_of_a_backend_that_says_itself_what_to_do(monkeypatch):
    class Point:
        name, value = "cuda", "devtensor_cupy:CuPy"

    def refuse(kind):
        raise RuntimeError("no driver here:\n install one")

    monkeypatch.setattr(environment, "entry_points", lambda group: [Point])
    monkeypatch.setattr(environment.dt, "device", refuse)
    assert environment.report().endswith("not usable: no driver here: install one")


def test_report_of_several_devices(monkeypatch):
    class Point:
        name, value = "strict", "devtensor_strict:Strict"

    monkeypatch.setattr(environment, "entry_points", lambda group: [Point])
    monkeypatch.setattr(type(dt.device("strict:0").backend), "packages", ("array_api_strict",))
    report = environment.report()
    assert re.search(r"device strict +devtensor_strict", report)
    for name in ("strict:0", "strict:1"):
        assert re.search(rf"{name} +{name}, memory unknown, one operation tried: works", report)
    assert re.search(r"array_api_strict +\d+\.\d+", report)


def test_report_where_nothing_is_installed(monkeypatch):
    monkeypatch.setattr(environment, "entry_points", lambda group: [])
    assert "pip install -e ." in environment.report()


def test_a_backend_without_anything_to_tell(monkeypatch):
    class Point:
        name, value = "cpu", "devtensor_strict:Strict"

    assert environment.details(Point) == {}


def test_mistakes_are_answered_in_one_line():
    _, complaint = run("train", "--device", "abacus", status=1)
    assert complaint.startswith("devtensor: ") and complaint.count("\n") == 1
    assert "abacus" in complaint
    for bad in (["train", "--epochs", "0"], ["train", "--model", "transformer"], ["learn"]):
        _, complaint = run(*bad, status=2)
        assert "usage: python -m devtensor" in complaint
    _, complaint = run(
        "train", "--model", "mlp", "--epochs", "1", "--losses", "/nowhere/at/all.json", status=1
    )
    assert "/nowhere/at/all.json" in complaint


def test_a_reader_that_has_seen_enough_is_no_error():
    command = [sys.executable, "-m", "devtensor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_version():
    assert run("--version")[0].strip() == f"devtensor {dt.__version__}"
