"""The same training on PyTorch and here."""

import numpy as np
import torch

import devtensor as dt
from devtensor import optim

torch.set_num_threads(1)

SHAPES = ((3, 4), (4,), (), (0, 2))


def array(x):
    return np.asarray(x.detach().tolist()).reshape(tuple(x.shape))


def params(module, dtype="float64", shapes=SHAPES, seed=0):
    """Leaves with the same values in both modules."""
    random = np.random.default_rng(seed)
    made = []
    for shape in shapes:
        values = random.standard_normal(shape)
        if dtype.startswith("complex"):
            values = values + 1j * random.standard_normal(shape)
        x = module.tensor(values.tolist(), dtype=getattr(module, dtype)).reshape(shape)
        made.append(x.detach().requires_grad_())
    return made


def give_gradients(module, leaves, seed, dtype=None):
    """Set the gradients of all leaves to random numbers that depend on `seed` only."""
    random = np.random.default_rng(seed)
    for x in leaves:
        shape = tuple(x.shape)
        values = random.standard_normal(shape)
        if x.is_complex():
            values = values + 1j * random.standard_normal(shape)
        x.grad = module.tensor(values.tolist(), dtype=x.dtype).reshape(shape)


def close(ours, theirs, tolerance):
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype).split(".")[-1] == str(theirs.dtype).split(".")[-1]
    np.testing.assert_allclose(array(ours), array(theirs), rtol=tolerance, atol=tolerance)


def same_state(ours, theirs, tolerance):
    """Assert that two optimizers remember the same, under the same names, in the same types."""
    one, two = ours.state_dict()["state"], theirs.state_dict()["state"]
    assert list(one) == list(two)
    for key in two:
        same_value(one[key], two[key], tolerance)


def same_value(one, two, tolerance):
    if isinstance(two, torch.Tensor):
        close(one, two, tolerance)
    elif isinstance(two, dict):
        assert set(one) == set(two)
        for key in two:
            same_value(one[key], two[key], tolerance)
    elif isinstance(two, list):
        assert len(one) == len(two)
        for x, y in zip(one, two, strict=True):
            same_value(x, y, tolerance)
    else:
        assert one == two


def pair(name, options, dtype="float64", shapes=SHAPES):
    """The parameters and the optimizer, here and in PyTorch."""
    made = []
    for module, library in ((dt, optim), (torch, torch.optim)):
        leaves = params(module, dtype, shapes)
        given = {k: v(module) if callable(v) else v for k, v in options.items()}
        made.append((module, leaves, getattr(library, name)(leaves, **given)))
    return made


def run(sides, steps, first=0):
    for step in range(first, first + steps):
        for module, leaves, optimizer in sides:
            give_gradients(module, leaves, 100 + step)
            optimizer.step()


def to_other(value, module):
    """A state dict with the tensors of another module."""
    if isinstance(value, (dt.Tensor, torch.Tensor)):
        name = str(value.dtype).split(".")[-1]
        made = module.tensor(value.detach().tolist(), dtype=getattr(module, name))
        return made.reshape(tuple(value.shape))
    if isinstance(value, dict):
        return {key: to_other(part, module) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(to_other(part, module) for part in value)
    return value
