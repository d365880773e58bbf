"""The array API functions that the NumPy backend has in quicker forms."""

import numpy as np
import pytest

from devtensor_numpy import quick

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
