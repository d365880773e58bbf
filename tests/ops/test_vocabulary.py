"""Calls that PyTorch's own tests try, beside PyTorch: the same result or type of error."""

import math

import pytest

import devtensor as dt

torch = pytest.importorskip("torch")

CALLS = {
    # powers of integers: a tensor's fraction is cut to 0, a number is refused
    "pow of 0-d": lambda m: m.tensor(2) ** m.tensor(-1),
    "pow by 0-d": lambda m: m.tensor([2, 1, -1]) ** m.tensor(-1),
    "pow by int8": lambda m: m.tensor([2, 3]) ** m.tensor(-2, dtype=m.int8),
    "pow of a number": lambda m: m.pow(-1, m.tensor(-3)),
    "pow by a number": lambda m: m.tensor([2, 1]) ** -1,
    "pow_ by a number": lambda m: m.tensor([2, 1]).pow_(-1),
    "pow_ by 0-d": lambda m: m.tensor([2, 1]).pow_(m.tensor(-1)),
    # new tensors
    "logspace of integers": lambda m: m.logspace(4.3, 1.2, 4, base=2, dtype=m.int64),
    "logspace of int32": lambda m: m.logspace(0, 3.9, 9, base=2, dtype=m.int32),
    "logspace of bool": lambda m: m.logspace(0, 3, 4, dtype=m.bool),
    "linspace of bool": lambda m: m.linspace(0, 3, 4, dtype=m.bool),
    "linspace beyond int8": lambda m: m.linspace(0, 300, 3, dtype=m.int8),
    "arange with a step cut to 0": lambda m: m.arange(0, 6, 0.5, dtype=m.int64),
    "arange without a step": lambda m: m.arange(0, 6, 0),
    "arange the wrong way": lambda m: m.arange(0, -6, 0.5, dtype=m.int64),
    # out= of another type
    "out of cumsum": lambda m: m.cumsum(
        m.ones(3), 0, dtype=m.float32, out=m.zeros(3, dtype=m.float64)
    ),
    "out of mean": lambda m: m.mean(
        m.ones(3), 0, dtype=m.float32, out=m.zeros((), dtype=m.float64)
    ),
    "out of lerp": lambda m: m.lerp(m.ones(2), m.ones(2), 0.5, out=m.zeros(2, dtype=m.float64)),
    "out of diff": lambda m: m.diff(m.ones(3), out=m.zeros(2, dtype=m.float64)),
    "out of max": lambda m: m.max(
        m.ones(3, 3), 0, out=(m.zeros(3, dtype=m.float64), m.zeros(3, dtype=m.int64))
    ),
    "out of median": lambda m: list(
        m.median(m.tensor([3.0, 1, 2]), 0, out=(m.zeros(()), m.zeros((), dtype=m.int64)))
    ),
    "out of nonzero": lambda m: m.nonzero(m.ones(2), out=m.zeros(2, 1, dtype=m.int64)),
    "out of nonzero as a tuple": lambda m: m.nonzero(
        m.ones(2), as_tuple=True, out=m.zeros(2, 1, dtype=m.int64)
    ),
    "out of power in its base": lambda m: (lambda x: m.float_power(x, 2, out=x))(
        m.tensor([3.0, 2], dtype=m.float64)
    ),
    "out of where in an input": lambda m: (lambda x: m.where(x > 0, x, -x, out=x))(
        m.tensor([3.0, -2])
    ),
    "out of where across an input": lambda m: (lambda x: m.where(x > 0, x, -x, out=x.t()))(
        m.ones(2, 2)
    ),
    "out of scatter_add in its input": lambda m: (
        lambda x: m.scatter_add(x, 0, m.tensor([0, 0]), m.tensor([5.0, 2]), out=x)
    )(m.ones(3)),
    "out of scatter_add in its source": lambda m: (
        lambda x: m.scatter_add(m.zeros(3), 0, m.tensor([0, 0]), x, out=x[:3])
    )(m.ones(4)),
    "out of gather in its input": lambda m: (lambda x: m.gather(x, 0, m.tensor([0, 1]), out=x))(
        m.ones(2)
    ),
    "out by columns": lambda m: (lambda x: m.abs(x, out=x.t()))(m.ones(2, 2)),
    "out in the same columns": lambda m: (lambda x: m.abs(x, out=x))(m.ones(2, 3).neg().t()),
    # sums of integers within products
    "einsum of sums": lambda m: m.einsum(
        "ik,j->ij", m.ones(2, 3, dtype=m.uint8), m.ones(3, dtype=m.uint8)
    ),
    "einsum of bools": lambda m: m.einsum(
        "ik,j->ij", m.ones(2, 3, dtype=m.bool), m.ones(3, dtype=m.bool)
    ),
    "einsum of several types": lambda m: m.einsum(
        "ij,j->i", m.ones(2, 2), m.ones(2, dtype=m.float64)
    ),
    "lu into": lambda m: m.lu(m.eye(2), out=(m.zeros(2, 2), m.zeros(2, dtype=m.int32))),
    "repeat_interleave is no view": lambda m: (lambda x: [x.repeat_interleave(1).add_(1), x])(
        m.ones(2)
    ),
    "repeat_interleave of 0-d": lambda m: m.tensor(1.0).repeat_interleave(2).add_(1),
    # what must not count for ever
    "zeta below 0": lambda m: m.special.zeta(
        m.tensor([2.0, 3, 4, 2.5, 2], dtype=m.float64),
        m.tensor([-1000.25, -13.5, -0.75, -1.5, -3], dtype=m.float64),
    ),
    "zeta far below 0": lambda m: m.special.zeta(
        m.tensor(2.0, dtype=m.float64), m.tensor(-4988429.5, dtype=m.float64)
    ),
    "zeta of infinity": lambda m: m.special.zeta(m.tensor(float("inf")), m.tensor([1.0, 0.5])),
    "polynomials of great degree": lambda m: m.special.legendre_polynomial_p(
        m.tensor([1.5, 30, -2]), m.tensor([1e9, 20, 1e20])
    ),
    # shapes by name, and none at all
    "view by name": lambda m: m.ones(2).view(size=(2, 1)),
    "view of nothing": lambda m: m.ones(1).view(),
    "tile by name": lambda m: m.tile(m.ones(2), dims=(2,)),
    "tile of nothing": lambda m: m.tensor(1.0).tile(),
    "sum_to_size by name": lambda m: m.ones(1, 2).sum_to_size(size=(1,)),
    "sum_to_size of nothing": lambda m: m.tensor(1.0).sum_to_size(),
    "repeat_interleave to a length": lambda m: m.ones(2).repeat_interleave(2, output_size=4),
    "repeat_interleave to another": lambda m: m.ones(2).repeat_interleave(
        m.tensor([1, 2]), output_size=4
    ),
    # numbers where there must be tensors
    "rsub": lambda m: m.rsub(2, m.ones(2)),
    "igamma": lambda m: m.igamma(m.ones(2), 2),
    # bools
    "addr": lambda m: m.addr(
        m.tensor([[True, False]]), m.tensor([False]), m.tensor([True, True]), beta=3, alpha=2
    ),
    "addr without its input": lambda m: m.addr(
        m.tensor([[True, False]]), m.tensor([True]), m.tensor([False, True]), beta=0
    ),
    "addr by a fraction": lambda m: m.addr(
        m.tensor([[True]]), m.tensor([True]), m.tensor([True]), beta=0.5
    ),
    "addr by a bool": lambda m: m.addr(m.ones(1, 1), m.ones(1), m.ones(1), alpha=True),
    "sum_to_size of one": lambda m: m.tensor(True).sum_to_size(()),
    # shapes
    "multi_margin_loss of one": lambda m: m.nn.functional.multi_margin_loss(
        m.tensor(1.0), m.tensor([0]), reduction="none"
    ),
    "multi_margin_loss of a matrix of weights": lambda m: m.nn.functional.multi_margin_loss(
        m.ones(2, 3), m.tensor([0.0, 1]), weight=m.ones(1, 3)
    ),
    "silu of complex numbers": lambda m: m.nn.functional.silu(m.tensor([1 + 2j, -3j])),
    # strides
    "as_strided_scatter": lambda m: m.as_strided_scatter(
        m.arange(12.0).reshape(3, 4), m.ones(2, 2), (2, 2), (4, 1), 1
    ),
    "as_strided_scatter of columns": lambda m: m.as_strided_scatter(
        m.arange(12.0).reshape(3, 4).t(), m.ones(2, 2), (2, 2), (4, 1), 1
    ),
    "as_strided_scatter of a part": lambda m: m.as_strided_scatter(
        m.arange(12.0).reshape(3, 4)[1:, ::2], m.ones(2, 2), (2, 2), (4, 1), 5
    ),
    "as_strided_scatter beyond": lambda m: m.arange(4.0).as_strided_scatter(
        m.ones(2, 2), (2, 2), (4, 1), 1
    ),
    "as_strided_scatter twice": lambda m: m.arange(4.0).as_strided_scatter(
        m.ones(2, 2), (2, 2), (1, 1)
    ),
    # segments
    "segments by offsets": lambda m: m.segment_reduce(
        m.arange(5.0), "mean", offsets=m.tensor([0, 2, 2, 5])
    ),
    "segments that leave something": lambda m: m.segment_reduce(
        m.arange(5.0), "sum", lengths=m.tensor([4]), unsafe=True
    ),
    "segments of rows": lambda m: m.segment_reduce(
        m.arange(10.0).reshape(2, 5), "max", lengths=m.tensor([[2, 0, 3], [1, 1, 3]]), axis=1
    ),
    "segments from a start": lambda m: m.segment_reduce(
        m.arange(5.0), "mean", lengths=m.tensor([2, 0, 3]), initial=6
    ),
    "segments that do not cover": lambda m: m.segment_reduce(
        m.arange(5.0), "sum", lengths=m.tensor([4])
    ),
    "segments of integers": lambda m: m.segment_reduce(m.arange(5), "sum", lengths=m.tensor([5])),
    "segments of nothing": lambda m: m.segment_reduce(m.arange(5.0), "sum"),
    "segments by another reduction": lambda m: m.segment_reduce(
        m.arange(5.0), "norm", lengths=m.tensor([5])
    ),
    # normalizations with their statistics
    "native_layer_norm": lambda m: m.native_layer_norm(
        m.arange(24.0).reshape(2, 3, 4), (3, 4), None, None, 1e-5
    ),
    "native_layer_norm of another shape": lambda m: m.native_layer_norm(
        m.arange(24.0).reshape(2, 3, 4), (3,), None, None, 1e-5
    ),
    "native_group_norm": lambda m: m.native_group_norm(
        m.arange(24.0).reshape(2, 4, 3), m.arange(4.0), None, 2, 4, 3, 2, 1e-5
    ),
    "native_batch_norm": lambda m: m.native_batch_norm(
        m.arange(24.0).reshape(2, 4, 3), m.ones(4), None, m.zeros(4), m.ones(4), True, 0.1, 1e-5
    ),
    "native_batch_norm that is fixed": lambda m: m.native_batch_norm(
        m.arange(24.0).reshape(2, 4, 3), m.ones(4), None, m.zeros(4), m.ones(4), False, 0.1, 1e-5
    ),
    "native_dropout of all": lambda m: m.native_dropout(m.ones(3), 1.0, True),
    "native_dropout of nothing": lambda m: m.native_dropout(m.ones(3), 0.5, False),
    "dropout_ of all": lambda m: m.dropout_(m.ones(3), 1.0, True),
    "unsafe_split_with_sizes": lambda m: m.unsafe_split_with_sizes(m.arange(5), [2, 3]),
}


def found(call, module):
    try:
        result = call(module)
    except Exception as error:
        return type(error)
    many = isinstance(result, (tuple, list))
    return [(str(x.dtype), tuple(x.shape), x.tolist()) for x in (result if many else [result])]


def flat(values):
    return [x for v in values for x in flat(v)] if isinstance(values, list) else [values]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_answered_as_pytorch_does(name):
    theirs, ours = (found(CALLS[name], module) for module in (torch, dt))
    if isinstance(theirs, type) or isinstance(ours, type):
        assert ours is theirs
        return
    assert [x[:2] for x in ours] == [x[:2] for x in theirs]
    for one, two in zip(flat([x[2] for x in ours]), flat([x[2] for x in theirs]), strict=True):
        same = one == two or (one != one and two != two)
        assert same or abs(one - two) <= 1e-5 * max(1.0, abs(two)), (one, two)


def test_gather_of_nothing_is_tracked():
    x = dt.ones(5, requires_grad=True)
    out = dt.gather(x, 0, dt.empty((2, 0), dtype=dt.int64))
    assert out.requires_grad
    out.sum().backward()
    assert not x.grad.any()


@pytest.mark.parametrize("reduce", ["sum", "mean", "prod", "max", "min"])
def test_gradients_of_segments(reduce):
    slopes = []
    for m in (torch, dt):
        x = m.tensor([1.0, 3, 3, 2, 5], dtype=m.float64, requires_grad=True)
        out = m.segment_reduce(x, reduce, lengths=m.tensor([4, 0, 1]))
        (out * m.tensor([2.0, 0, 3], dtype=m.float64))[m.tensor([0, 2])].sum().backward()
        slopes.append(x.grad.tolist())
    assert all(map(math.isclose, *slopes))


def test_gradients_of_memory_that_was_replaced():
    x = dt.arange(12.0, dtype=dt.float64).reshape(3, 4).requires_grad_()
    src = dt.ones(2, 2, dtype=dt.float64, requires_grad=True)

    def call(x, src):
        return dt.as_strided_scatter(x.t(), src, (2, 2), (4, 1), 1)

    assert dt.autograd.gradcheck(call, (x, src))


def test_silu_of_complex_numbers_has_gradients():
    x = dt.tensor([1 + 2j, -0.5j], dtype=dt.complex128, requires_grad=True)
    assert dt.autograd.gradcheck(dt.nn.functional.silu, x)
