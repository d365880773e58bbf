"""Devices for the tests: the cpu, array-api-strict, and what ``--device`` names."""

import devtensor_strict  # noqa: F401  registers the device "strict"


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
