"""What holds for every operation within the transforms, tried on the catalogue's examples."""

import zlib

import numpy as np
import pytest

import devtensor as dt
from devtensor import func
from samples import cases, cotangents, data, law, leaves, numpy
from test_catalogue import plain

pytestmark = [
    pytest.mark.filterwarnings("ignore:.* is deprecated:UserWarning"),
    pytest.mark.filterwarnings("ignore::devtensor.DevtensorWarning"),
]

BATCH = 3

# What the results of single examples differ in shape in, or what reads a number of its input.
DYNAMIC = {
    "allclose", "argwhere", "equal", "masked_select", "nonzero", "nonzero_at", "nonzero_static",
    "repeat_interleave", "repeated_positions", "unique", "unique_consecutive", "unique_flat",
    "unique_rows",
}  # fmt: skip
DYNAMIC_EXAMPLES = {"where-2", "index-2", "one_hot-0", "one_hot-1"}
# With a value that wants gradients, which indices are named twice must be known.
DYNAMIC_EXAMPLES |= {"index_fill-1"}
ALONE = {
    "as_strided": "it looks at the memory of its neighbours",
    "as_strided_copy": "it looks at the memory of its neighbours",
    "as_strided_scatter": "it looks at the memory of its neighbours",
    "bincount": "a stack of single results cannot be had",
    "histogram": "the edges depend on values",
    "histogramdd": "the edges depend on values",
}
APART = {**dict.fromkeys(DYNAMIC | DYNAMIC_EXAMPLES, "refused, it depends on values"), **ALONE}
EVERY = [
    case
    for case in cases(plain)
    if case.samples()
    and case.name not in APART
    and case.id not in APART
    and "empty" not in case.name
]


def rows(case, count=BATCH):
    """Data for several examples."""
    found = []
    for i in range(count):
        random = np.random.default_rng(zlib.crc32(f"{case.id}{i}".encode()))
        found.append([np.asarray(data(sample, random)) for sample in case.samples()])
    return found


def mapped_sets(count, device):
    """Which inputs are mapped over: all of them, and on the cpu each alone."""
    alone = [{k} for k in range(count)] if count > 1 and device == "cpu" else []
    return [set(range(count)), *alone]


def tensors(arrays, device, held):
    made = [dt.tensor(x, device=device) for x in arrays]
    return [
        x.requires_grad_() if x.dtype.kind in ("float", "complex") and not h else x
        for x, h in zip(made, held, strict=True)
    ]


def function(case):
    def call(*xs):
        return tuple(x for x in leaves(case.call(list(xs))) if isinstance(x, dt.Tensor))

    return call


def agree(found, expected, what, rtol=1e-6, atol=1e-8):
    assert found.shape == expected.shape, what
    assert found.dtype is expected.dtype, what
    np.testing.assert_allclose(numpy(found), numpy(expected), rtol=rtol, atol=atol, err_msg=what)


def gradients(outs, xs, weights):
    found = dt.autograd.grad(outs, xs, weights, allow_unused=True)
    return [dt.zeros_like(x) if g is None else g for g, x in zip(found, xs, strict=True)]


@law(EVERY)
def test_a_batch_is_what_its_examples_are(case, device):
    data = rows(case)
    call = function(case)
    for mapped in mapped_sets(len(data[0]), device):
        arrays = [
            np.stack([row[k] for row in data]) if k in mapped else data[0][k]
            for k in range(len(data[0]))
        ]
        xs = tensors(arrays, device, case.held)
        dims = tuple(0 if k in mapped else None for k in range(len(xs)))
        dt.manual_seed(0)
        found = func.vmap(call, in_dims=dims, randomness="same")(*xs)
        single = []
        for i in range(BATCH):
            dt.manual_seed(0)
            single.append(call(*[x[i] if k in mapped else x for k, x in enumerate(xs)]))
        expected = [dt.stack(list(column)) for column in zip(*single, strict=True)]
        for f, e in zip(found, expected, strict=True):
            agree(f, e, f"mapped over {mapped}")
            assert f.device is e.device
        pairs = [(f, e) for f, e in zip(found, expected, strict=True) if e.requires_grad]
        if not pairs:
            continue
        weights = cotangents([e for _, e in pairs], device=device)
        wanted = [x for x in xs if x.requires_grad]
        for f, e in zip(
            gradients([f for f, _ in pairs], wanted, weights),
            gradients([e for _, e in pairs], wanted, weights),
            strict=True,
        ):
            agree(f, e, f"gradient, mapped over {mapped}", 1e-5, 1e-7)


def loss(case):
    """The sum of the weighted outputs, a function of the inputs that have gradients."""
    held, call = case.held, function(case)

    def total(moving, still):
        moving, still = iter(moving), iter(still)
        dt.manual_seed(0)
        xs = [next(moving) if not h else next(still) for h in held]
        result = 0.0
        for number, out in enumerate(call(*xs)):
            if out.dtype.kind == "complex":
                out = dt.view_as_real(out)
            if out.dtype.kind == "float":
                result = result + (out * (number + 1.5)).sum()
        return result

    return total


def apart(case, arrays):
    """A case whose `held` says what is no number to differentiate by."""
    return [x.dtype.kind not in "fc" or h for x, h in zip(arrays, case.held, strict=True)]


NUMBERS = [case for case in EVERY if any(x.dtype.kind in "fc" for x in case.arrays())]


def has_slope(case):
    """Whether a result of an example carries gradients."""
    xs = tensors(case.arrays(), "cpu", case.held)
    return any(x.requires_grad for x in function(case)(*xs))


class Held:
    """A case in which also integers count as held."""

    def __init__(self, case, arrays):
        self.held, self.call = apart(case, arrays), case.call


@law(NUMBERS)
def test_gradients_of_examples_are_their_own(case):
    if not has_slope(case):
        return
    data = rows(case)
    told = Held(case, data[0])
    total = loss(told)
    columns = [dt.tensor(np.stack([row[k] for row in data])) for k in range(len(data[0]))]
    moving = tuple(x for x, h in zip(columns, told.held, strict=True) if not h)
    still = tuple(x for x, h in zip(columns, told.held, strict=True) if h)
    found = func.vmap(func.grad(total), randomness="same")(moving, still)
    for i in range(BATCH):
        expected = func.grad(total)(tuple(x[i] for x in moving), tuple(x[i] for x in still))
        for f, e in zip(found, expected, strict=True):
            agree(f[i], e, f"example {i}", 1e-5, 1e-7)


@law(NUMBERS)
def test_ways_forth_and_back_are_adjoint(case):
    if not has_slope(case):
        return
    data = rows(case, 1)[0]
    told = Held(case, data)
    random = np.random.default_rng(5)
    xs = [dt.tensor(x) for x in data]
    moving = tuple(x for x, h in zip(xs, told.held, strict=True) if not h)
    still = [x for x, h in zip(xs, told.held, strict=True) if h]

    def call(*moving):
        given, rest = iter(moving), iter(still)
        dt.manual_seed(0)
        found = function(case)(*[next(rest) if h else next(given) for h in told.held])
        return tuple(x for x in found if x.dtype.kind in ("float", "complex"))

    def like(x):
        array = random.standard_normal(tuple(x.shape))
        if x.is_complex():
            array = array + 1j * random.standard_normal(tuple(x.shape))
        return dt.tensor(array).to(x.dtype)

    tangents = tuple(map(like, moving))
    outs, forth = func.jvp(call, moving, tangents)
    weights = tuple(map(like, outs))
    _, back = func.vjp(call, *moving)
    left = sum((w.conj() * t).sum().real for w, t in zip(weights, forth, strict=True))
    right = sum((g.conj() * t).sum().real for g, t in zip(back(weights), tangents, strict=True))
    np.testing.assert_allclose(float(left), float(right), rtol=1e-6, atol=1e-7)


@law([case for case in EVERY if case.number == 0])
def test_batches_of_batches(case):
    data = [rows(case, 2), rows(case, 4)[2:]]
    call = function(case)
    columns = [
        dt.tensor(np.stack([[row[k] for row in part] for part in data], axis=1))
        for k in range(len(data[0][0]))
    ]
    dt.manual_seed(0)
    found = func.vmap(func.vmap(call, randomness="same"), in_dims=1, out_dims=1, randomness="same")(
        *columns
    )
    for i in range(2):
        for j in range(2):
            dt.manual_seed(0)
            expected = call(*[x[j, i] for x in columns])
            for f, e in zip(found, expected, strict=True):
                agree(f[j, i], e, f"example {i}, {j}")


@pytest.mark.parametrize("name", sorted(DYNAMIC - {"repeat_interleave"}))
def test_what_depends_on_values_is_refused(name):
    case = next(c for c in cases(plain) if c.name == name and c.samples())
    data = rows(case)
    columns = [dt.tensor(np.stack([row[k] for row in data])) for k in range(len(data[0]))]
    with pytest.raises(RuntimeError, match="vmap"):
        func.vmap(function(case))(*columns)
