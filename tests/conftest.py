"""Devices for the tests: the cpu, array-api-strict, and what ``--device`` names."""

import os
import sys

# Several processes test at once; each library's own threads would wait for one another.
for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")
os.environ.setdefault("DEVTENSOR_XPU_CPU_DEVICES", "2")

import pytest  # noqa: E402

import devtensor as dt  # noqa: E402
import devtensor_strict  # noqa: E402, F401  registers the device "strict"
from devtensor.autograd.mode import MODE, RECORD, _stack, entries  # noqa: E402

if "cupy_on_cpu" in sys.modules:
    import cupy_on_host  # noqa: F401  solvers and transforms by NumPy, which the stand-in lacks


def pytest_addoption(parser):
    parser.addoption(
        "--device",
        action="append",
        default=[],
        metavar="NAME",
        help="run the tests of operations on this device, too (as cuda or xpu:1)",
    )
    parser.addoption(
        "--default-device",
        metavar="NAME",
        help="where the tests make tensors for which they name no device",
    )


def pytest_configure(config):
    if config.getoption("--default-device"):
        dt.set_default_device(config.getoption("--default-device"))


def pytest_generate_tests(metafunc):
    if "device" in metafunc.fixturenames:
        names = ["cpu", "strict:0", *metafunc.config.getoption("device")]
        metafunc.parametrize("device", names)
    elif "other_device" in metafunc.fixturenames:
        metafunc.parametrize("other_device", ["strict:0", *metafunc.config.getoption("device")])


@pytest.fixture(autouse=True)
def modes_end_with_the_test():
    """A mode that a test leaves on would turn the tests after it into others."""
    yield
    found = dt.is_grad_enabled(), dt.is_inference_mode_enabled()
    if found != (True, False):
        left = [f"{e.kind}={e.value} made at {e.line}" for e in entries()]
        MODE.set(RECORD)
        _stack.set((0, ()))
        pytest.fail(f"modes left on: {left}")
