"""What is timed beside PyTorch is the same thing there."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import torch

import devtensor as dt


def load(name):
    spec = spec_from_file_location(f"bench_{name}", Path(__file__).with_name(f"{name}.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sizes, networks = load("sizes"), load("networks")
DRAWN = ("rand", "dropout")


@pytest.mark.parametrize("text", sizes.calls())
def test_both_compute_the_same(text):
    found = []
    for lib in (dt, torch):
        names = sizes.inputs(lib, 24)
        result = eval(text, names)
        rows = [result.detach()]
        if sizes.made(lib, names, text, back=True):
            sizes.made(lib, names, text, back=True)()
            rows += [names[x].grad for x in ("x", "y", "p", "v", "im", "w")]
        found.append(rows)
    for ours, theirs in zip(*found, strict=True):
        if ours is None or theirs is None:
            assert ours is theirs
        elif any(word in text for word in DRAWN):
            assert ours.shape == theirs.shape and str(ours.dtype) == str(theirs.dtype)
        else:
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", networks.NAMES)
def test_both_train_the_same_network(name):
    steps = [getattr(networks.Networks(lib), name)() for lib in (dt, torch)]
    shapes = [[tuple(p.shape) for p in step.model.parameters()] for step in steps]
    assert shapes[0] == shapes[1]
    step = steps[0]
    weights = [p for p in step.model.parameters() if p.ndim > 1]
    before = [p.detach().clone() for p in weights]
    step()
    assert not any(bool((p == old).all()) for p, old in zip(weights, before, strict=True))
