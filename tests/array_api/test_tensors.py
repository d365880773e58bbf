"""What the standard asks of tensors themselves, and what it says in words."""

import array
import inspect
import math
import operator

import array_api_strict as strict
import numpy as np
import pytest

import devtensor as dt
import devtensor.array_api as xp


def test_namespace():
    x = dt.ones(2)
    assert x.__array_namespace__() is xp
    assert x.__array_namespace__(api_version="2024.12") is xp
    assert xp.__array_api_version__ == "2024.12"
    assert dt.nn.Parameter(x).__array_namespace__() is xp
    with pytest.raises(ValueError, match="2019"):
        x.__array_namespace__(api_version="2019.01")


def test_every_name_is_there():
    flags = {name for name in strict.__all__ if "flags" in name.lower()}
    assert set(strict.__all__) - flags - {"Device", "__version__"} <= set(xp.__all__)
    assert set(strict.linalg.__all__) <= set(xp.linalg.__all__)
    assert set(strict.fft.__all__) <= set(xp.fft.__all__)
    for module in (xp, xp.linalg, xp.fft):
        assert all(hasattr(module, name) for name in module.__all__)
    for name in ("e", "inf", "pi", "newaxis"):
        assert getattr(xp, name) == getattr(strict, name)
    assert math.isnan(xp.nan)


def test_every_function_says_what_it_does():
    for module in (xp, xp.linalg, xp.fft):
        for name in module.__all__:
            thing = getattr(module, name)
            if callable(thing):
                assert thing.__doc__ and thing.__module__.startswith("devtensor.array_api"), name


def test_array_api_compat(device):
    compat = pytest.importorskip("array_api_compat", reason="array-api-compat is not installed")
    x = dt.ones(2, 3, device=device)
    assert compat.is_array_api_obj(x)
    assert compat.array_namespace(x, 1.0, None) is xp
    assert compat.device(x) is x.device
    assert compat.to_device(x, "cpu").device == dt.device("cpu")
    assert compat.size(x) == 6


def test_devices(device):
    info = xp.__array_namespace_info__()
    x = xp.ones(2, device=device)
    assert x.device in info.devices() and dt.device("cpu") in info.devices()
    assert x.to_device("cpu").device == dt.device("cpu")
    assert x.to_device(x.device) is x
    for made in (
        xp.asarray([1.0], device=device), xp.zeros(2, device=device), xp.arange(3, device=device),
        xp.eye(2, device=device), xp.linspace(0, 1, 3, device=device), xp.full(2, 1, device=device),
        xp.empty(2, device=device), xp.ones_like(x), xp.full_like(x, 2), xp.empty_like(x),
        xp.fft.fftfreq(3, device=device), xp.fft.rfftfreq(3, device=device), xp.asarray(x),
    ):  # fmt: skip
        assert made.device is x.device
    assert xp.zeros_like(x, device="cpu").device == dt.device("cpu")
    assert xp.astype(x, xp.int8, device="cpu").device == dt.device("cpu")
    assert info.default_device() == dt.get_default_device()
    with dt.device(device):
        assert info.default_device() is x.device and xp.asarray(1).device is x.device


def test_info(device):
    info = xp.__array_namespace_info__()
    assert info.capabilities() == strict.__array_namespace_info__().capabilities()
    assert info.default_dtypes(device=device) == {
        "real floating": xp.float32, "complex floating": xp.complex64,
        "integral": xp.int64, "indexing": xp.int64,
    }  # fmt: skip
    theirs = strict.__array_namespace_info__()
    for kind in (None, "bool", "integral", ("real floating", "complex floating"), "numeric"):
        assert info.dtypes(kind=kind, device=device).keys() == theirs.dtypes(kind=kind).keys()
    for name, dtype in info.dtypes().items():
        assert getattr(xp, name) is dtype and dtype.name == name


BINARY = "add sub mul truediv floordiv mod pow and_ or_ xor lshift rshift lt le eq ne gt ge".split()  # noqa: SIM905


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32", "complex128"])
def test_operators(name, dtype, device):
    operate = getattr(operator, name)
    one, two = np.asarray([[3], [1], [5]], dtype=dtype), np.asarray([1, 2, 3], dtype=dtype)
    number = {"b": True, "i": 2, "u": 2, "f": 2.5, "c": 2j}[one.dtype.kind]
    for left, right in ((one, two), (one, number), (number, two)):
        ours, theirs = [
            [m.asarray(v) if isinstance(v, np.ndarray) else v for v in (left, right)]
            for m in (xp, strict)
        ]
        try:
            wanted = operate(*theirs)
        except TypeError:
            continue
        found = operate(*[v.to_device(device) if isinstance(v, dt.Tensor) else v for v in ours])
        assert found.dtype.name == str(wanted._array.dtype)
        np.testing.assert_allclose(np.asarray(found.cpu()), wanted._array, rtol=1e-6)


def test_numbers_of_one_element():
    assert (bool(xp.asarray(2)), int(xp.asarray(2)), float(xp.asarray(2))) == (True, 2, 2.0)
    assert complex(xp.asarray(2j)) == 2j and operator.index(xp.asarray(3)) == 3
    assert xp.ones((2, 3)).mT.shape == (3, 2) and xp.ones((2, 3)).T.shape == (3, 2)


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda x: xp.squeeze(x, 0), ValueError),
        (lambda x: xp.squeeze(x, (0, 2)), ValueError),
        (lambda x: xp.squeeze(x, 5), IndexError),
        (lambda x: xp.expand_dims(x, 7), IndexError),
        (lambda x: xp.cumulative_sum(x), ValueError),
        (lambda x: xp.cumulative_prod(x), ValueError),
        (lambda x: xp.take(x, xp.asarray([0])), ValueError),
        (lambda x: xp.nonzero(x[0, 0]), ValueError),
        (lambda x: xp.asarray(x, dtype=xp.int64, copy=False), ValueError),
        (lambda x: xp.asarray([1], copy=False), ValueError),
        (lambda x: xp.asarray(2**64), OverflowError),
        (lambda x: xp.reshape(x.mT, (6,), copy=False), ValueError),
        (lambda x: xp.linspace(0, 1, -1), ValueError),
        (lambda x: xp.isdtype(xp.int8, "whole"), ValueError),
        (lambda x: xp.isdtype(xp.int8, 3), TypeError),
        (lambda x: xp.finfo(xp.int8), TypeError),
        (lambda x: xp.iinfo(xp.float32), TypeError),
        (lambda x: xp.result_type(), ValueError),
        (lambda x: xp.result_type(1.0, 2), ValueError),
        (lambda x: xp.result_type(xp.uint64, xp.int8), TypeError),
        (lambda x: xp.add(1, 2), TypeError),
        (lambda x: xp.add([1], x), TypeError),
        (lambda x: xp.sum(x, 0), TypeError),
        (lambda x: xp.abs(x=x), TypeError),
        (lambda x: xp.vecdot(x, x[:, :2]), ValueError),
        (lambda x: xp.from_dlpack(x, device="strict:1", copy=False), ValueError),
    ],
)
def test_errors(call, error):
    with pytest.raises(error):
        call(xp.ones((2, 3)))


def test_types_of_zero_dimensional_operands():
    # PyTorch's operations let a tensor with dimensions decide; the standard's do not.
    x, y = xp.ones(2, dtype=xp.float32), xp.ones((), dtype=xp.float64)
    assert xp.add(x, y).dtype is xp.float64 and (x + y).dtype is xp.float32
    assert xp.where(x > 0, x, y).dtype is xp.float64
    assert xp.concat([x, xp.ones(1, dtype=xp.float64)]).dtype is xp.float64
    assert xp.multiply(xp.ones(2, dtype=xp.uint32), xp.ones((), dtype=xp.int8)).dtype is xp.int64


def test_asarray(device):
    a = np.arange(6.0).reshape(2, 3)
    over = xp.asarray(a)
    over[0, 0] = 7
    assert a[0, 0] == 7  # NumPy's memory
    assert xp.asarray(a, copy=True).data_ptr() != a.ctypes.data
    assert xp.asarray(a, copy=False).data_ptr() == a.ctypes.data
    matrix = memoryview(np.eye(2, dtype="i2"))
    for buffer in (array.array("d", [1, 2]), matrix, b"ab", bytearray(3)):
        made = xp.asarray(buffer, device=device)
        np.testing.assert_array_equal(made.cpu(), np.asarray(memoryview(buffer)))
        assert made.device == xp.zeros(1, device=device).device
    assert xp.asarray(memoryview(b"")).shape == (0,)
    with pytest.raises(TypeError, match="buffer"):
        xp.asarray(array.array("u", "ab"))
    x = xp.ones(2, device=device, dtype=xp.float64).requires_grad_()
    (xp.asarray([x * 2, [5, 6]]).sum() + xp.asarray(x, copy=True).sum()).backward()
    assert x.grad.tolist() == [3, 3]
    assert xp.asarray([x, 2 * x]).dtype is xp.float64 and xp.asarray(x) is x
    assert xp.asarray(xp.asarray([1], device=device), dtype=xp.float32).dtype is xp.float32
    assert xp.asarray(strict.asarray([1, 2])).tolist() == [1, 2]


def test_from_dlpack():
    a = np.arange(3)
    assert xp.from_dlpack(a).data_ptr() == a.ctypes.data
    assert xp.from_dlpack(a, copy=True).data_ptr() != a.ctypes.data
    x = xp.asarray(a)
    assert np.from_dlpack(x).ctypes.data == a.ctypes.data
    assert x.__dlpack_device__() == a.__dlpack_device__()


def test_reshape_views_where_it_may():
    x = xp.arange(6)
    assert xp.reshape(x, (2, 3)).data_ptr() == x.data_ptr()
    assert xp.reshape(x, (2, 3), copy=False).data_ptr() == x.data_ptr()
    assert xp.reshape(x, (2, 3), copy=True).data_ptr() != x.data_ptr()


def test_names_of_a_later_version(device):
    a, b = np.asarray([1, 2, 3, 2]), np.asarray([2, 9])
    found = xp.isin(xp.asarray(a, device=device), xp.asarray(b, device=device), invert=True)
    np.testing.assert_array_equal(found.cpu(), np.isin(a, b, invert=True))
    assert xp.broadcast_shapes((2, 1), (3,)) == (2, 3)


def test_solve_takes_matrices_even_where_they_look_like_vectors(device):
    a = np.random.default_rng(0).standard_normal((2, 2, 2))
    b = np.random.default_rng(1).standard_normal((2, 2))
    found = xp.linalg.solve(xp.asarray(a, device=device), xp.asarray(b, device=device))
    np.testing.assert_allclose(found.cpu(), np.linalg.solve(a, b))
    assert dt.linalg.solve(dt.tensor(a), dt.tensor(b)).shape != found.shape


def test_results_with_names():
    x = xp.asarray([[2.0, 0.0], [0.0, 3.0]])
    assert xp.linalg.eigh(x)._fields == ("eigenvalues", "eigenvectors")
    assert xp.linalg.qr(x)._fields == ("Q", "R")
    assert xp.linalg.slogdet(x)._fields == ("sign", "logabsdet")
    assert xp.linalg.svd(x)._fields == ("U", "S", "Vh")
    assert xp.unique_all(x)._fields == ("values", "indices", "inverse_indices", "counts")
    assert xp.unique_counts(x)._fields == ("values", "counts")
    assert xp.unique_inverse(x)._fields == ("values", "inverse_indices")


OPERATORS = sorted(
    name
    for name in vars(type(strict.ones(1)))
    if callable(vars(operator).get(name)) and hasattr(dt.Tensor, name)
)  # fmt: skip


@pytest.mark.parametrize("name", [*OPERATORS, "__dlpack__"])
def test_methods_say_what_they_take(name):
    ours, theirs = [
        [
            (p.name, p.kind)
            for p in inspect.signature(getattr(array, name)).parameters.values()
            if p.kind is p.KEYWORD_ONLY or name in OPERATORS
        ]
        for array in (xp.ones(1), strict.ones(1))
    ]
    if name in ("__getitem__", "__setitem__"):
        ours = [(found, inspect.Parameter.POSITIONAL_ONLY) for found, _ in ours]  # by name, too
    assert ours == theirs
