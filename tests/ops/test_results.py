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
