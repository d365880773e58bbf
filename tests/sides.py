"""Tests that run here and on PyTorch, so that what they say is what PyTorch does."""

import gc
import warnings
import weakref
from contextlib import contextmanager

import pytest
import torch

import devtensor as dt

torch.set_num_threads(1)

SIDES = pytest.mark.parametrize("lib", [dt, torch], ids=["devtensor", "torch"])


def leaf(lib, *values, dtype="float64"):
    """A one-dimensional tensor that wants gradients."""
    return lib.tensor(list(values), dtype=getattr(lib, dtype), requires_grad=True)


def outcome(call):
    """What a call gives, or the error that it raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call()
        except Exception as error:
            return error


@contextmanager
def freed(*things):
    """Within the block the last references must go; then nothing may be left of the things.

    The cyclic collector is off, so a cycle would show.
    """
    watched = [weakref.ref(thing) for thing in things]
    del things
    gc.collect()
    gc.disable()
    try:
        yield
        assert [ref() for ref in watched] == [None] * len(watched)
    finally:
        gc.enable()


def nested(value):
    """Tensors in tuples as nested lists of numbers."""
    if value is None:
        return None
    return [nested(x) for x in value] if isinstance(value, (tuple, list)) else value.tolist()
