"""The benchmark runs, and what it compares computes the same thing."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import devtensor as dt

SCRIPT = Path(__file__).with_name("run.py")


@pytest.fixture(scope="module")
def bench():
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("bench_run", SCRIPT)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_chain_is_the_same_for_all(bench):
    x, w, b = bench.arrays(np, (10,), 3)
    _, gx, gw, gb = bench.chain_by_hand(np, x, w, b)
    for lib in (dt, torch):
        tensors = bench.arrays(lib, (10,), 3)
        bench.chain(*tensors, lib.sin).sum().backward()
        for tensor, wanted in zip(tensors, (gx, gw, gb), strict=True):
            assert tensor.grad.tolist() == pytest.approx(wanted.tolist(), rel=1e-3, abs=1e-4)


def test_operations_are_the_same_for_all(bench):
    for statement, by_numpy, shape in bench.OPS.values():
        a, b = bench.arrays(np, shape)
        wanted = eval(by_numpy, {"a": a, "b": b, "sin": np.sin})
        for lib in (dt, torch):
            a, b = bench.arrays(lib, shape)
            found = eval(statement, {"a": a, "b": b})
            assert found.requires_grad
            np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-5, atol=1e-6)


def test_memory_of_the_modes_falls(bench):
    x, w = bench.arrays(dt, (300, 300))
    default, no_grad, inference = (bench.peak(dt, mode, x, w) for mode in bench.MODES)
    assert default > no_grad > inference


def test_bytes_a_node(bench):
    assert 50 < bench.bytes_a_node(dt) <= 400


def test_script_writes_its_figures(tmp_path):
    file = tmp_path / "figures.json"
    done = subprocess.run(
        [
            sys.executable,
            str(SCRIPT),
            "--only",
            "chain",
            "--only",
            "training",
            "--rounds",
            "1",
            "--json",
            str(file),
        ],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert "x torch" in done.stdout and "bytes a node" in done.stdout
    record = json.loads(file.read_text())
    assert [line["section"] for line in record["lines"]] == ["chain", "training"]
    assert all(line["to_numpy"] > 0 and line["to_torch"] > 0 for line in record["lines"])


def test_what_devices_add(other_device):
    if other_device.startswith("strict"):
        return  # it has no library of its own to compare with
    script = Path(__file__).with_name("devices.py")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), "--rounds", "2", other_device],
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    assert len(re.findall(rf"^{other_device} .* -?\d+\.\d\d$", done.stdout, re.MULTILINE)) == 6


def test_what_a_launch_is_made_of():
    script = Path(__file__).with_name("launch.py")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr
    spent = [float(line.split(" ns")[0].split()[-1]) for line in done.stdout.splitlines()]
    assert len(spent) == 9
    assert min(spent) > 0
    # An operator cannot be quicker than what it calls.
    assert spent[0] < spent[2]
