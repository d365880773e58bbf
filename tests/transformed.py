"""Programs with `func` that run here and on PyTorch, and results held against each other."""

import numpy as np
import torch

import devtensor as dt
from sides import outcome

BOTH = ((dt, dt.func), (torch, torch.func))


def values(result):
    """Tensors in containers as nested lists of numbers, and other things as they are."""
    if isinstance(result, (dt.Tensor, torch.Tensor)):
        return result.detach().numpy()
    if isinstance(result, dict):
        return {key: values(part) for key, part in result.items()}
    if isinstance(result, (tuple, list)):
        return [values(part) for part in result]
    return result


def same(found, expected):
    assert type(found) is type(expected), (found, expected)
    if isinstance(found, np.ndarray):
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    elif isinstance(found, dict):
        assert list(found) == list(expected)
        same(list(found.values()), list(expected.values()))
    elif isinstance(found, list):
        assert len(found) == len(expected)
        for f, e in zip(found, expected, strict=True):
            same(f, e)
    else:
        assert found == expected


def beside(program, *arrays):
    """Run a program here and on PyTorch, and hold the results against each other."""

    def run(lib, f):
        return outcome(lambda: program(lib, f, *[lib.tensor(a) for a in arrays]))

    ours, theirs = run(*BOTH[0]), run(*BOTH[1])
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), (ours, theirs)
        return
    if isinstance(ours, Exception):
        raise ours
    same(values(ours), values(theirs))
