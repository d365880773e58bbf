"""The common kernels against NumPy's own, and on a library with the standard alone.

The examples of the catalogue are the calls.
"""

import math

import numpy as np
import pytest

import devtensor  # noqa: F401  (fills the catalogue)
import devtensor_strict  # noqa: F401  (registers the device)
from devtensor.backend import load
from devtensor.device import device
from devtensor.dtype import OF
from devtensor.example import Sample, bools, distinct, fixed, ints, positive, unit
from devtensor.launch import launch, promote
from devtensor.op import catalogue
from devtensor.space import kernel_for, natives, space_of
from devtensor.tensor import Tensor, wrap
from samples import data

CPU, STRICT = device("cpu"), device("strict:1")
KERNELS = load("cpu").kernels


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
CLOSE = {"double": 1e-12, "single": 1e-4, "half": 0.1, "fortran": 1e-12, "strided": 1e-12}
"""Sums in another order; the half ones of hundreds of numbers."""

MANY = (300, 250)
DEEP = (3, 5, 700)
TALL = (40000, 3)
LARGE = {
    "relu": [(MANY,), ((70,),)],
    "gate": [(MANY, MANY)],
    "sigmoid": [(MANY,)],
    "silu": [(MANY,)],
    "silu_slope": [(MANY, MANY), (MANY, (250,))],
    "gelu": [(MANY,), (MANY, {"approximate": "tanh"})],
    "gelu_slope": [(MANY, MANY, "none"), (MANY, MANY, "tanh")],
    "softplus": [(MANY,), (MANY, 2.0, 1.5)],
    "logsigmoid": [(MANY,)],
    "mish": [(MANY,)],
    "elu": [(MANY,), (MANY, 0.5)],
    "celu": [(MANY,), (MANY, 0.5), (MANY, -0.5)],
    "selu": [(MANY,)],
    "hardsigmoid": [(MANY,)],
    "hardswish": [(MANY,)],
    "hardswish_slope": [
        (MANY, (300, 250)),
        (MANY, Sample("normal", MANY)),
        ((6,), fixed([-3.0, 3.0, -math.inf, math.inf, math.nan, -2.9])),
    ],
    "huber": [(MANY, MANY, {"delta": 0.7})],
    "sign": [(MANY,), (ints(50, low=-3, high=3),), (fixed([math.nan, -math.inf, -0.0, 2.0]),)],
    "nonzero_at": [(ints(30, 4, 50, high=2),), (MANY,), (bools(*MANY),), ((0, 3),), (ints(50),)],
    "median_dim": [
        ((30, 41), 1, False),
        ((30, 40), 0, True),
        (ints(30, 40, high=9), 1, True),
        (fixed([[1.0, math.nan, 0.0], [2.0, 1.0, 0.0]]), 1, False),
    ],
    "median_all": [(MANY,), (ints(30, 40, high=9),), (fixed([1.0, math.nan, 0.0]),)],
    "leaky_relu": [(MANY, 0.1), (MANY, 1.5), (MANY, -0.5)],
    "softmax": [(MANY, 1), (DEEP, -1), (DEEP, 1), (TALL, 1)],
    "log_softmax": [(MANY, 1), (DEEP, -1), (DEEP, 1), (TALL, 1)],
    "softmax_slope": [(MANY, MANY, 1), (TALL, TALL, -1)],
    "log_softmax_slope": [(MANY, MANY, 1), (TALL, TALL, -1)],
    "attention": [
        ((2, 3, 90, 8), (2, 3, 90, 8), (2, 3, 90, 5), None, {"scale": 0.3, "is_causal": True}),
        ((1, 700, 8), (2, 400, 8), (2, 400, 5), (700, 400), {"scale": 0.3}),
        ((40, 8), (50, 8), (50, 5), bools(40, 50), {"scale": 0.3}),
        ((0, 8), (50, 8), (50, 5), None, {"scale": 0.3}),
        ((2, 8), (0, 8), (0, 5), None, {"scale": 0.3}),
    ],
    "squared_error": [(MANY, MANY, {"reduction": r}) for r in ("mean", "sum", "none")],
    "logit_entropy": [(MANY, unit(*MANY), {"reduction": r}) for r in ("mean", "sum", "none")],
    "class_entropy": [
        ((30000, 5), ints(30000, high=5), {"dim": 1, "reduction": r})
        for r in ("mean", "sum", "none")
    ]
    + [
        ((300, 250), ints(300, high=250), positive(250), {"dim": 1, "ignore_index": 3}),
        ((0, 5), ints(0, high=5), {"dim": 1, "reduction": "none"}),
    ],
    "class_slope": [
        ((), positive(30000, 5), ints(30000, high=5), {"dim": 1}),
        ((3000,), positive(3000, 5), ints(3000, high=5), {"dim": 1, "reduction": "none"}),
        ((), positive(300, 5), ints(300, high=5), positive(5), {"dim": 1, "ignore_index": 3}),
    ],
    "linear": [((33, 40), (20, 40), (20,)), ((3, 7, 40), (20, 40)), ((5, 1), (3, 1), (3,))],
    "matmul": [((70, 1), (1, 90)), ((3, 70, 40), (40, 9)), ((5, 3, 4), (5, 4, 2)), ((4,), (4,))],
    "outer_sum": [((90, 4), (90, 3)), ((2, 90, 4), (2, 90, 3)), ((1, 4), (1, 3))],
    "row_sum": [((90, 40),), ((2, 90, 40),), ((0, 4),)],
    "sum": [(x, d, k) for x in (MANY, DEEP) for d in (0, -1, (0, 1), None) for k in (True, False)]
    + [((5000,), 0), ((4097,), None), ((2, 0, 600), 1), ((3, 4, 50, 2), (0, 3))],
    "mean": [(MANY, 1), (DEEP, (0, 1)), ((5000,), None), ((2, 600), 1, True)],
    "variance": [(MANY, 1, 1, False), (DEEP, (0, 1), 0, True), ((5000,), None, 1, False)],
    "deviation": [(MANY, 1, 1, False), (DEEP, (0, 1), 0, True)],
    "cummax": [(MANY, 1), (DEEP, 1), (ints(50, 60), 0)],
    "cummin": [(MANY, 1), (DEEP, 1), (ints(50, 60), 0)],
    "logcumsumexp": [(DEEP, 1)],
    "recur": [(DEEP, unit(*DEEP), 2)],
    "index": [
        ((90, 20), [ints(7, 8, high=90)], (0,)),
        ((90, 20), [ints(7, 8, high=20)], (1,)),
        ((9, 20, 4), [ints(7, 8, high=9), ints(8, high=4)], (0, 2)),
        ((90, 20), [bools(90)], (0,)),
        ((9, 20, 4), [bools(9, 20)], (0,)),
        ((9, 20), [bools(9, 20)], (0,)),
        ((9, 20), [bools(20, 9)], (0,)),
        ((9, 20), [bools(9, 1)], (0,)),
        ((9, 20), [bools(20)], (1,)),
        ((9, 20), [ints(5, low=-9, high=9)], (0,)),
        ((9, 20), [ints(5, high=10)], (0,)),
    ],
    "index_spread": [
        ((500, 20), [ints(500, high=30)], (30, 20), (0,)),
        ((500, 20), [ints(500, high=2)], (900, 20), (0,)),
        ((30, 500), [ints(500, high=20)], (30, 20), (1,)),
        ((500, 4), [ints(500, high=3), ints(500, low=-5, high=5)], (3, 5, 4), (0, 1)),
        ((500, 5), [ints(500, high=3), ints(500, high=4)], (3, 5, 4), (0, 2)),
        ((500,), [ints(500, low=-30, high=30)], (30,), (0,)),
    ],
    "put_at": [
        ((30, 20), (500, 20), [ints(500, high=30)], (0,), True),
        ((30, 20), (), [ints(500, high=30)], (0,), True),
        ((30, 20), (3, 20), [fixed([3, 0, 7])], (0,), False),
        ((30, 20), (3, 19), [fixed([3, 0, 7])], (0,), True),
        ((30, 20), (3, 20), [fixed([3, 0, 30])], (0,), True),
    ],
    "gather_at": [
        ((90, 80), ints(90, 70, high=80), 1),
        ((90, 80), ints(70, 80, high=90), 0),
        ((4, 90, 80), ints(4, 60, 80, high=90), 1),
        ((9, 8), ints(2, 3, high=8), 1),
        ((9, 8), ints(2, 3, high=9), 1),
    ],
    "gather_spread": [((90, 70), ints(90, 70, high=80), (90, 80), 1)],
    "scatter_at": [((9, 8), fixed([[2, 0], [1, 7]]), (3, 3), 1), ((9, 8), fixed([[0]]), (), 0)],
    "scatter_add_at": [((90, 80), ints(90, 70, high=80), (90, 75), 1)],
    "scatter_reduce_at": [
        ((9, 8), ints(9, 70, high=8), (9, 70), 1, reduce, include)
        for reduce in ("sum", "prod", "mean", "amax", "amin")
        for include in (True, False)
    ],
    "index_select_at": [((90, 20), ints(70, high=90), 0), ((90, 20), ints(70, high=21), 1)],
    "index_select_spread": [
        ((500, 20), ints(500, high=30), (30, 20), 0),
        ((20, 500), ints(500, high=30), (20, 30), 1),
        ((500,), ints(500, high=30), (30,), 0),
    ],
    "index_add_at": [
        ((30, 20), ints(500, high=30), (500, 20), 0),
        ((20, 30), ints(500, high=30), (20, 500), 1, 2.5),
        ((30, 20), ints(3, high=31), (3, 20), 0),
    ],
    "masked_scatter": [((30, 20), bools(30, 20), (900,)), ((30, 20), bools(20), (90,))],
    "one_hot_at": [(ints(30, 20, high=7), 9)],
    "sort": [((30, 40), 0, d, s) for d in (True, False) for s in (True, False)],
    "argsort": [(ints(30, 40), 1, d, True) for d in (True, False)],
    "topk": [((30, 400), 5, dim, largest) for dim, largest in ((1, True), (1, False), (-2, True))]
    + [((30, 400), 300, 1), (distinct(50), 3)],
    "kthvalue": [((30, 40), 7, 1), ((30, 40), 7, 0, True), ((30, 40), 41, 1)],
    "unique_flat": [
        (ints(900, low=-3, high=40), True),
        ((900,), True),
        (ints(4, high=10**9), True),
    ],
    "addcmul": [(MANY, MANY, MANY, {"value": 0.5}), (MANY, (250,), (300, 1))],
    "addcdiv": [(MANY, MANY, positive(*MANY), {"value": 0.5})],
    "lerp": [(MANY, MANY, 0.25), (MANY, MANY, 0.75), (MANY, (250,), 0.25), (MANY, MANY, MANY)],
    "pow": [(MANY, p) for p in (2, 3, 0.5, 1, -1, 4, 0, 2.5)] + [(ints(50), 3)],
    "fmod": [(MANY, positive(*MANY)), (ints(50, low=-9, high=9), ints(50)), (MANY, 0)],
    "rsqrt": [(positive(*MANY),)],
    "repeat": [((3, 4), (2, 3)), ((3, 4), (2, 1, 3)), ((3,), (0,)), ((3, 4), (2,))],
    "roll": [((30, 40), 7, 0), ((30, 40), -43, 1), ((30, 40), (3, 4), (0, 1)), ((30, 40), 5)],
    "flip": [((30, 40), (0, 1)), ((30, 40), (-1,)), ((), ())],
    "constant_pad_nd": [((30, 40), (1, 2, 3, 0)), ((30, 40), (-1, 2)), ((30, 40), (1, 1), 2.5)],
}
"""Calls of a size at which kernels cut their work up, and such as they must refuse."""

SKIPPED = {("norm_slopes", "half")}
"""Where the inputs cannot have that look: statistics of half precision are kept in single."""

CASES = [
    pytest.param(catalogue[name].op, example, id=f"{name}-{number}")
    for name in sorted(KERNELS.keys() & catalogue.keys())
    for number, example in enumerate((*catalogue[name].op.examples, *LARGE.get(name, ())))
]


def test_overrides_are_of_operations():
    assert sorted(KERNELS.keys() - catalogue.keys()) == []


def tensors(op, example, look, place):
    """The inputs of a call as tensors and numbers, and its parameters."""
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
        if not isinstance(x, Sample):
            return x
        array = LOOKS[look](np.asarray(data(x, random)))
        if place is not CPU:
            native = place.backend.native[OF[array.dtype]]
            array = place.backend.array(array, native, place.index)
        return wrap(array, place)

    return [tensor(x) for x in inputs], params


def prepared(op, example, look, place=CPU):
    """Arrays and parameters of a call, as a kernel gets them."""
    inputs, params = tensors(op, example, look, place)
    promoted = promote(op, inputs, place)
    return [None if x is None else x._array for x in promoted], natives(params, place)


def attempt(call):
    try:
        return call()
    except Exception as error:
        return error


@pytest.mark.parametrize("op, example", CASES)
def test_override_equals_common_kernel(op, example):
    for look in LOOKS:
        if (op.name, look) not in SKIPPED:
            compare(op, example, look)


def compare(op, example, look):
    """Hold the kernel of the cpu against the common one."""
    ours, params = prepared(op, example, look)
    theirs, _ = prepared(op, example, look)
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
    if op.name == "topk" and ours[0].ndim:  # Of equal numbers any may be named.
        dim = params["dim"]
        np.testing.assert_array_equal(np.take_along_axis(ours[0], found[1], dim), found[0])
        found, wanted = found[:1], wanted[:1]
    for one, two in zip(found, wanted, strict=True):
        if two is None:
            assert one is None
            continue
        assert one.shape == two.shape
        if op.name != "max_windows" or two.dtype.kind == "f":  # Its numbers may be short.
            assert one.dtype == two.dtype
        assert min(one.strides, default=0) >= 0
        assert op.view is not True or one.size == 0 or np.may_share_memory(one, ours[0])
        exact = two.dtype.kind not in "fc"
        close = 0 if exact else CLOSE[look]
        np.testing.assert_allclose(
            one.astype(np.complex128), two.astype(np.complex128), rtol=close, atol=close
        )
        if not op.view and not op.writes:
            assert not any(x is not None and np.may_share_memory(one, x) for x in ours)


def softplus(x):
    return np.logaddexp(x, 0)


IN_WIDER_NUMBERS = {
    "softplus": lambda x: np.where(x > 20, x, softplus(x)),
    "logsigmoid": lambda x: -softplus(-x),
    "mish": lambda x: x * np.where(x > -40, np.tanh(softplus(x)), np.exp(x)),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "celu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "selu": lambda x: (
        1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))
    ),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
}


@pytest.mark.parametrize("name", IN_WIDER_NUMBERS)
@pytest.mark.parametrize("dtype, wide, close", [("f4", "f8", 1e-6), ("f8", "longdouble", 4e-15)])
def test_bends_keep_their_digits(name, dtype, wide, close):
    random = np.random.default_rng(0)
    x = np.concatenate(
        [
            random.standard_normal(20_000) * 3,
            np.linspace(-80, 90, 20_000),
            random.standard_normal(5000) * 1e-6,
            [0.0, math.inf, -math.inf, math.nan],
        ]
    ).astype(dtype)
    with np.errstate(all="ignore"):
        found = kernel_for(catalogue[name].op, CPU)(x)
        wanted = IN_WIDER_NUMBERS[name](x.astype(wide))
    assert found.dtype == x.dtype
    # The last ones are inf, -inf and NaN; -inf times 0 is NaN, in PyTorch, too.
    np.testing.assert_allclose(found, wanted.astype(dtype), rtol=close, atol=0)


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


def gradients(op, example, place):
    """The gradients of a sum over all results."""
    inputs, params = tensors(op, example, "double", place)
    leaves = [x for x in inputs if isinstance(x, Tensor) and x.dtype.kind in ("float", "complex")]
    for x in leaves:
        x.requires_grad_()
    found = launch(op, inputs, params)
    total = 0
    for x in found if isinstance(found, tuple) else (found,):
        if x is not None and x.requires_grad:
            total = total + (x * x.detach().conj()).real.sum()
    if isinstance(total, Tensor):
        total.backward()
    return [x.grad for x in leaves]


@pytest.mark.parametrize("op, number", [case for case in ALL if case.values[0].rules])
def test_rules_need_only_the_standard(op, number):
    found = gradients(op, op.examples[number], STRICT)
    wanted = gradients(op, op.examples[number], CPU)
    for one, two in zip(found, wanted, strict=True):
        assert (one is None) == (two is None)
        if two is not None:
            assert one.device is STRICT
            assert one.dtype is two.dtype
            np.testing.assert_allclose(one._array._array, two._array, rtol=1e-9, atol=1e-9)
