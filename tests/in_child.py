"""Calls of other libraries, on NumPy's arrays and on tensors, in a process of their own.

SciPy reads when it is imported whether arrays of others are wanted.
"""

import json
import os
import subprocess
import sys
import warnings
from functools import lru_cache
from pathlib import Path

TESTS = str(Path(__file__).parent)


@lru_cache(None)
def verdicts(file, device):
    """What the process of a test file says of each of its cases; an empty text is good."""
    path = os.pathsep.join([TESTS, *sys.path])
    done = subprocess.run(
        [sys.executable, file, device],
        env={**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def leaves(result):
    if isinstance(result, (tuple, list)):
        return [leaf for part in result for leaf in leaves(part)]
    return [result]


def verdict(case, device):
    """What is wrong with a case on a device: a text, empty if nothing is."""
    import numpy as np

    import devtensor as dt

    def made(array):
        x = dt.array_api.asarray(array, device=device)
        devices.add(x.device)
        return x

    devices = set()
    try:
        wanted = leaves(case(np.asarray))
        with dt.device(device):
            found = leaves(case(made))
        if len(wanted) != len(found):
            return f"{len(found)} results instead of {len(wanted)}"
        for want, got in zip(wanted, found, strict=True):
            if isinstance(want, (int, float)) and isinstance(got, (int, float)):
                np.testing.assert_allclose(got, want)
                continue
            if not isinstance(got, dt.Tensor) or got.device not in devices:
                return f"{type(got).__name__} instead of a tensor on {device}"
            np.testing.assert_allclose(np.asarray(got.cpu()), want, rtol=1e-6, atol=1e-9)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def judge(cases):
    """Print the verdicts on all cases on the device that the command line names."""
    import devtensor_strict  # noqa: F401

    warnings.simplefilter("ignore")
    device = sys.argv[1]
    print(json.dumps({name: verdict(case, device) for name, case in cases.items()}))
