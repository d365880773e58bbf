"""The array API functions that the NumPy backend has in quicker forms."""

import math

import numpy as np
import pytest

from devtensor_numpy import choice, near, quick

X = np.arange(24.0).reshape(2, 3, 4)
M = np.array([[True, False], [False, False]])


@pytest.mark.parametrize(
    "name, args, kwargs",
    [
        ("sum", (X,), {}),
        ("sum", (X,), {"axis": (0, -1), "keepdims": True}),
        ("sum", (M,), {"axis": 0}),
        ("sum", (X.astype(np.int32),), {"axis": ()}),
        ("sum", (X.astype(np.int8),), {"dtype": np.float64}),
        ("mean", (X,), {}),
        ("mean", (X.astype(np.float32),), {"axis": (0, -1), "keepdims": True}),
        ("mean", (X[:0],), {"axis": 1}),
        ("mean", (M,), {"axis": 0}),
        ("mean", (X.astype(np.float16),), {"axis": 2}),
        ("prod", (X,), {"axis": -1}),
        ("max", (X,), {"axis": 1}),
        ("min", (X,), {"axis": (0, 2), "keepdims": True}),
        ("any", (M,), {"axis": 1}),
        ("all", (X,), {"keepdims": True}),
        ("zeros_like", (X,), {}),
        ("ones_like", (X,), {"dtype": np.int64}),
        ("full_like", (X, 0.5), {}),
        ("full_like", (M, True), {}),
        ("reshape", (X, (-1, 2)), {}),
        ("reshape", (X, (6, 4)), {"copy": True}),
        ("permute_dims", (X, (2, 0, 1)), {}),
        ("matrix_transpose", (X,), {}),
        ("expand_dims", (X,), {"axis": -1}),
        ("expand_dims", (X,), {"axis": 0}),
        ("expand_dims", (X,), {"axis": (1, 3)}),
        ("squeeze", (X[:1], 0), {}),
        ("moveaxis", (X, 0, -1), {}),
        ("moveaxis", (X, -1, 0), {}),
        ("moveaxis", (X, (0, 1), (1, 2)), {}),
        ("flip", (X,), {"axis": 1}),
        ("flip", (X,), {"axis": -1}),
        ("flip", (X,), {}),
        ("stack", ([X, X + 1],), {}),
        ("stack", ([X, X + 1],), {"axis": -1}),
        ("take", (X, np.array([2, 0])), {"axis": 1}),
        ("astype", (X, np.int32), {}),
    ],
)
def test_quick_functions_equal_numpys(name, args, kwargs):
    found = getattr(quick, name)(*args, **kwargs)
    wanted = getattr(np, name)(*args, **kwargs)
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == wanted.dtype and found.shape == wanted.shape


@pytest.mark.parametrize(
    "call",
    [
        lambda xp, x: xp.moveaxis(x, 3, 0),
        lambda xp, x: xp.expand_dims(x, axis=5),
        lambda xp, x: xp.flip(x, axis=3),
        lambda xp, x: xp.stack([]),
        lambda xp, x: xp.reshape(x, (5, 5)),
        lambda xp, x: xp.squeeze(x, 0),
        lambda xp, x: xp.matrix_transpose(x[0, 0]),
        lambda xp, x: xp.reshape(xp.permute_dims(x, (1, 0, 2)), (-1,), copy=False),
    ],
)
def test_quick_functions_refuse_what_numpy_refuses(call):
    with pytest.raises(ValueError):  # AxisError is one, too.
        call(np, X)
    with pytest.raises(ValueError):
        call(quick, X)


def test_quick_functions_take_scalars():
    one = np.float32(2.5)
    assert quick.astype(one, np.int64) == 2
    assert quick.sum(one) == 2.5
    assert quick.reshape(one, (1,)).tolist() == [2.5]
    assert quick.expand_dims(one, axis=-1).shape == (1,)
    assert quick.zeros_like(one).shape == ()
    assert quick.permute_dims(one, ()) == 2.5


def test_astype_of_complex_numbers():
    x = np.array([1.5 + 2j, 2j, 0])
    assert quick.astype(x, np.float32).tolist() == [1.5, 0, 0]
    assert quick.astype(x, np.bool_).tolist() == [True, True, False]
    assert quick.astype(x, np.complex64).dtype == np.complex64
    assert quick.astype(x, x.dtype, copy=False) is x


@pytest.mark.parametrize("kind", ["f4", "f2", "i8", "?", "c8"])
def test_one_side_of_a_diagonal(kind):
    random = np.random.default_rng(0)
    for shape in ((3, 4), (2, 5, 3), (0, 3), (1, 1), (1100, 1000)):
        x = (random.standard_normal(shape) * 9).astype(kind)
        for k in (-7, -1, 0, 2, 7):
            for name in ("tril", "triu"):
                found, wanted = getattr(choice, name)(x, k=k), getattr(np, name)(x, k=k)
                assert found.dtype == wanted.dtype
                np.testing.assert_array_equal(found, wanted)


LOOSE = np.random.default_rng(0).random((150, 200)) > 0.5


@pytest.mark.parametrize("kind", ["f4", "f8", "f2", "i4", "i8", "u1", "?", "c8", "c16"])
def test_where_of_much(kind):
    random = np.random.default_rng(1)
    one, two = ((random.standard_normal(LOOSE.shape) * 50).real.astype(kind) for _ in range(2))
    spot = one[3, 5].reshape(())
    for x, y in [
        (one, two), (one, spot), (spot, two), (spot, spot), (one, 0.0), (1, two), (one, 2.5),
        (one, two[:, :1]), (one.T.copy().T, two), (one[:, ::-1], two), (True, two),
        (one, two.astype("c16")), (one, spot[()]), (one, np.float32(2)), (1, 0.5),
    ]:  # fmt: skip
        for condition in (LOOSE, LOOSE[:, ::-1], LOOSE[0], LOOSE & False):
            found, wanted = choice.where(condition, x, y), np.where(condition, x, y)
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)


def test_where_keeps_every_bit():
    one = np.full(LOOSE.shape, np.nan, np.float32)
    one.view(np.int32)[...] |= np.arange(LOOSE.size, dtype=np.int32).reshape(LOOSE.shape)
    found = choice.where(LOOSE, one, np.float32(-0.0).reshape(()))
    wanted = np.where(LOOSE, one.view(np.int32), np.int32(-(2**31)))
    np.testing.assert_array_equal(found.view(np.int32), wanted)


@pytest.mark.parametrize("kind, wide, close", [("f4", "f8", 4e-7), ("f8", "longdouble", 4e-16)])
@pytest.mark.parametrize("name, least", [("log1p", -1), ("expm1", -math.inf)])
@pytest.mark.parametrize("own", [False, True])
def test_digits_near_zero(name, least, kind, wide, close, own, monkeypatch):
    if own:  # those for processors on which NumPy's take long
        monkeypatch.setattr(near, "WIDE", False)
    function = getattr(near, f"{name}_by_parts" if own else name)
    random = np.random.default_rng(0)
    x = np.concatenate(
        [
            random.standard_normal(50_000) * 3,
            random.standard_normal(50_000) * 1e-3,
            10.0 ** random.uniform(-30, 1.8, 50_000),
            -(10.0 ** random.uniform(-30, 1.8, 50_000)),
        ]
    ).astype(kind)
    x = x[x > least]
    found, wanted = function(x), getattr(np, name)(x.astype(wide))
    assert found.dtype == x.dtype
    np.testing.assert_allclose(found, wanted.astype(kind), rtol=close, atol=0)
    ends = np.array([-1, math.inf, -math.inf, math.nan, -2, 0] * 60, kind)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(function(ends), getattr(np, name)(ends), rtol=close)


@pytest.mark.parametrize("kind", ["f4", "f8", "i4"])
@pytest.mark.parametrize("length", [2, 3, 64, 5000])
def test_sums_of_rows(kind, length):
    x = np.random.default_rng(0).integers(-9, 9, (3, 700, length)).astype(kind)
    for axis in (2, -1, (2,), (1, 2), 1, 0, (1, 0), (0, -1), (2, 0, 1), None):
        for keep in (True, False):
            found = quick.sum(x, axis=axis, keepdims=keep)
            wanted = x.sum(axis=axis, keepdims=keep, dtype=found.dtype)
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
@pytest.mark.parametrize("shape", [(40, 700), (700, 40), (3, 9, 200), (0, 700), (1, 700), (9, 9)])
@pytest.mark.parametrize("kind", ["f4", "f8", "c8", "i4", "?"])
def test_what_there_is_so_far(name, shape, kind):
    x = np.random.default_rng(0).integers(-1, 2, shape).astype(kind)
    for axis in range(-1, len(shape)):
        for more in ({}, {"dtype": np.float64 if kind != "c8" else np.complex128}):
            found = getattr(quick, name)(x, axis=axis, **more)
            wanted = getattr(np, name)(x, axis=axis, **more)
            assert found.dtype == wanted.dtype
            np.testing.assert_array_equal(found, wanted)
