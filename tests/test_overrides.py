"""The common kernels against NumPy's own, and on a library with the standard alone.

The examples of the catalogue are the calls.
"""

import numpy as np
import pytest

import devtensor  # noqa: F401  (fills the catalogue)
import devtensor_strict  # noqa: F401  (registers the device)
from devtensor.backend import load
from devtensor.device import device
from devtensor.dtype import OF
from devtensor.example import Sample
from devtensor.launch import promote
from devtensor.op import catalogue
from devtensor.space import kernel_for, natives, space_of
from devtensor.tensor import wrap

CPU, STRICT = device("cpu"), device("strict:1")
KERNELS = load("cpu").kernels


def numbers(sample, random):
    """The array that a sample describes."""
    shape = sample.shape
    match sample.kind:
        case "normal":
            return random.standard_normal(shape)
        case "positive":
            return random.uniform(0.5, 2, shape)
        case "unit":
            return random.uniform(-0.9, 0.9, shape)
        case "distinct":
            count = int(np.prod(shape))
            return (random.permutation(count) - count // 2 + 0.25).reshape(shape)
        case "ints":
            return random.integers(sample.low, sample.high, shape)
        case "bools":
            return random.integers(0, 2, shape).astype(bool)
        case "spd":
            x = random.standard_normal(shape)
            return x @ np.swapaxes(x, -1, -2) + shape[-1] * np.eye(shape[-1])
    return np.array(sample.data)


def strided(array):
    """The same numbers where memory has gaps."""
    wide = np.empty((*array.shape, 2), array.dtype)
    wide[..., 1] = array
    return wide[..., 1]


LOOKS = {
    "double": lambda x: x,
    "single": lambda x: x.astype(np.float32) if x.dtype == np.float64 else x,
    "half": lambda x: x.astype(np.float16) if x.dtype == np.float64 else x,
    "fortran": lambda x: np.asfortranarray(x) if x.ndim else x,
    "strided": strided,
}
CLOSE = {"double": 1e-12, "single": 2e-5, "half": 4e-3, "fortran": 1e-12, "strided": 1e-12}

CASES = [
    pytest.param(catalogue[name].op, number, look, id=f"{name}-{number}-{look}")
    for name in sorted(KERNELS)
    if name in catalogue
    for number in range(len(catalogue[name].op.examples))
    for look in LOOKS
]


def test_overrides_are_of_operations():
    assert not KERNELS.keys() - catalogue.keys()


def prepared(op, example, look, place=CPU):
    """Arrays and parameters of a call, as a kernel gets them."""
    random = np.random.default_rng(0)
    args, kwargs = (
        (example[:-1], example[-1]) if example and isinstance(example[-1], dict) else (example, {})
    )
    inputs, params = op.bind(args, kwargs)
    if op.star is not None:
        inputs[op.star :] = inputs[op.star]

    def tensor(x):
        if isinstance(x, tuple):
            x = Sample("normal", x)
        if isinstance(x, Sample):
            array = LOOKS[look](np.asarray(numbers(x, random)))
            if place is not CPU:
                native = place.backend.native[OF[array.dtype]]
                array = place.backend.array(array, native, place.index)
            return wrap(array, place)
        return x

    tensors = promote(op, [tensor(x) for x in inputs], place)
    return [None if x is None else x._array for x in tensors], natives(params, place)


def attempt(call):
    try:
        return call()
    except Exception as error:
        return error


@pytest.mark.parametrize("op, number, look", CASES)
def test_override_equals_common_kernel(op, number, look):
    ours, params = prepared(op, op.examples[number], look)
    theirs, _ = prepared(op, op.examples[number], look)
    with np.errstate(all="ignore"):
        found = attempt(lambda: kernel_for(op, CPU)(*ours, **params))
        wanted = attempt(lambda: op.kernel(space_of(CPU), *theirs, **params))
    if isinstance(wanted, Exception):
        assert type(found) is type(wanted), (found, wanted)
        return
    if isinstance(found, Exception):
        raise found
    if op.outputs is None and not op.writes:
        found, wanted = [found], [wanted]
    assert len(found) == len(wanted)
    for one, two in zip(found, wanted, strict=True):
        if two is None:
            assert one is None
            continue
        assert one.shape == two.shape
        assert one.dtype == two.dtype
        assert op.view is not True or one.size == 0 or np.may_share_memory(one, ours[0])
        exact = two.dtype.kind not in "fc"
        close = 0 if exact else CLOSE[look]
        np.testing.assert_allclose(
            one.astype(np.complex128), two.astype(np.complex128), rtol=close, atol=close
        )
        if not op.view and not op.writes:
            assert not any(x is not None and np.may_share_memory(one, x) for x in ours)


ALL = [
    pytest.param(entry.op, number, id=f"{name}-{number}")
    for name, entry in sorted(catalogue.items())
    if entry.op is not None
    for number in range(len(entry.op.examples))
]


def results(op, found):
    """What a kernel returned, as a list."""
    if op.outputs is None and not op.writes:
        found = [found]
    return [x for x in found if x is not None]


@pytest.mark.parametrize("op, number", ALL)
def test_common_kernel_needs_only_the_standard(op, number):
    ours, params = prepared(op, op.examples[number], "double", STRICT)
    found = results(op, kernel_for(op, STRICT)(*ours, **params))
    theirs, params = prepared(op, op.examples[number], "double")
    with np.errstate(all="ignore"):
        wanted = results(op, op.kernel(space_of(CPU), *theirs, **params))
    assert len(found) == len(wanted)
    for one, two in zip(found, wanted, strict=True):
        assert STRICT.backend.index_of(one) == STRICT.index
        assert OF[one.dtype] is OF[two.dtype]
        assert one.shape == two.shape
        np.testing.assert_allclose(
            one._array.astype(np.complex128), two.astype(np.complex128), rtol=1e-11, atol=1e-11
        )
