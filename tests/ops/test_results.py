"""``out=`` of composites: the result in tensors that the caller gives."""

import inspect
import warnings

import pytest

import devtensor as dt
from samples import cases, leaves

torch = pytest.importorskip("torch")


pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated:UserWarning")


def takes_out(entry):
    """Whether an entry is a composite that takes `out`, and makes no random numbers."""
    if entry.op is not None or entry.home == "nn" or entry.name in ("bernoulli", "multinomial"):
        return False
    return "out" in inspect.signature(entry.function).parameters


# A tuple of places takes no `out`, which test_vocabulary.py tries beside PyTorch.
CASES = [case for case in cases(takes_out) if case.id != "nonzero-1"]


def made(case, device="cpu", **options):
    call = case.entry.function
    return case.call(case.tensors(device), lambda *args, **kwargs: call(*args, **kwargs, **options))


def test_enough_is_tried():
    assert len({case.name for case in CASES}) > 70


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_out_holds_the_result(case):
    result = made(case)
    values = leaves(result)
    outs = [dt.empty(0, dtype=x.dtype) for x in values]
    single = isinstance(result, dt.Tensor)
    got = made(case, out=outs[0] if single else outs)
    if case.name in ("split_copy", "split_with_sizes_copy", "unbind_copy"):
        assert got is None  # as in PyTorch
        got = outs
    else:
        assert type(got) is type(result)
    assert all(x is out for x, out in zip(leaves(got), outs, strict=True))
    for x, out in zip(values, outs, strict=True):
        assert out.dtype is x.dtype and out.shape == x.shape
        assert dt.allclose(out, x, equal_nan=True) if x.dtype is not dt.bool else dt.equal(out, x)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_out_of_another_category_is_refused_and_kept(case):
    values = leaves(made(case))
    if not values[0].dtype.is_floating_point and not values[0].dtype.is_complex:
        return
    outs = [dt.full(x.shape, 7, dtype=dt.int64) for x in values]
    joined = case.name.endswith("stack")  # of these `cat` says so
    kind = TypeError if joined else RuntimeError
    with pytest.raises(kind, match=r"dtype|cast|output tensor"):
        made(case, out=outs[0] if len(outs) == 1 else outs)
    assert all((out == 7).all() for out in outs)


CALLS = {
    "gather": lambda m, out: m.gather(m.ones(2, 2), 1, m.tensor([[0], [1]]), out=out),
    "take": lambda m, out: m.take(m.ones(2, 2), m.tensor([0, 3]), out=out),
    "where": lambda m, out: m.where(m.tensor([True, False]), m.ones(2), m.zeros(2), out=out),
    "kron": lambda m, out: m.kron(m.ones(2), m.ones(3), out=out),
    "isin": lambda m, out: m.isin(m.tensor([1, 2]), m.tensor([2]), out=out),
    "index_select": lambda m, out: m.index_select(m.ones(2, 2), 0, m.tensor([1]), out=out),
    "nonzero": lambda m, out: m.nonzero(m.ones(2, 2), out=out),
    "diag": lambda m, out: m.diag(m.ones(2), out=out),
}
OUTS = {
    "wider": lambda m: m.zeros(0, dtype=m.float64),
    "whole": lambda m: m.zeros(0, dtype=m.int64),
    "same": lambda m: m.zeros(0),
    "tracked": lambda m: m.zeros(0, requires_grad=True),
    "number": lambda m: 1.0,
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("kind", OUTS)
def test_out_is_taken_where_pytorch_takes_it(name, kind):
    outcomes = []
    for module in (torch, dt):
        out = OUTS[kind](module)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # an output was resized
                CALLS[name](module, out)
            outcomes.append((out.tolist(), tuple(out.shape)))
        except Exception as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1]


def test_memory_that_is_seen_twice_is_refused():
    for module in (torch, dt):
        with pytest.raises(RuntimeError, match="single memory location"):
            CALLS["take"](module, module.zeros(1).expand(2))


def test_memory_of_an_input_is_refused():
    for module in (torch, dt):
        x = module.ones(4)
        with pytest.raises(RuntimeError, match="single memory location"):
            module.take(x, module.tensor([0, 1]), out=x[:2])


def test_tracked_tensors_are_refused_while_gradients_are_recorded():
    for module in (torch, dt):
        index = module.tensor([0, 1])
        for x, out in (
            (module.ones(4, requires_grad=True), module.zeros(2)),
            (module.ones(4), module.zeros(2, requires_grad=True)),
        ):
            with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
                module.take(x, index, out=out)
            with module.no_grad():
                assert module.take(x, index, out=out).tolist() == [1.0, 1.0]


APART = {
    "kthvalue": lambda m, x: m.kthvalue(x, 2, out=(x[:4], m.zeros(0, dtype=m.int64))),
    "topk": lambda m, x: m.topk(x, 4, out=(x[:4], m.zeros(0, dtype=m.int64))),
    "mode": lambda m, x: m.mode(x.view(4, 2), out=(x[:4], m.zeros(0, dtype=m.int64))),
    "max": lambda m, x: m.max(x.view(4, 2), 1, out=(x[:4], m.zeros(0, dtype=m.int64))),
    "gather": lambda m, x: m.gather(x, 0, m.tensor([0, 1]), out=x[:2]),
    "index_select": lambda m, x: m.index_select(x, 0, m.tensor([0, 1]), out=x[:2]),
    "masked_select": lambda m, x: m.masked_select(x, x > 3, out=x[:2]),
    "nonzero": lambda m, x: m.nonzero(x.long(), out=m.zeros(1, 1, dtype=m.int64).expand(9, 1)),
    "cross": lambda m, x: m.linalg.cross(x[:3], x[:3], out=x[:3]),
    "cat": lambda m, x: (lambda y: m.cat([y, x], out=y))(m.zeros(0)),
    "add": lambda m, x: m.add(x[:1], x, out=x[:1]),
    "add over itself": lambda m, x: (lambda y: m.add(y, x, out=y))(x[:1]),
    "seen twice": lambda m, x: m.exp(x, out=m.zeros(1).expand(3)),
    "sorted over itself": lambda m, x: m.sort(x, out=(x, m.zeros(0, dtype=m.int64))),
    "summed over itself": lambda m, x: m.cumsum(x, 0, out=x),
    "solved over itself": lambda m, x: m.linalg.inv(x[:4].view(2, 2), out=x[:4].view(2, 2)),
    "turned over itself": lambda m, x: m.t_copy(x[:4].view(2, 2), out=x[:4].view(2, 2)),
    "largest over one": lambda m, x: m.max(x[:2], x[2:4], out=x[:2]),
}  # fmt: skip


@pytest.mark.parametrize("name", APART)
def test_where_out_may_lie(name):
    outcomes = []
    for module in (torch, dt):
        x = module.tensor([3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0, 5.0])
        try:
            APART[name](module, x)
            outcomes.append(x.tolist())
        except RuntimeError as error:
            outcomes.append((type(error), str(error)[:30]))
            assert x.tolist() == [3.0, 1.0, 4.0, 1.5, 9.0, 2.0, 6.0, 5.0]
    assert outcomes[0] == (
        outcomes[1] if outcomes[0][0] is RuntimeError else pytest.approx(outcomes[1])
    )


TYPED = {
    "inner": lambda m, d: m.inner(m.ones(2), m.ones(2), out=m.zeros((), dtype=d)),
    "inner of a number": lambda m, d: m.inner(m.ones(2), m.tensor(2.0), out=m.zeros(2, dtype=d)),
    "lerp": lambda m, d: m.lerp(m.ones(2), m.ones(2), 0.5, out=m.zeros(2, dtype=d)),
    "lerp by many": lambda m, d: m.lerp(m.ones(2), m.ones(2), m.ones(2), out=m.zeros(2, dtype=d)),
    "diff": lambda m, d: m.diff(m.ones(2), out=m.zeros(1, dtype=d)),
    "diff of none": lambda m, d: m.diff(m.ones(2), 0, out=m.zeros(2, dtype=d)),
    "nansum": lambda m, d: m.nansum(m.ones(2), out=m.zeros((), dtype=d)),
    "nanmean": lambda m, d: m.nanmean(m.ones(2), out=m.zeros((), dtype=d)),
    "geqrf": lambda m, d: m.geqrf(m.eye(2), out=(m.zeros(0, dtype=d), m.zeros(0, dtype=d))),
    "max": lambda m, d: m.max(m.ones(2), 0, out=(m.zeros((), dtype=d), m.zeros((), dtype=m.int64))),
}


@pytest.mark.parametrize("name", TYPED)
@pytest.mark.parametrize("kind", ["float64", "complex64", "int64", "bool"])
def test_types_that_out_may_have(name, kind):
    outcomes = []
    for module in (torch, dt):
        try:
            TYPED[name](module, getattr(module, kind))
            outcomes.append("taken")
        except Exception as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1]


def test_copies_of_several_views_are_as_many():
    for module in (torch, dt):
        outs = [module.zeros(0), module.zeros(0)]
        assert module.unbind_copy(module.ones(2, 3), out=outs) is None
        assert [x.shape for x in outs] == [(3,), (3,)]
        with pytest.raises(RuntimeError, match="expected an out= argument of size 2, got size 1"):
            module.unbind_copy(module.ones(2, 3), out=outs[:1])
        with pytest.raises(RuntimeError, match="Expected dim <"):
            module.narrow_copy(module.ones(2), 1, 0, 1)
