"""Devices for the tests: the cpu, array-api-strict, and what ``--device`` names."""

import gc
import os
import re
from zlib import crc32

# Several processes test at once; each library's own threads would wait for one another.
for _threads in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")
os.environ.setdefault("DEVTENSOR_XPU_CPU_DEVICES", "2")

import pytest  # noqa: E402

import devices  # noqa: E402
import devtensor as dt  # noqa: E402
import devtensor_strict  # noqa: E402, F401  registers the device "strict"
from devtensor.autograd.mode import MODE, RECORD, _stack, entries  # noqa: E402

devices.use_stand_in()


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
    parser.addoption(
        "--half",
        type=int,
        choices=(0, 1),
        help="run only the tests whose ids, but for names of devices, have an even (odd) CRC-32",
    )


def pytest_configure(config):
    name = config.getoption("--default-device")
    if name:
        reason = devices.absent(name)
        if reason:
            raise pytest.UsageError(reason)
        dt.set_default_device(name)


def pytest_generate_tests(metafunc):
    named = metafunc.config.getoption("device")
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", devices.parameters(["cpu", "strict:0", *named]))
    elif "other_device" in metafunc.fixturenames:
        metafunc.parametrize("other_device", devices.parameters(["strict:0", *named]))


def pytest_collection_modifyitems(config, items):
    """Put tests in order, and leave out those that this run is not for."""
    if config.getoption("--default-device"):
        left = [i for i in items if i.originalname in devices.OF_THE_HOST]
        config.hook.pytest_deselected(items=left)
        items[:] = [i for i in items if i.originalname not in devices.OF_THE_HOST]
    half = config.getoption("--half")
    if half is not None:
        config.hook.pytest_deselected(items=[i for i in items if part(i) != half])
        items[:] = [i for i in items if part(i) == half]
    # Some fork: the sooner they do, the less memory there is to be copied.
    items.sort(key=lambda item: "dataloader" not in item.nodeid)


def part(item):
    """The half of the tests to which one belongs: the same on every machine and device."""
    return crc32(re.sub(r"(cpu|strict|xpu|cuda):?\d*-?", "", item.nodeid).encode()) % 2


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Collect tests without the garbage collector, which would look at all of them again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish():
    """Let `gc.collect` of the tests pass over what all tests are made of; it takes a second."""
    gc.collect()
    gc.freeze()


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
