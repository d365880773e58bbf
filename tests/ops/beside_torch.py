"""The same call on PyTorch and here: values, dtypes, shapes and gradients must agree."""

import numpy as np
import torch

import devtensor as dt

torch.set_num_threads(1)


def outputs(result):
    if isinstance(result, (tuple, list)):
        return [leaf for part in result for leaf in outputs(part)]
    return [result]


def name(dtype):
    return str(dtype).split(".")[-1]


def tensors(module, arrays, grad):
    made = []
    for array in arrays:
        x = module.tensor(array.tolist(), dtype=getattr(module, str(array.dtype)))
        if not array.size:
            x = x.reshape(array.shape)
        made.append(x.requires_grad_() if grad and array.dtype.kind == "f" else x)
    return made


def run(module, call, arrays, grad):
    inputs = tensors(module, arrays, grad)
    result = outputs(call(module, *inputs))
    slopes = []
    if grad:
        wanted = [x for x in result if isinstance(x, module.Tensor) and x.requires_grad]
        if wanted:
            random = np.random.default_rng(7)
            total = 0
            for x in wanted:
                weight = module.tensor(
                    random.standard_normal(tuple(x.shape)).tolist(), dtype=x.dtype
                ).reshape(x.shape)
                total = total + (x * weight).sum()
            total.backward()
        slopes = [x.grad for x in inputs]
    return result, slopes


def same(call, *arrays, grad=True, rtol=1e-6):
    """Assert that `call(module, *tensors)` gives the same on both."""
    ours, our_slopes = run(dt, call, arrays, grad)
    theirs, their_slopes = run(torch, call, arrays, grad)
    assert len(ours) == len(theirs)
    for one, two in zip(ours + our_slopes, theirs + their_slopes, strict=True):
        if two is None and one is not None and not one.any():
            continue  # PyTorch has no gradient where nothing was taken; here it is 0
        if not isinstance(two, torch.Tensor):
            assert one == two, (one, two)
            continue
        assert tuple(one.shape) == tuple(two.shape)
        assert name(one.dtype) == name(two.dtype)
        np.testing.assert_allclose(
            np.asarray(one.detach().tolist()).reshape(one.shape),
            np.asarray(two.detach().tolist()).reshape(two.shape),
            rtol=rtol,
            atol=rtol,
        )


def refused(call, *arrays, phrase=None):
    """Assert that both refuse with the same type; `phrase` must be in both messages."""
    errors = []
    for module in (torch, dt):
        try:
            call(module, *tensors(module, arrays, False))
        except Exception as error:
            errors.append(error)
        else:
            raise AssertionError(f"{module.__name__} did not refuse")
    theirs, ours = errors
    assert type(ours) is type(theirs), (ours, theirs)
    if phrase is None:
        phrase = str(theirs)
    assert phrase in str(theirs), theirs
    assert phrase in str(ours), (str(ours), str(theirs))


def floats(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def ints(*shape, low=0, high=5, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape)
