"""What the standard's functions make of floating numbers has gradients, and they are right."""

import warnings

import numpy as np
import pytest

import devtensor as dt
import devtensor.array_api as xp
from standard_calls import HOMES, NAMES, Draw, converted, ids, leaves

# What does not depend on the numbers, or only by jumps that PyTorch gives no gradient.
FLAT = {
    "empty_like", "full_like", "ones_like", "zeros_like", "nextafter", "floor_divide",
    "from_dlpack", "asarray",
}  # fmt: skip
# Determined up to a phase only, which moves when a number is moved.
PHASES = {"svd", "qr", "eigh"}
# Of symmetric matrices, which must remain so when a number is moved.
SYMMETRIC = {"cholesky", "eigvalsh"}
FLOATING = ("float", "complex")


def floating(value):
    """The floating arrays among arguments."""
    if isinstance(value, (list, tuple)):
        return [array for one in value for array in floating(one)]
    return [value] if isinstance(value, np.ndarray) and value.dtype.kind == "f" else []


def inputs_of(drawn):
    """The floating arrays of a call as tensors that require gradients, and the call of them."""
    tensors = [dt.tensor(a.astype("float64"), requires_grad=True) for a in floating(drawn.args)]

    def put(value, given):
        if floating([value]) and isinstance(value, np.ndarray):
            x = next(given)
            return (x + x.mT) / 2 if drawn.name in SYMMETRIC else x
        if isinstance(value, list):
            return [put(one, given) for one in value]
        return converted(value, xp, "cpu")

    def call(*given):
        args = put(drawn.args, iter(given))
        kwargs = {name: converted(v, xp, "cpu") for name, v in drawn.kwargs.items()}
        found = leaves(getattr(HOMES[drawn.home][0], drawn.name)(*args, **kwargs))
        return tuple([y for y in found if isinstance(y, dt.Tensor) and y.dtype.kind in FLOATING])

    return tensors, call


@pytest.mark.parametrize(("home", "name"), NAMES, ids=ids)
def test_gradients(home, name):
    if name in FLAT | PHASES:
        return
    checked, expected = 0, False
    for seed in range(40):
        drawn = Draw(seed, name, getattr(HOMES[home][1], name), home, "float")
        drawn.kwargs.pop("dtype", None)
        drawn.kwargs.pop("rtol", None)  # where the rank jumps there is no gradient
        tensors, call = inputs_of(drawn)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                results = call(*tensors)
            except (RuntimeError, ValueError, IndexError, TypeError):
                continue  # refused, as `test_values` says
        if not tensors or not results:
            continue
        expected = True
        if not all(y.numel() and y.isfinite().all() for y in results):
            continue
        assert all(y.requires_grad for y in results), drawn
        assert dt.autograd.gradcheck(call, tensors), drawn
        checked += 1
        if checked == 3:
            break
    assert checked or not expected
