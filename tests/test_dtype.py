"""Types, what becomes of them together, and their conversions, beside PyTorch."""

import copy
import pickle
from itertools import product

import numpy as np
import pytest
import torch

import devtensor as dt
import samples
from devtensor import dtype as dtype_class
from devtensor.dtype import ALL, common, of, of_number

NAMES = [t.name for t in ALL]
PAIRS = list(product(NAMES, NAMES))
WIDE = ("uint16", "uint32", "uint64")  # PyTorch has but part of what they would do


def both(name):
    return getattr(dt, name), getattr(torch, name)


def outcome(function, *args, **kwargs):
    try:
        return function(*args, **kwargs)
    except (RuntimeError, TypeError) as error:
        return error


@pytest.fixture
def default():
    """Puts the default types back."""
    yield
    dt.set_default_dtype(dt.float32)
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_type_says(name):
    ours, theirs = both(name)
    assert isinstance(ours, dtype_class)
    assert repr(ours) == str(ours) == repr(theirs)
    assert ours.itemsize == theirs.itemsize
    assert ours.is_floating_point == theirs.is_floating_point
    assert ours.is_complex == theirs.is_complex
    assert ours.is_signed == theirs.is_signed
    assert repr(ours.to_real()) == repr(theirs.to_real())
    if ours.kind in ("float", "complex") and name != "float16":  # complex32 is PyTorch's alone
        assert repr(ours.to_complex()) == repr(theirs.to_complex())


@pytest.mark.parametrize("name", NAMES)
def test_a_type_is_one_object(name):
    ours = getattr(dt, name)
    assert pickle.loads(pickle.dumps(ours)) is ours
    assert copy.deepcopy(ours) is ours
    assert dt.zeros(1, dtype=ours).dtype is ours


@pytest.mark.parametrize(
    "alias", ["half", "float", "double", "short", "int", "long", "cfloat", "cdouble"]
)
def test_other_names(alias):
    assert repr(getattr(dt, alias)) == repr(getattr(torch, alias))


@pytest.mark.parametrize("name", [n for n in NAMES if n[0] in "bf" and n != "bool"])
def test_limits_of_floats(name):
    ours, theirs = dt.finfo(getattr(dt, name)), torch.finfo(getattr(torch, name))
    for part in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
        assert getattr(ours, part) == getattr(theirs, part), part


@pytest.mark.parametrize("name", [n for n in NAMES if "int" in n])
def test_limits_of_integers(name):
    ours, theirs = dt.iinfo(getattr(dt, name)), torch.iinfo(getattr(torch, name))
    for part in ("bits", "max", "min", "dtype"):
        assert getattr(ours, part) == getattr(theirs, part), part


def test_limits_are_refused():
    for module in (dt, torch):
        with pytest.raises(TypeError):
            module.finfo(module.int32)
        with pytest.raises(TypeError):
            module.iinfo(module.float32)


@pytest.mark.parametrize("one", NAMES)
def test_promotion(one):
    for two in NAMES:
        theirs = outcome(torch.promote_types, getattr(torch, one), getattr(torch, two))
        ours = outcome(dt.promote_types, getattr(dt, one), getattr(dt, two))
        if isinstance(theirs, Exception):
            pair = [getattr(dt, one), getattr(dt, two)]
            if all(t.kind == "int" for t in pair) and any(t.is_signed for t in pair):
                assert type(ours) is type(theirs), (one, two)
                assert "Promotion for uint16, uint32, uint64 types is not supported" in str(ours)
            else:  # here that makes no difficulty
                assert repr(ours) in (f"torch.{one}", f"torch.{two}")
        elif theirs is not torch.complex32:
            assert repr(ours) == repr(theirs), (one, two)


@pytest.mark.parametrize("one", NAMES)
def test_casts_that_may_be_written(one):
    for two in NAMES:
        theirs = torch.can_cast(getattr(torch, one), getattr(torch, two))
        assert dt.can_cast(getattr(dt, one), getattr(dt, two)) == theirs, (one, two)


NO_OPERANDS = [
    lambda m, x: m.result_type(x, scalar1=1.0),
    lambda m, x: m.result_type(scalar1=1, other=1.0),
    lambda m, x: m.result_type(scalar=1, other=x),
    lambda m, x: m.result_type(1, other=x),
    lambda m, x: m.result_type(x, tensor=x),
    lambda m, x: m.result_type(tensor=1, other=x),
    lambda m, x: m.result_type(scalar=x, tensor=x),
    lambda m, x: m.result_type(x, "a"),
    lambda m, x: m.result_type(x, None),
    lambda m, x: m.result_type([1], x),
    lambda m, x: m.result_type(x, object()),
    lambda m, x: m.result_type(m.float32, x),
    lambda m, x: m.result_type(x),
]


@pytest.mark.parametrize("call", NO_OPERANDS)
def test_results_of_what_has_no_type(call):
    for m in (dt, torch):
        with pytest.raises(TypeError, match="received an invalid combination of arguments"):
            call(m, m.ones(2))


def test_results_of_numbers_of_numpy():
    for number in (np.int64(2), np.float64(2)):
        ours, theirs = (m.result_type(m.ones(2, dtype=m.int32), number) for m in (dt, torch))
        assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("one", [n for n in NAMES if n not in WIDE])
def test_result_types(one):
    numbers = [True, 3, 2.5, 1j]
    for form in ((2,), ()):
        ours, theirs = (m.zeros(form, dtype=getattr(m, one)) for m in (dt, torch))
        for number in numbers:
            expected = torch.result_type(theirs, number)
            if expected is not torch.complex32:
                assert repr(dt.result_type(ours, number)) == repr(expected)
                assert repr(dt.result_type(number, ours)) == repr(expected)
        for two, other in product([n for n in NAMES if n not in WIDE], ((2,), ())):
            a, b = (m.zeros(other, dtype=getattr(m, two)) for m in (dt, torch))
            expected = torch.result_type(theirs, b)
            if expected is not torch.complex32:
                assert repr(dt.result_type(ours, a)) == repr(expected), (one, form, two, other)


def test_categories_decide():
    f32, f64, i64 = dt.float32, dt.float64, dt.int64
    assert common([f32], [f64], [1.0]) is f32  # a number of the same category changes nothing
    assert common([i64], [f64], []) is f64
    assert common([i64], [], [1.0]) is f32
    assert common([], [dt.int8], [1]) is dt.int8
    assert common([dt.bool], [], [True]) is dt.bool
    assert common([f64], [], [1j]) is dt.complex128
    assert common([], [], []) is None


def test_types_of_numbers(default):
    assert of_number(True) is dt.bool
    assert of_number(1) is dt.int64
    assert of_number(1.0) is dt.float32
    assert of_number(1j) is dt.complex64
    dt.set_default_dtype(dt.float64)
    assert of_number(1.0) is dt.float64
    assert of_number(1j) is dt.complex128


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_default_type(default, name):
    for module in (dt, torch):
        module.set_default_dtype(getattr(module, name))
    assert repr(dt.get_default_dtype()) == repr(torch.get_default_dtype())
    calls = [
        lambda m: m.tensor(1.5),
        lambda m: m.tensor([1, 2.5]),
        lambda m: m.zeros(2),
        lambda m: m.ones(2, dtype=m.int64).sin(),
        lambda m: m.tensor([1, 2]) / m.tensor([2, 2]),
        lambda m: m.arange(0, 1, 0.25),
        lambda m: m.tensor([True]) * 2.5,
        lambda m: m.tensor([1, 2]).to(m.float32) * 2.5,
        lambda m: m.tensor([3]),
    ]
    for call in calls:
        assert repr(call(dt).dtype) == repr(call(torch).dtype)


def test_default_type_is_refused(default):
    for module in (dt, torch):
        for name in ("int64", "bool", "complex64"):
            with pytest.raises(TypeError, match="only floating-point types are supported"):
                module.set_default_dtype(getattr(module, name))
        with pytest.raises(TypeError):
            module.set_default_dtype("float64x")
    assert dt.get_default_dtype() is dt.float32


VALUES = {
    "bool": [True, False, True],
    "int": [0, 1, 100],
    "float": [0.0, 1.75, 100.5],
    "complex": [0j, 1.75 + 2j, 3.5 - 1j],
}


@pytest.mark.filterwarnings("ignore:Casting complex values to real:UserWarning")
@pytest.mark.parametrize("one", NAMES)
def test_conversions(one):
    ours_of, theirs_of = both(one)
    data = VALUES[ours_of.kind]
    ours, theirs = dt.tensor(data, dtype=ours_of), torch.tensor(data, dtype=theirs_of)
    for two in NAMES:
        to, torch_to = both(two)
        expected = theirs.to(torch_to)
        for made in (
            ours.to(to),
            ours.to(dtype=to),
            ours.type(to),
            dt.zeros(3, dtype=to).copy_(ours),
        ):
            assert made.dtype is to
            np.testing.assert_array_equal(samples.numpy(made), samples.numpy(expected), err_msg=two)
        assert (ours.to(to) is ours) == (one == two)


METHODS = {
    "bool": "bool", "byte": "uint8", "char": "int8", "short": "int16", "int": "int32",
    "long": "int64", "half": "float16", "bfloat16": "bfloat16", "float": "float32",
    "double": "float64", "cfloat": "complex64", "cdouble": "complex128",
}  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_methods_that_convert(method):
    x = dt.tensor([0.0, 2.0])
    made = getattr(x, method)()
    assert made.dtype.name == METHODS[method]
    assert getattr(made, method)() is made


@pytest.mark.parametrize("kind", VALUES)
def test_types_of_data(kind):
    data = VALUES[kind]
    assert repr(dt.tensor(data).dtype) == repr(torch.tensor(data).dtype)
    assert repr(dt.tensor(data[1]).dtype) == repr(torch.tensor(data[1]).dtype)


def test_types_of_mixed_data():
    for data in ([True, 2], [1, 2.5], [2.5, 1j], [True, 1.5], [], [[]], [[1], [2.5]]):
        assert repr(dt.tensor(data).dtype) == repr(torch.tensor(data).dtype), data


@pytest.mark.parametrize(
    "dtype", ["bool", "uint8", "int16", "int64", "float16", "float32", "float64", "complex64"]
)
def test_types_of_arrays(dtype):
    array = np.zeros(2, dtype)
    assert dt.tensor(array).dtype.name == dtype
    assert dt.from_numpy(array).dtype.name == dtype
    assert of(array.dtype).name == dtype
    assert of(of(array.dtype)) is of(array.dtype)


def test_unknown_types_are_refused():
    with pytest.raises(TypeError, match="can't convert"):
        of(np.dtype("datetime64[s]"))
    with pytest.raises(TypeError, match="can't convert an array of type"):
        dt.from_numpy(np.zeros(2, "U3"))


@pytest.mark.parametrize(("one", "two"), [p for p in PAIRS if not set(p) & set(WIDE)])
def test_writing_converts_or_refuses(one, two):
    results = []
    for module in (dt, torch):
        x = module.ones(2, dtype=getattr(module, one))
        y = module.ones(2, dtype=getattr(module, two))
        results.append(outcome(x.mul_, y))
    ours, theirs = results
    if isinstance(theirs, Exception):
        assert type(ours) is type(theirs)
        assert "can't be cast to the desired output type" in str(ours)
        assert str(theirs) in str(ours)
    else:
        assert repr(ours.dtype) == repr(theirs.dtype)
        assert samples.numpy(ours).tolist() == samples.numpy(theirs).tolist()
