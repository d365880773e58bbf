"""Creation against PyTorch: values, inferred dtypes, keywords, errors."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from beside_torch import floats, refused, same

import devtensor as dt
from devtensor.ops import create
from devtensor.space import space_of
from devtensor_numpy.kernels.create import KERNELS

CALLS = {
    "zeros": lambda m: (
        m.zeros(2, 3),
        m.zeros((2, 3)),
        m.zeros([0]),
        m.zeros(()),
        m.zeros(size=(2,)),
    ),
    "zeros_dtype": lambda m: (
        m.zeros(2, dtype=m.bool),
        m.zeros(2, dtype=m.int8),
        m.zeros(2, dtype=m.complex64),
    ),
    "ones": lambda m: (m.ones(2, 3), m.ones(2, dtype=m.float16), m.ones((m.tensor(2), 3))),
    "full": lambda m: (
        m.full((2,), 1),
        m.full((2,), 1.5),
        m.full((2,), True),
        m.full((), 2),
        m.full((2,), m.tensor(3)),
    ),
    "full_dtype": lambda m: (
        m.full((2,), 1.7, dtype=m.int64),
        m.full((2,), 3, dtype=m.bool),
        m.full((1,), 1j).real,
    ),
    "eye": lambda m: (m.eye(3), m.eye(2, 4), m.eye(3, 2, dtype=m.int64), m.eye(0)),
    "arange": lambda m: (
        m.arange(5),
        m.arange(5.0),
        m.arange(1, 9, 3),
        m.arange(5, 1, -2),
        m.arange(0),
        m.arange(end=4),
    ),
    "arange_float": lambda m: (
        m.arange(0, 1, 0.1),
        m.arange(-1, 1, 0.3, dtype=m.float64),
        m.arange(2, 3, 0.25),
    ),
    "arange_dtype": lambda m: (
        m.arange(0, 2.5, 1, dtype=m.int64),
        m.arange(0, 2.5, 1, dtype=m.int32),
        m.arange(0, 3, 0.5, dtype=m.int32),
        m.arange(3, dtype=m.float32),
        m.arange(m.tensor(3)),
        m.arange(True),
    ),
    "linspace": lambda m: (
        m.linspace(0, 1, 5),
        m.linspace(-3, 10, 7),
        m.linspace(0, 1, 1),
        m.linspace(0, 1, 0),
    ),
    "linspace_dtype": lambda m: (
        m.linspace(0, 10, 4, dtype=m.int64),
        m.linspace(0, -10, 4, dtype=m.int64),
        m.linspace(0, 1, steps=3, dtype=m.float64),
    ),
    "logspace": lambda m: (
        m.logspace(0, 2, 3),
        m.logspace(0, 2, 5, 2),
        m.logspace(0, 2, 3, base=2, dtype=m.int64),
    ),
    "tril_indices": lambda m: (
        m.tril_indices(2, 3),
        m.tril_indices(3, 3, -1),
        m.tril_indices(3, 2, 1),
        m.tril_indices(0, 2),
    ),
    "triu_indices": lambda m: (
        m.triu_indices(2, 3),
        m.triu_indices(3, 3, -1),
        m.triu_indices(3, 4, offset=2),
    ),
    "hann_window": lambda m: (
        m.hann_window(5),
        m.hann_window(5, False),
        m.hann_window(1),
        m.hann_window(0),
    ),
    "hamming_window": lambda m: (
        m.hamming_window(6),
        m.hamming_window(5, True, 0.5, 0.4),
        m.hamming_window(4, periodic=False),
    ),
    "blackman_window": lambda m: (
        m.blackman_window(6, dtype=m.float64),
        m.blackman_window(5, False),
    ),
    "bartlett_window": lambda m: (m.bartlett_window(6), m.bartlett_window(5, False)),
    "kaiser_window": lambda m: (m.kaiser_window(6), m.kaiser_window(5, False, beta=3.0)),
    "ignored": lambda m: (
        m.zeros(2, pin_memory=False),
        m.ones(2, device="cpu"),
        m.arange(2, layout=None) if m is dt else m.arange(2),
    ),
}


@pytest.mark.parametrize("case", CALLS)
def test_as_torch(case):
    same(CALLS[case], grad=False, rtol=2e-6)


def test_like_another():
    def call(m, x):
        y = x.int()
        return (
            m.zeros_like(x),
            m.ones_like(y),
            m.full_like(x, 2),
            m.full_like(y, 1.5),
            m.zeros_like(x, dtype=m.int8),
            x.new_zeros(2, 3),
            y.new_ones((2,)),
            x.new_full((2,), 3),
            y.new_full((2,), 3, dtype=m.float32),
            m.empty_like(x) * 0,
            x.new_empty(3, 1).fill_(1),
            x.new_tensor([1, 2]),
            y.new_tensor([[1]], dtype=m.float32),
            y.new_zeros(()),
            m.ones_like(x.mT),
        )

    same(call, floats(2, 3), grad=False)


def test_requires_grad_and_out():
    assert dt.zeros(2, requires_grad=True).requires_grad
    assert dt.arange(2.0, requires_grad=True).requires_grad
    assert dt.ones_like(dt.zeros(2), requires_grad=True).requires_grad
    out = dt.ones(2, 3)
    assert dt.zeros(2, 3, out=out) is out
    assert out.tolist() == [[0.0] * 3] * 2
    assert dt.ones(4, out=out).tolist() == [1.0] * 4  # in silence


def test_default_dtype_is_followed():
    dt.set_default_dtype(dt.float64)
    try:
        made = (
            dt.zeros(1),
            dt.arange(1.0),
            dt.linspace(0, 1, 2),
            dt.full((1,), 1.5),
            dt.eye(1),
            dt.hann_window(3),
        )
        assert all(x.dtype is dt.float64 for x in made)
        assert dt.full((1,), 1j).dtype is dt.complex128
    finally:
        dt.set_default_dtype(dt.float32)


def test_arange_gathers_no_error():
    same(lambda m: m.arange(0, 1000, 0.5, dtype=m.float32), grad=False, rtol=0)
    exact = (np.arange(1000) * 1e-3).astype(np.float32)
    assert dt.arange(0, 1, 0.001).tolist() == exact.tolist()


def test_linspace_rounds_once_from_each_end():
    """So does PyTorch: float32 and float64 by a fused product and sum, half types by both."""
    for start, end, steps in ((-1.0, 1.0, 100), (0.3, -2.9, 77), (1e300, -1.5e308, 5)):
        for dtype, array_type in ((dt.float64, np.float64), (dt.float32, np.float32)):
            with np.errstate(over="ignore", invalid="ignore"):
                first, last = array_type(start), array_type(end)
                distance = (last - first) / array_type(steps - 1)
            if not np.isfinite(distance):
                continue
            first, last, distance = (Fraction(float(x)) for x in (first, last, distance))
            exact = [
                first + distance * i if i < steps // 2 else last - distance * (steps - 1 - i)
                for i in range(steps)
            ]
            expected = [float(array_type(float(x))) for x in exact]
            assert dt.linspace(start, end, steps, dtype=dtype).tolist() == expected
    for dtype in ("float16", "bfloat16", "int64", "uint8"):
        same(
            lambda m, dtype=dtype: (
                m.linspace(3, 101.5, 33, dtype=getattr(m, dtype)),
                m.linspace(7, 0, 300, dtype=getattr(m, dtype)),
                m.linspace(5, 0, 1, dtype=getattr(m, dtype)),
            ),
            grad=False,
            rtol=0,
        )


def test_complex():
    same(
        lambda m, x, y: (
            m.complex(x, y).real,
            m.complex(x, y[:, :1]).imag,
            m.complex(x[0], y).real,
        ),
        floats(2, 3),
        floats(2, 3, seed=1),
    )
    same(
        lambda m, x, y: (m.polar(x, y).real, m.polar(x, y).imag),
        abs(floats(2, 3)),  # PyTorch's gradient has the wrong sign where it is negative
        floats(2, 3, seed=1),
    )


def test_vander():
    for array in (floats(3), np.array([0, 2, 3])):
        same(
            lambda m, x: (m.vander(x), m.vander(x, 2), m.vander(x, N=4, increasing=True)),
            array,
            grad=False,
        )


REFUSED = {
    "negative": (lambda m: m.zeros(-1), "Dimension size must be non-negative"),
    "float_size": (lambda m: m.zeros(2.0), "must be tuple of ints"),
    "no_size": (lambda m: m.zeros(), 'missing 1 required positional arguments: "size"'),
    "full_int": (lambda m: m.full(2, 1), None),
    "full_range": (lambda m: m.full((2,), 300, dtype=m.int8), "without overflow"),
    "full_complex": (lambda m: m.full((2,), 1j, dtype=m.float32), "without overflow"),
    "arange_sign": (
        lambda m: m.arange(1, 0),
        "upper bound and lower bound inconsistent with step sign",
    ),
    "arange_step": (lambda m: m.arange(1, 5, 0), "step must be nonzero"),
    "arange_infinite": (lambda m: m.arange(float("inf")), "unsupported range: 0 -> inf"),
    "linspace": (lambda m: m.linspace(0, 1, -1), "number of steps must be non-negative"),
    "eye": (lambda m: m.eye(-1), None),
    "tril_indices": (lambda m: m.tril_indices(-1, 2), "row must be non-negative, got"),
    "window": (lambda m: m.hann_window(-1), None),
    "window_dtype": (
        lambda m: m.hann_window(3, dtype=m.int64),
        "hann_window expects floating point dtypes, got:",
    ),
    "vander": (lambda m: m.vander(m.ones(2, 2)), "x must be a one-dimensional tensor"),
    "complex_dtype": (lambda m: m.complex(m.ones(2), m.ones(2, dtype=m.float64)), None),
    "complex_int": (lambda m: m.complex(m.arange(2), m.arange(2)), None),
    "like_number": (lambda m: m.zeros_like(3), "must be Tensor, not int"),
    "grad_of_ints": (
        lambda m: m.zeros(3, requires_grad=True, dtype=m.int64),
        "can require gradients",
    ),
    "unknown": (lambda m: m.ones(2, nonsense=1), "unexpected keyword argument 'nonsense'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_as_in_torch(case):
    call, phrase = REFUSED[case]
    refused(call, phrase=phrase)


def test_quick_kernels_make_what_the_common_ones_make():
    space = space_of(dt.device("cpu"))
    types = [np.dtype(t) for t in ("float16", "float32", "float64", "int32", "uint8", "complex64")]
    cases = {
        "filled": [((2, 3), 0), ((), 0), ((3, 0), 2.5), (4, True)],
        "identity": [(0, 0), (3, 3), (2, 5), (5, 2), (4, 0)],
        "counted": [(0, 1, 7), (3, -2, 2), (0.5, 0.25, 9), (2, 1, 0)],
        "spaced": [
            (0, 1, 5, None), (3.5, -7.25, 8, None), (0.1, 0.7, 200_003, None), (1, 1, 1, None),
            (2, 9, 2, None), (0, 1, 0, None), (0, 3, 4, 2.0), (-3e38, 3e38, 7, None),
        ],
    }  # fmt: skip
    for name, listed in cases.items():
        for arguments in listed:
            for native in types:
                if name == "spaced" and native.kind in "iu" and abs(arguments[0]) > 100:
                    continue
                op = getattr(create, name).op
                common = op.kernel(space, *arguments, dtype=native)
                made = KERNELS[name](space, *arguments, dtype=native)
                assert made.dtype == common.dtype == native and made.shape == common.shape
                assert np.array_equal(made, common, equal_nan=native.kind in "fc"), (
                    name,
                    arguments,
                )


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad=True to a scalar")
@pytest.mark.parametrize("m", [dt, torch], ids=["devtensor", "torch"])
def test_new_tensors_of_tracked_numbers_and_of_no_dimension(m):
    x = m.ones(2, dtype=m.float64, requires_grad=True)
    made = m.zeros(1).new_tensor([[x[0]], [x[1]]])
    assert made.tolist() == [[1], [1]] and not made.requires_grad and made.dtype is m.float32
    assert x.new(m.Size([])).shape == () == m.Tensor(m.Size([])).shape and x.new().shape == (0,)
