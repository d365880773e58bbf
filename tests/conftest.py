"""Devices for the tests: the cpu, array-api-strict, and what ``--device`` names."""

import os
import sys

# Several processes test at once; each library's own threads would wait for one another.
for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")
os.environ.setdefault("DEVTENSOR_XPU_CPU_DEVICES", "2")

import devtensor_strict  # noqa: E402, F401  registers the device "strict"

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


def pytest_generate_tests(metafunc):
    if "device" in metafunc.fixturenames:
        names = ["cpu", "strict:0", *metafunc.config.getoption("device")]
        metafunc.parametrize("device", names)
    elif "other_device" in metafunc.fixturenames:
        metafunc.parametrize("other_device", ["strict:0", *metafunc.config.getoption("device")])
