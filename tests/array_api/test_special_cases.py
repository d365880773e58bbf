"""The special cases of the standard: zeros with a sign, infinite numbers, NaN, limits of integers.

All pairs of such numbers go through every function of numbers. What comes out must be what NumPy's
own implementation of the standard gives, to the sign of a zero.
"""

import itertools
import warnings

import numpy as np
import pytest

import devtensor.array_api as xp

REAL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1.5, -2.5, 4.7, -4.7,
        np.inf, -np.inf, np.nan, 1e30, -1e30, 1e-40]  # fmt: skip
PARTS = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.5, np.inf, -np.inf, np.nan]
COMPLEX = [complex(a, b) for a, b in itertools.product(PARTS, PARTS)]

ONE = {
    "float": "abs acos acosh asin asinh atan atanh ceil conj cos cosh exp expm1 floor isfinite "
    "isinf isnan log log10 log1p log2 negative positive real reciprocal round sign signbit sin "
    "sinh sqrt square tan tanh trunc",
    "complex": "abs acos acosh asin asinh atan atanh conj cos cosh exp expm1 imag isfinite isinf "
    "isnan log log10 log1p log2 negative positive real reciprocal sign sin sinh sqrt square tan "
    "tanh",
    "int": "abs bitwise_invert ceil floor isfinite isinf isnan negative positive sign square "
    "trunc round",
    "bool": "bitwise_invert logical_not isfinite",
}
TWO = {
    "float": "add atan2 copysign divide equal floor_divide greater greater_equal hypot less "
    "less_equal logaddexp maximum minimum multiply nextafter not_equal pow remainder subtract",
    "int": "add subtract multiply floor_divide remainder pow equal less maximum minimum "
    "bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift",
    "bool": "bitwise_and bitwise_or bitwise_xor logical_and logical_or logical_xor equal",
}
TYPES = {
    "float": ["float32", "float64"],
    "complex": ["complex64", "complex128"],
    "int": ["int8", "uint8", "int64", "uint64"],
    "bool": ["bool"],
}


def numbers(dtype):
    """The peculiar numbers of a type."""
    kind = np.dtype(dtype).kind
    if kind in "iu":
        limits = np.iinfo(dtype)
        small = [0, 1, 2, 3, 5, 7] + ([-1, -2, -3, -7] if kind == "i" else [])
        return np.array(sorted({*small, limits.min, limits.max}), dtype)
    with np.errstate(all="ignore"):
        return np.array({"b": [False, True], "c": COMPLEX}.get(kind, REAL)).astype(dtype)


def same(found, expected, told):
    """Hold a result against NumPy's, with the signs of zeros."""
    found, expected = found.cpu().numpy(), np.asarray(expected)
    assert found.dtype == expected.dtype, told
    assert found.shape == expected.shape, told
    parts = ("real", "imag") if expected.dtype.kind == "c" else ("real",)
    for part in parts:
        one, two = getattr(found, part), getattr(expected, part)
        if two.dtype.kind != "f":
            np.testing.assert_array_equal(one, two, told)
            continue
        np.testing.assert_allclose(one, two, rtol=4 * np.finfo(two.dtype).eps, err_msg=told)
        zero = two == 0
        np.testing.assert_array_equal(np.signbit(one[zero]), np.signbit(two[zero]), told)


def check(name, arrays, device, options=None, given=None):
    """Hold a function of ours against NumPy's, which may have other options."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        expected = getattr(np, name)(*arrays, **(given or options or {}))
        found = getattr(xp, name)(*[xp.asarray(a, device=device) for a in arrays], **options or {})
    same(found, expected, f"{name} of {arrays[0].dtype} with {options}")


UNARY = [(n, t) for kind, listed in ONE.items() for n in listed.split() for t in TYPES[kind]]
BINARY = [(n, t) for kind, listed in TWO.items() for n in listed.split() for t in TYPES[kind]]


@pytest.mark.parametrize("name", sorted({name for name, _ in UNARY}))
def test_functions_of_one_number(name, device):
    for dtype in [t for n, t in UNARY if n == name]:
        if np.dtype(dtype).kind == "c" and device != "cpu":
            continue  # the standard leaves these to libraries, which differ in signs of zeros
        check(name, [numbers(dtype)], device)


@pytest.mark.parametrize("name", sorted({name for name, _ in BINARY}))
def test_functions_of_two_numbers(name, device):
    for dtype in [t for n, t in BINARY if n == name]:
        one, two = numbers(dtype)[:, None], numbers(dtype)[None]
        if np.dtype(dtype).kind in "iu":
            if name in ("floor_divide", "remainder"):  # division by zero is left open
                two = two[two != 0][None]
            elif name == "pow":
                two = np.array([[0, 1, 2, 7]], dtype)
            elif "shift" in name:
                two = np.array([[0, 1, 3, 7]], dtype)
        elif name == "floor_divide" and device != "cpu":
            # Of infinite and tiny quotients the standard says something else than NumPy.
            plain = (abs(one) >= 0.5) & (abs(one) < 5)
            one, two = one[plain | (one == 0)][:, None], one[plain][None]
        check(name, [one, two], device)


PAIRS = np.array(list(itertools.product(REAL, REAL)))
REDUCTIONS = "all any sum prod max min mean std var argmax argmin count_nonzero cumulative_prod"


@pytest.mark.parametrize("name", [*REDUCTIONS.split(), "cumulative_sum"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_reductions(name, dtype, device):
    with np.errstate(all="ignore"):
        array = PAIRS.astype(dtype)
    if name == "cumulative_sum" and device != "cpu":
        array = abs(array)  # libraries may begin with a zero, which hides a negative one
    check(name, [array], device, {"axis": 1})
    if name.startswith("cumulative"):
        check(name, [array], device, {"axis": 1, "include_initial": True})
    else:
        check(name, [array[:, :0]], device, {"axis": 0})
        check(name, [array], device, {"axis": 1, "keepdims": True})
        if name not in ("argmax", "argmin"):
            check(name, [array.reshape(4, -1, 2)], device, {"axis": (0, 2)})


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
@pytest.mark.parametrize("name", ["all", "any", "sum", "prod", "count_nonzero"])
def test_reductions_of_nothing(name, shape, device):
    check(name, [np.ones(shape)], device)
    check(name, [np.ones(shape, "int8")], device, {"axis": 0})


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_nothing_has_no_greatest(name, device):
    with pytest.raises((ValueError, IndexError, RuntimeError)):
        getattr(xp, name)(xp.ones((0, 3), device=device), axis=0)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "int8", "bool"])
def test_sorts_are_stable(dtype, descending, device):
    choice = np.random.default_rng(0).integers(0, 3, (5, 40))
    array = np.array([0.0, 1.0, np.nan] if dtype == "float64" else [0, 1, 1])[choice].astype(dtype)
    # Negated ranks keep the order of equals, as the standard's sorts do.
    _, ranks = np.unique(array, return_inverse=True, equal_nan=True)
    ranks = -ranks.reshape(array.shape) if descending else ranks.reshape(array.shape)
    order = np.argsort(ranks, axis=1, kind="stable")
    ours = xp.asarray(array, device=device)
    found = xp.argsort(ours, axis=1, descending=descending)
    np.testing.assert_array_equal(found.cpu().numpy(), order)
    found = xp.sort(ours, axis=1, descending=descending)
    np.testing.assert_array_equal(found.cpu().numpy(), np.take_along_axis(array, order, 1))


BOUNDS = [-1.0, 2.0, np.nan, np.inf, -np.inf, None]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_clip(dtype, device):
    array = numbers(dtype)
    ours = xp.asarray(array, device=device)
    for low, high in itertools.product(BOUNDS, BOUNDS):
        expected = array
        if low is not None:
            expected = np.maximum(expected, np.asarray(low, dtype))
        if high is not None:
            expected = np.minimum(expected, np.asarray(high, dtype))
        same(xp.clip(ours, low, high), expected, f"clip to {low}, {high}")
    low = np.array([[-1.0], [0.5]], dtype)
    found = xp.clip(ours, xp.asarray(low, device=device), 2)
    same(found, np.minimum(np.maximum(array, low), np.asarray(2, dtype)), "clip to a matrix")


NAMES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
         "float32", "float64", "complex64", "complex128"]  # fmt: skip


def promoted(one, two):
    """What the standard's tables say of two types; None where they say nothing."""
    if one == two:
        return one
    kinds = {np.dtype(one).kind, np.dtype(two).kind}
    if "b" in kinds or (kinds & {"i", "u"} and kinds & {"f", "c"}):
        return None
    found = str(np.result_type(one, two))
    return None if kinds == {"i", "u"} and found == "float64" else found


@pytest.mark.parametrize("one", NAMES)
def test_promotion(one):
    for two in NAMES:
        expected = promoted(one, two)
        if expected is None:
            continue
        a, b = xp.ones(2, dtype=getattr(xp, one)), xp.ones(2, dtype=getattr(xp, two))
        assert xp.result_type(a, b) is getattr(xp, expected)
        names = ["equal", "where"]
        names += ["logical_and"] if expected == "bool" else ["add", "multiply", "subtract", "pow"]
        for name in names:
            arrays = [xp.ones(2, dtype=xp.bool), a, b] if name == "where" else [a, b]
            logical = name in ("equal", "logical_and")
            found = getattr(xp, name)(*arrays)
            assert found.dtype is getattr(xp, "bool" if logical else expected), (name, two)
        assert xp.concat([a, b]).dtype is getattr(xp, expected)
        assert xp.stack([a, b]).dtype is getattr(xp, expected)


KEYS = [
    0, -1, slice(None), slice(1, None), slice(-2, None), slice(None, None, 2), ..., None,
    (0, 1), (slice(None), 0), (..., 0), (..., None), (None, 0, ..., slice(1, 3)), (0, ..., 1),
    slice(2, 1), (slice(1, 2), slice(2, 3), 0), (0, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS, ids=repr)
def test_keys(key, device):
    array = np.arange(24.0).reshape(2, 3, 4)
    ours = xp.asarray(array, device=device, copy=True)
    same(ours[key], array[key], f"[{key}]")
    changed = array.copy()
    changed[key] = -1
    ours[key] = -1
    same(ours, changed, f"[{key}] = -1")
    changed[key] = array[key] * 2
    ours[key] = xp.asarray(array[key] * 2, device=device)
    same(ours, changed, f"[{key}] = array")


def test_keys_of_arrays(device):
    array = np.arange(12.0).reshape(3, 4)
    mask, places = array > 5, np.array([2, 0, 2])
    ours = xp.asarray(array, device=device, copy=True)
    same(ours[xp.asarray(mask, device=device)], array[mask], "mask")
    same(ours[xp.asarray(places, device=device), xp.asarray(places, device=device)],
         array[places, places], "places")  # fmt: skip
    same(xp.take(ours, xp.asarray(places, device=device), axis=0), array[places], "take")
    changed = array.copy()
    changed[mask] = 0
    ours[xp.asarray(mask, device=device)] = 0
    same(ours, changed, "mask = 0")


@pytest.mark.parametrize("key", [3, -4, (0, 4), (0, 0, 0), (0, -5), (..., 9)], ids=repr)
def test_keys_out_of_range(key, device):
    ours = xp.ones((3, 4), device=device)
    with pytest.raises(IndexError):
        ours[key]
    with pytest.raises(IndexError):
        ours[key] = 1
    assert bool(xp.all(ours == 1))


@pytest.mark.parametrize(
    "call",
    [
        lambda x: xp.sum(x, axis=2),
        lambda x: xp.expand_dims(x, axis=4),
        lambda x: xp.squeeze(x, axis=0),
        lambda x: xp.flip(x, axis=-3),
        lambda x: xp.permute_dims(x, (0, 0)),
        lambda x: xp.concat([x, x], axis=2),
        lambda x: xp.reshape(x, (5, 5)),
        lambda x: xp.broadcast_to(x, (3, 5)),
        lambda x: xp.moveaxis(x, 0, 2),
        lambda x: xp.sort(x, axis=2),
        lambda x: xp.cumulative_sum(x),
        lambda x: xp.argmax(x, axis=5),
        lambda x: xp.unstack(x, axis=2),
        lambda x: xp.repeat(x, -1),
        lambda x: xp.tile(x, (-1,)),
        lambda x: xp.matmul(x, x),
        lambda x: xp.linalg.cholesky(x),
        lambda x: xp.add(x, xp.ones((2, 5), device=x.device)),
    ],
)
def test_arguments_out_of_range(call, device):
    with pytest.raises((ValueError, IndexError, RuntimeError, TypeError)):
        call(xp.ones((3, 4), device=device))
