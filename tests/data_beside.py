"""Calls of `utils.data` here and in PyTorch, and what they give."""

import collections

import torch
from torch.utils import data as theirs

import devtensor as dt
from devtensor.utils import data as ours

BOTH = [(torch, theirs), (dt, ours)]


def plain(value):
    """A value without tensors, as both libraries must give it."""
    if isinstance(value, (torch.Tensor, dt.Tensor)):
        return "tensor", str(value.dtype), tuple(value.shape), value.tolist()
    if isinstance(value, dict):
        return type(value).__name__, {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, collections.deque)):
        return type(value).__name__, [plain(item) for item in value]
    return type(value).__name__, value


def same(call):
    """Assert that a call gives the same with both libraries, or the same error."""
    results = []
    for module, data in BOTH:
        try:
            results.append(plain(call(module, data)))
        except Exception as error:
            results.append((type(error), str(error)))
    assert results[1] == results[0]
    return results[0]
