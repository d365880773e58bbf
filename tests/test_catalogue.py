"""Laws that every operation keeps, tried on its own examples."""

import inspect
import re
import weakref

import numpy as np
import pytest
import samples
from samples import cases, cotangents, law, leaves, tensors, tracked

import devtensor as dt
from devtensor.autograd.graph import saved_tensors_hooks
from devtensor.autograd.node import Call
from devtensor.autograd.view import requires_grad
from devtensor.op import catalogue, in_place

EVERY = cases(lambda entry: entry.op is None or not entry.op.writes)
OPS = [case for case in EVERY if case.op is not None]

# At these points one-sided slopes differ, or the formula is not the slope of what is computed.
NO_SLOPE = {}


def has_numbers(case):
    return any(array.dtype.kind in "fc" for array in case.arrays())


DIFFERENTIABLE = [case for case in EVERY if has_numbers(case) and case.id not in NO_SLOPE]


def run(case, xs):
    dt.manual_seed(0)
    return tracked(case.call(xs)) if isinstance(xs[0], dt.Tensor) else None


def pulled(case, arrays, weights=None, device="cpu", create_graph=False):
    """The inputs that can have gradients, weights of the outputs, and the gradients."""
    xs = tensors(arrays, device, grad=True)
    outs = run(case, xs)
    wanted = [x for x in xs if requires_grad(x)]
    if not outs:
        return wanted, [], [], []
    weights = cotangents(outs, device=device) if weights is None else weights
    grads = dt.autograd.grad(
        outs, wanted, weights, create_graph=create_graph, allow_unused=True
    )
    return wanted, outs, weights, list(grads)


def slope(function, arrays, place, step=1e-5, most=24):
    """Central differences of a function of arrays for elements of one of them.

    Returns the numbers of the elements, and the slope for each.
    """
    array = arrays[place]
    count = array.size
    picked = range(count)
    if count > most:
        picked = np.random.default_rng(0).choice(count, most, replace=False)
    slopes = []
    for element in picked:
        where = np.unravel_index(element, array.shape)
        total = 0
        for unit in (1,) if array.dtype.kind == "f" else (1, 1j):
            sides = []
            for sign in (1, -1):
                moved = array.copy()
                moved[where] += sign * unit * step
                sides.append(function([*arrays[:place], moved, *arrays[place + 1 :]]))
            total = total + unit * (sides[0] - sides[1]) / (2 * step)
        slopes.append(total)
    return list(picked), np.array(slopes)


def agree(found, expected, picked, what):
    flat = np.zeros(0) if found is None else samples.numpy(found).reshape(-1)[picked]
    if found is None:
        flat = np.zeros(len(picked))
    np.testing.assert_allclose(flat, expected, rtol=2e-5, atol=2e-6, err_msg=what)


@law(DIFFERENTIABLE)
def test_gradient_is_the_slope(case):
    arrays = case.arrays()
    wanted, outs, weights, grads = pulled(case, arrays)
    if not outs:
        return
    factors = [samples.numpy(w) for w in weights]
    places = [i for i, x in enumerate(arrays) if x.dtype.kind in "fc"]
    chosen = [requires_grad(x) for x in leaves(run_all(case, arrays))]

    def total(arrays):
        dt.manual_seed(0)
        with dt.no_grad():
            found = leaves(case.call(tensors(arrays)))
        found = [x for x, keep in zip(found, chosen, strict=True) if keep]
        return sum(
            np.sum(samples.numpy(x) * np.conj(w)).real for x, w in zip(found, factors, strict=True)
        )

    for place, g in zip(places, grads, strict=True):
        picked, expected = slope(total, arrays, place)
        agree(g, expected, picked, f"input {place}")


def run_all(case, arrays):
    dt.manual_seed(0)
    return case.call(tensors(arrays, grad=True))


@law(DIFFERENTIABLE)
def test_gradient_of_the_gradient_is_its_slope(case):
    arrays = case.arrays()
    wanted, outs, weights, grads = pulled(case, arrays)
    if not outs:
        return
    places = [i for i, x in enumerate(arrays) if x.dtype.kind in "fc"]
    factors = [samples.numpy(w) for w in weights]
    given = [g is not None for g in grads]
    vectors = cotangents(wanted)

    def contracted(grads, vectors):
        parts = [(g * v.conj()).sum() for g, v, is_there in zip(grads, vectors, given, strict=True) if is_there]
        parts = [p.real if p.is_complex() else p for p in parts]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def total(everything):
        xs, ws = everything[: len(arrays)], everything[len(arrays) :]
        _, _, _, grads = pulled(case, xs, tensors(ws))
        return float(contracted(grads, vectors))

    if not any(given):
        return
    leads = tensors(factors, grad=True)
    wanted, outs, _, grads = pulled(case, arrays, leads, create_graph=True)
    whole = contracted(grads, vectors)
    if not whole.requires_grad:
        second = [None] * (len(wanted) + len(leads))
    else:
        second = dt.autograd.grad(whole, [*wanted, *leads], allow_unused=True)
    everything = [*arrays, *factors]
    for place, g in zip([*places, *range(len(arrays), len(everything))], second, strict=True):
        picked, expected = slope(total, everything, place, most=12)
        agree(g, expected, picked, f"input {place} of {len(arrays)}")


@law(EVERY)
def test_other_devices_agree_with_the_cpu(case, other_device):
    arrays = case.arrays()
    results = []
    for device in ("cpu", other_device):
        dt.manual_seed(0)
        with dt.device(device):
            xs = tensors(arrays, device, grad=True)
            outs = leaves(case.call(xs))
            wanted = [x for x in xs if x.requires_grad]
            every = [x for x in outs if isinstance(x, dt.Tensor)]
            assert all(x.device == dt.device(device) for x in every)
            carrying = [x for x in every if x.requires_grad]
            grads = second = []
            if wanted and carrying:
                leads = cotangents(carrying, device=device)
                for lead in leads:
                    lead.requires_grad_()
                grads = dt.autograd.grad(
                    carrying, wanted, leads, create_graph=True, allow_unused=True
                )
                there = [(g, x) for g, x in zip(grads, wanted, strict=True) if g is not None]
                loose = [(g, x) for g, x in there if g.requires_grad]
                if loose:
                    second = dt.autograd.grad(
                        [g for g, _ in loose],
                        [*wanted, *leads],
                        cotangents([x for _, x in loose], device=device),
                        allow_unused=True,
                    )
        results.append([*outs, *grads, *second])
    ours, theirs = results
    for one, two in zip(ours, theirs, strict=True):
        if not isinstance(one, dt.Tensor):
            assert one == two
            continue
        assert one.dtype == two.dtype
        assert one.shape == two.shape
        np.testing.assert_allclose(samples.numpy(one), samples.numpy(two), rtol=1e-7, atol=1e-9)


# ---- what is saved


@law(EVERY)
def test_nothing_is_saved_where_no_gradient_is_wanted(case):
    packed = []
    with saved_tensors_hooks(packed.append, None):
        outs = leaves(case.call(tensors(case.arrays())))
        for x in outs:
            assert not isinstance(x, dt.Tensor) or (x.grad_fn is None and not x.requires_grad)
        with dt.no_grad():
            outs = leaves(case.call(tensors(case.arrays(), grad=True)))
    with dt.inference_mode():
        outs += leaves(case.call(tensors(case.arrays())))
    assert not packed
    for x in outs:
        if isinstance(x, dt.Tensor) and not x.is_leaf:
            assert x._is_view()  # a view of a leaf shows the leaf's flag
            assert x.grad_fn is None


@law(OPS)
def test_saved_is_what_the_rules_name(case):
    op = case.op
    inputs, _, outs = launched(case, tensors(case.arrays(), grad=True))
    carrying = [x for x in outs if x is not None and x.requires_grad]
    if not carrying:
        return
    node = carrying[0].grad_fn
    assert isinstance(node, Call)
    wanted = tuple([isinstance(x, dt.Tensor) and x.requires_grad for x in inputs])
    assert node.plan is op.plan(wanted)
    assert node.name() == op.node
    values = {*op.inputs, "out", *(op.outputs if isinstance(op.outputs, tuple) else ())}
    kept = [(s, v) for s, v in zip(node.plan.saves, node.links[node.plan.edges :], strict=True)]
    assert {save.name for save, _ in kept if not save.part} == asked(op, wanted) & values
    for save, value in kept:
        if save.part:
            assert not holds_memory(value)
        elif save.place >= 0 and save.place != op.star:
            given = inputs[save.place]
            assert value is given or given.__class__ in (int, float, complex, bool) or (
                value.dtype != given.dtype
            )


@law(OPS)
def test_what_is_not_saved_is_let_go(case):
    op = case.op
    if op.view:
        return
    inputs, watched, outs = launched(case, tensors(case.arrays(), grad=True))
    wanted = tuple([isinstance(x, dt.Tensor) and x.requires_grad for x in inputs])
    named = asked(op, wanted)
    del inputs
    for name, watch in watched:
        assert (watch() is not None) <= (name in named), name
    assert outs is not None


def asked(op, wanted):
    """The names that the rules ask for, of the inputs whose gradients are wanted."""
    found = set()
    for name, asked in op.rule_names.items():
        of_name = [w for w, n in zip(wanted, names(op, len(wanted)), strict=True) if n == name]
        if any(wanted) if name == "together" else any(of_name):
            found.update(asked)
    return found


def launched(case, xs):
    """The inputs of a call in order, weak references to its tensors, and its results."""
    op = case.op
    args, kwargs = case.filled(iterate(xs))
    inputs, _ = op.bind(args, kwargs)
    if op.star is not None:
        inputs[op.star :] = inputs[op.star]
    result = op.function(*args, **kwargs)
    listed = zip(names(op, len(inputs)), inputs, strict=True)
    watched = [(name, weakref.ref(x)) for name, x in listed if isinstance(x, dt.Tensor)]
    return inputs, watched, list(result) if op.outputs is not None else [result]


def iterate(xs):
    rest = iter(xs)
    return lambda sample: next(rest)


def names(op, number):
    """The name of each input."""
    listed = list(op.inputs)
    if op.star is not None:
        listed[op.star : op.star + 1] = [op.inputs[op.star]] * (number - len(op.inputs) + 1)
    return listed


def holds_memory(value):
    if isinstance(value, tuple):
        return any(holds_memory(part) for part in value)
    return isinstance(value, (dt.Tensor, np.ndarray))


# ---- memory


def memory(x):
    """The bytes of a cpu tensor."""
    return x.detach().numpy()


def shares(one, two):
    return np.may_share_memory(memory(one), memory(two))


@law(OPS)
def test_views_share_memory_and_nothing_else_does(case):
    op = case.op
    xs = tensors(case.arrays())
    before = [memory(x).copy() for x in xs]
    with dt.no_grad():
        outs = [x for x in leaves(case.call(xs)) if isinstance(x, dt.Tensor)]
    for x, old in zip(xs, before, strict=True):
        np.testing.assert_array_equal(memory(x), old)
        assert x._version == 0
    for out in outs:
        if not out.numel():
            continue
        shared = [x for x in xs if shares(out, x)]
        if not op.view:
            assert not shared
            assert not out._is_view()
            continue
        if op.view is True:
            assert shared == [xs[0]] or xs[0].numel() == 0
        assert out._is_view() == bool(shared)
        if shared:
            assert out._base is xs[0]
            assert out._version == xs[0]._version
    first = xs[0] if xs else None
    shown = [out for out in outs if out.numel() and first is not None and shares(out, first)]
    if shown and not any(stride == 0 for stride in shown[0].stride()):
        with dt.no_grad():
            out = shown[0]
            old = memory(first).copy()
            version = first._version
            out.copy_(out * 0 + 1 if out.dtype != dt.bool else ~out)
        assert first._version == out._version == version + 1
        assert not np.array_equal(memory(first), old)


@law(EVERY)
def test_inputs_stay_as_they_are(case, device):
    xs = tensors(case.arrays(), device, grad=True)
    dt.manual_seed(0)
    outs = tracked(case.call(xs))
    if outs:
        weights = cotangents(outs, device=device)
        kept = [samples.numpy(w).copy() for w in weights]
        dt.autograd.backward(outs, weights)
        for w, old in zip(weights, kept, strict=True):
            np.testing.assert_array_equal(samples.numpy(w), old)
    for x, array in zip(xs, case.arrays(), strict=True):
        np.testing.assert_array_equal(samples.numpy(x), array)


IN_PLACE = [case for case in OPS if case.op.inplace and case.op.outputs is None and case.op.inputs]


def writable(case):
    """Whether the result fits into the first input."""
    xs = tensors(case.arrays())
    args, _ = case.filled(iterate(xs))
    if not isinstance(args[0], dt.Tensor):
        return False
    out = case.call(xs)
    return out.shape == args[0].shape and out.dtype == args[0].dtype


IN_PLACE = [case for case in IN_PLACE if writable(case)]


@law(IN_PLACE)
def test_in_place_is_the_same_written_over(case, device):
    write = in_place(case.entry.function)
    results = []
    for function in (case.entry.function, write):
        xs = tensors(case.arrays(), device, grad=True)
        copies = [x.clone() for x in xs]
        dt.manual_seed(0)
        out = case.call(copies, function)
        if function is write:
            assert out is copies[0]
            assert [x._version for x in copies] == [1] + [0] * (len(copies) - 1)
        grads = []
        if out.requires_grad:
            wanted = [x for x in xs if x.requires_grad]
            weights = cotangents([out], device=device)
            grads = dt.autograd.grad([out], wanted, weights, allow_unused=True)
        results.append([out, *grads])
    for one, two in zip(*results, strict=True):
        if one is None or two is None:
            assert (one is None or not one.any()) and (two is None or not two.any())
            continue
        assert one.dtype == two.dtype
        np.testing.assert_array_equal(samples.numpy(one), samples.numpy(two))


@law(IN_PLACE)
def test_in_place_is_a_method(case):
    entry = case.entry
    if entry.public and entry.home != "nn":
        assert hasattr(dt.Tensor, f"{entry.name}_")


# ---- forms of the inputs


def strided(array, device):
    """A tensor of the same values, every second element of its memory."""
    wide = np.zeros((*array.shape[:-1], array.shape[-1] * 2), array.dtype)
    wide[..., ::2] = array
    return dt.tensor(wide, device=device)[..., ::2].detach()


FORMED = [case for case in EVERY if any(x.ndim and x.size for x in case.arrays())]


@law(FORMED)
def test_the_layout_of_memory_does_not_matter(case):
    arrays = case.arrays()
    results = []
    for form in (dt.tensor, strided):
        dt.manual_seed(0)
        xs = [form(a, device="cpu") if a.ndim else dt.tensor(a) for a in arrays]
        for x in xs:
            if x.dtype.kind in ("float", "complex"):
                x.requires_grad_()
        try:
            outs = leaves(case.call(xs))
        except RuntimeError as error:
            assert "view" in str(error)  # Some shapes cannot be had without a copy.
            return
        carrying = [x for x in outs if isinstance(x, dt.Tensor) and x.requires_grad]
        wanted = [x for x in xs if x.requires_grad]
        grads = []
        if wanted and carrying:
            weights = cotangents(carrying)
            grads = dt.autograd.grad(carrying, wanted, weights, allow_unused=True)
        results.append([*outs, *grads])
    for one, two in zip(*results, strict=True):
        if isinstance(one, dt.Tensor):
            assert one.dtype == two.dtype
            np.testing.assert_allclose(samples.numpy(one), samples.numpy(two), rtol=1e-12, atol=1e-14)


# ---- descriptions

ENTRIES = list(catalogue.values())


@pytest.mark.parametrize("entry", ENTRIES, ids=[e.name for e in ENTRIES])
def test_described(entry):
    text = inspect.getdoc(entry.function) or ""
    first = text.split("\n")[0]
    assert first.endswith("."), first
    assert entry.examples, "no examples"


@pytest.mark.parametrize(
    "entry",
    [e for e in ENTRIES if e.op is not None and e.op.outputs is not None],
    ids=lambda e: e.name,
)
def test_rules_for_several_results_take_several_gradients(entry):
    for asked in entry.op.rule_names.values():
        assert "g" not in asked


def test_names_are_given_once():
    taken = {}
    for entry in ENTRIES:
        for name in (entry.name, *entry.aliases):
            assert name not in taken or taken[name] == entry.home, (name, entry.name)
            taken[name] = entry.home
        assert re.fullmatch("[a-zA-Z_0-9]+", entry.name)


