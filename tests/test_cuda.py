"""CuPy as the device ``cuda``.

What needs a device runs where CuPy finds one: a GPU, or the stand-in `cupy_on_cpu`, which runs CuPy's
own kernels on the processor (``pytest -p cupy_on_cpu``). The rest runs everywhere.
"""

import subprocess
import sys

import numpy as np
import pytest

import devtensor as dt
import devtensor.cuda
import test_backend
from devtensor.backend import load

AVAILABLE = dt.cuda.is_available()
needs_device = pytest.mark.skipif(not AVAILABLE, reason="no CUDA device, nor its stand-in")
needs_two = pytest.mark.skipif(dt.cuda.device_count() < 2, reason="there are no two CUDA devices")

# ---- what every backend's namespace is tested for, on the last device


@pytest.fixture
def library():
    if not AVAILABLE:
        pytest.skip("no CUDA device, nor its stand-in")
    last = dt.cuda.device_count() - 1

    class Library(test_backend.Library):
        def __call__(self, data, dtype=None):
            data = np.asarray(data, dtype)
            return self.backend.array(data, self.backend.native[dt.from_numpy(data).dtype], last)

    with dt.cuda.device(last):
        yield Library("cuda")


for name, test in vars(test_backend).items():
    code = getattr(test, "__code__", None)
    if name.startswith("test_") and "library" in code.co_varnames[: code.co_argcount]:
        globals()[name] = test
del name, test, code
