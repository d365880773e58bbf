"""Laws that every operation keeps, tried on its own examples."""

import inspect
import re
import weakref
from dataclasses import replace

import numpy as np
import pytest

import devtensor as dt
import samples
from devtensor.autograd import write
from devtensor.autograd.graph import saved_tensors_hooks
from devtensor.autograd.node import Call
from devtensor.autograd.view import requires_grad
from devtensor.op import catalogue, in_place
from samples import cases, cotangents, law, leaves, tensors, tracked

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated:UserWarning")

UNSET = (
    "empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided",
    "unset", "unset_strided",
)  # fmt: skip


def plain(entry):
    """Whether an entry leaves its inputs alone and says what its result holds."""
    writes = entry.name.endswith("_") or (entry.op is not None and entry.op.writes)
    return not writes and entry.name not in UNSET


EVERY = cases(plain)
OPS = [case for case in EVERY if case.op is not None]

# Examples at points where the slope jumps, or where the rule is not the slope, and why.
NO_SLOPE = {
    "frexp-1": "powers of two",
    "special_entr-1": "ends at 0",
    "cholesky_inverse": "one triangle is read, and the gradient is PyTorch's, for both",
    "cholesky_solve": "one triangle is read, and the gradient is PyTorch's, for both",
    "embedding": "what stands at the padding does not count",
    "embedding_at": "what stands at the padding does not count",
}
NO_SECOND_SLOPE = {
    "maximum-3": "equal numbers",
    "minimum-3": "equal numbers",
    "special_i0e-1": "a kink at 0",
}


def rough(case):
    """Why no slopes can be had by moving the example's numbers a little; None if they can."""
    numbers = [x for x in case.arrays() if x.dtype.kind in "fc"]
    if not numbers:
        return "no numbers"
    if not all(np.isfinite(x).all() for x in numbers):
        return "numbers that are not finite"
    return NO_SLOPE.get(case.name) or NO_SLOPE.get(case.id)


SMOOTH = [case for case in EVERY if rough(case) is None]
TWICE = [case for case in SMOOTH if case.id not in NO_SECOND_SLOPE]


def run(case, xs):
    dt.manual_seed(0)
    return tracked(case.call(xs))


def matrices(case, arrays):
    """Symmetric matrices out of those that were moved away from symmetry."""
    samples_ = [*case.samples(), *[None] * len(arrays)]
    return [
        symmetric(x) if sample is not None and sample.kind == "spd" else x
        for x, sample in zip(arrays, samples_, strict=False)
    ]


def places_of(case, arrays):
    """The numbers of the arrays that have gradients."""
    return [
        i for i, (x, held) in enumerate(zip(arrays, case.held, strict=True))
        if x.dtype.kind in "fc" and not held
    ]  # fmt: skip


def symmetric(x):
    return (x + np.swapaxes(x, -1, -2).conj()) / 2


def pulled(case, arrays, weights=None, device="cpu", create_graph=False):
    """The inputs that can have gradients, weights of the outputs, and the gradients."""
    xs = case.tensors(device, True, arrays)
    outs = run(case, xs)
    wanted = [x for x in xs if requires_grad(x)]
    if not outs:
        return wanted, [], [], []
    weights = cotangents(outs, device=device) if weights is None else weights
    grads = dt.autograd.grad(outs, wanted, weights, create_graph=create_graph, allow_unused=True)
    return wanted, outs, weights, list(grads)


def slope(terms, arrays, place, most, step=1e-5):
    """Central differences of a sum for elements of one of the arrays that it depends on.

    Returns the numbers of the elements, and the slope for each. The terms are not summed before
    they are subtracted, as large ones would drown the others.
    """
    array = arrays[place]
    picked = range(array.size)
    if array.size > most:
        picked = np.random.default_rng(0).choice(array.size, most, replace=False)
    slopes = []
    for element in picked:
        where = np.unravel_index(element, array.shape)
        total = 0
        for unit in (1,) if array.dtype.kind == "f" else (1, 1j):
            sides = []
            for sign in (1, -1):
                moved = array.copy()
                moved[where] += sign * unit * step
                sides.append(terms([*arrays[:place], moved, *arrays[place + 1 :]]))
            total = total + unit * np.sum(sides[0] - sides[1]) / (2 * step)
        slopes.append(total)
    return list(picked), np.array(slopes)


def weighted(values, weights):
    """The terms of the weighted sum of several arrays."""
    return np.concatenate(
        [(v * np.conj(w)).real.reshape(-1) for v, w in zip(values, weights, strict=True)]
    )


def agree(found, case, place, expected, picked):
    """Hold a gradient against slopes."""
    listed = case.samples()
    flat = np.zeros(len(picked))
    if found is not None:
        found = samples.numpy(found)
        if place < len(listed) and listed[place].kind == "spd":
            found = symmetric(found)
        flat = found.reshape(-1)[picked]
    limits = {"rtol": 2e-5, "atol": 2e-6}
    np.testing.assert_allclose(flat, expected, **limits, err_msg=f"input {place}")


def check_slope(case, most=8):
    """Hold gradients against slopes, for at most so many elements of each input."""
    arrays = case.arrays()
    _, outs, weights, grads = pulled(case, arrays)
    if not outs:
        return
    factors = [samples.numpy(w) for w in weights]
    dt.manual_seed(0)
    chosen = [
        isinstance(x, dt.Tensor) and x.requires_grad
        for x in leaves(case.call(case.tensors("cpu", True, arrays)))
    ]

    def terms(arrays):
        dt.manual_seed(0)
        with dt.no_grad():
            found = leaves(case.call(tensors(matrices(case, arrays))))
        found = [samples.numpy(x) for x, choose in zip(found, chosen, strict=True) if choose]
        return weighted(found, factors)

    for place, g in zip(places_of(case, arrays), grads, strict=True):
        picked, expected = slope(terms, arrays, place, most=most)
        agree(g, case, place, expected, picked)


def check_second_slope(case, most=5):
    """The same of the gradients' own gradients."""
    arrays = case.arrays()
    wanted, _, weights, grads = pulled(case, arrays)
    arrived = [i for i, g in enumerate(grads) if g is not None]
    if not arrived:
        return
    factors = [samples.numpy(w) for w in weights]
    vectors = cotangents(wanted)
    bare = [samples.numpy(vectors[i]) for i in arrived]

    def terms(everything):
        xs = matrices(case, everything[: len(arrays)])
        _, _, _, grads = pulled(case, xs, tensors(everything[len(arrays) :]))
        return weighted([samples.numpy(grads[i]) for i in arrived], bare)

    leads = tensors(factors, grad=True)
    wanted, _, _, grads = pulled(case, arrays, leads, create_graph=True)
    loose = [i for i in arrived if grads[i].requires_grad]
    second = [None] * (len(wanted) + len(leads))
    if loose:
        second = dt.autograd.grad(
            [grads[i] for i in loose],
            [*wanted, *leads],
            [vectors[i] for i in loose],
            allow_unused=True,
        )
    everything = [*arrays, *factors]
    places = [*places_of(case, arrays), *range(len(arrays), len(everything))]
    for place, g in zip(places, second, strict=True):
        picked, expected = slope(terms, everything, place, most=most)
        agree(g, case, place, expected, picked)


@law(SMOOTH)
def test_gradient_is_the_slope(case):
    check_slope(case)


@law(TWICE)
def test_gradient_of_the_gradient_is_its_slope(case):
    check_second_slope(case)


def takes_complex(case):
    """Whether the call takes complex numbers and gives some that have gradients."""
    if not any(x.dtype.kind == "c" for x in case.arrays()):
        return False
    try:
        outs = leaves(case.call(case.tensors(grad=True)))
    except (RuntimeError, NotImplementedError, TypeError, ValueError):
        return False
    finite = [np.isfinite(samples.numpy(x)).all() for x in outs if isinstance(x, dt.Tensor)]
    return bool(tracked(outs)) and all(finite)


# Vectors are unique but for a phase, so sums of them have no slope.
PHASES = ("linalg_eigh", "linalg_svd", "pca_lowrank", "svd", "svd_lowrank")
COMPLEX = [replace(case, complex=True) for case in SMOOTH if case.name not in PHASES]


@law(COMPLEX)
def test_complex_gradients_are_slopes(case):
    if takes_complex(case):
        check_slope(case, most=4)  # each takes two slopes
        check_second_slope(case, most=2)


@pytest.mark.parametrize("name", ["linalg_eigh", "linalg_svd"])
def test_complex_gradients_that_do_not_depend_on_phases(name):
    case = replace(next(case for case in SMOOTH if case.name == name), complex=True)
    function = case.entry.function

    def call(A):
        A = (A + A.mH) / 2 if name == "linalg_eigh" else A
        return tuple(x.abs() for x in function(A, **case.kwargs))

    assert dt.autograd.gradcheck(call, case.tensors(grad=True))
    assert dt.autograd.gradgradcheck(call, case.tensors(grad=True), atol=1e-4)


AMBIGUOUS = {"linalg_eigh", "linalg_svd", "svd", "svd_lowrank", "pca_lowrank"}
"""Vectors are given up to their signs, which each library chooses."""


APART = {"log10": 2}
"""Units in the last place of single precision, where each of two libraries is one off."""


@law(EVERY)
def test_other_devices_agree_with_the_cpu(case, other_device):
    arrays = case.arrays()
    results = []
    for device in ("cpu", other_device):
        dt.manual_seed(0)
        with dt.device(device):
            xs = case.tensors(device, True, arrays)
            outs = leaves(case.call(xs))
            if case.name in AMBIGUOUS:
                outs = [x.abs() for x in outs]
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
        # A private operation may number things in the type that suits the library.
        assert one.dtype == two.dtype or not (case.entry.public or one.is_floating_point())
        assert one.shape == two.shape
        near = 1e-7
        if one.dtype in (dt.float32, dt.complex64):  # the last bit may be rounded either way
            near = APART.get(case.name, 1) * float(np.finfo(np.float32).eps)
        np.testing.assert_allclose(samples.numpy(one), samples.numpy(two), rtol=near, atol=1e-9)


# ---- what is saved


@law(EVERY)
def test_nothing_is_saved_where_no_gradient_is_wanted(case):
    packed = []
    with saved_tensors_hooks(packed.append, None):
        outs = leaves(case.call(case.tensors()))
        for x in outs:
            assert not isinstance(x, dt.Tensor) or (x.grad_fn is None and not x.requires_grad)
        with dt.no_grad():
            outs = leaves(case.call(case.tensors(grad=True)))
    with dt.inference_mode():
        outs += leaves(case.call(case.tensors()))
    assert not packed
    for x in outs:
        if isinstance(x, dt.Tensor) and not x.is_leaf:
            assert x._is_view()  # a view of a leaf shows the leaf's flag
            assert x.grad_fn is None


@law(OPS)
def test_saved_is_what_the_rules_name(case):
    op = case.op
    inputs, _, outs = launched(case, case.tensors(grad=True))
    carrying = [x for x in outs if x is not None and x.requires_grad]
    if not carrying:
        return
    node = carrying[0].grad_fn
    assert isinstance(node, Call)
    wanted = tuple([isinstance(x, dt.Tensor) and x.requires_grad for x in inputs])
    assert node.plan.saves == op.plan(wanted).saves
    assert node.name() == op.node
    values = {*op.inputs, "out", *(op.outputs if isinstance(op.outputs, tuple) else ())}
    kept = [(s, v) for s, v in zip(node.plan.saves, node.links[node.plan.edges :], strict=True)]
    assert {save.name for save, _ in kept if not save.part} == asked(op, wanted) & values
    for save, value in kept:
        if save.part:
            assert not holds_memory(value)
        elif save.place >= 0 and save.place != op.star:
            given = inputs[save.place]
            assert (
                value is given
                or given.__class__ in (int, float, complex, bool)
                or (value.dtype != given.dtype)
            )


@law(OPS)
def test_what_is_not_saved_is_let_go(case):
    op = case.op
    if op.view:
        return
    inputs, watched, outs = launched(case, case.tensors(grad=True))
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
    return found - {"xp", "g", "gs", "needs", "i"}


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


# Kernels that serve writing only: what they return is copied at once.
WRITTEN = ("copied_from", "filled_with")


@law(OPS)
def test_views_share_memory_and_nothing_else_does(case):
    op = case.op
    xs = case.tensors()
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
            assert not shared or op.name in WRITTEN
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
    xs = case.tensors(device, grad=True)
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
    xs = case.tensors()
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
        xs = case.tensors(device, grad=True)
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


WRITERS = cases(lambda entry: entry.name.endswith("_") and entry.op is None)


@law(WRITERS)
def test_what_ends_in_an_underscore_writes_its_first_input(case, device, monkeypatch):
    arrays = case.arrays()
    for many in (write.MANY, 0):  # from how many elements on a part is written where it is
        monkeypatch.setattr(write, "MANY", many)
        xs = case.tensors(device)
        dt.manual_seed(0)
        out = case.call(xs)
        assert out is xs[0]
        assert [x._version > 0 for x in xs] == [True] + [False] * (len(xs) - 1)
        for x, array in zip(xs[1:], arrays[1:], strict=True):
            np.testing.assert_array_equal(samples.numpy(x), array)
        beside = catalogue.get(case.name.removesuffix("_"))
        if beside is not None and "empty" not in case.name:
            dt.manual_seed(0)
            expected = case.call(case.tensors(device), beside.function)
            np.testing.assert_array_equal(samples.numpy(out), samples.numpy(expected))


# ---- forms of the inputs


def strided(array, device):
    """A tensor of the same values, every second element of its memory."""
    wide = np.zeros((*array.shape[:-1], array.shape[-1] * 2), array.dtype)
    wide[..., ::2] = array
    return dt.tensor(wide, device=device)[..., ::2].detach()


OF_MEMORY = ("as_strided", "as_strided_copy", "as_strided_scatter", "strided")
FORMED = [
    case
    for case in EVERY
    if any(x.ndim and x.size for x in case.arrays()) and case.name not in OF_MEMORY
]


@law(FORMED)
def test_the_layout_of_memory_does_not_matter(case):
    arrays = case.arrays()
    results = []
    for form in (dt.tensor, strided):
        dt.manual_seed(0)
        xs = [form(a, device="cpu") if a.ndim else dt.tensor(a) for a in arrays]
        for x, held in zip(xs, case.held, strict=True):
            if x.dtype.kind in ("float", "complex") and not held:
                x.requires_grad_()
        try:
            outs = leaves(case.call(xs))
        except RuntimeError as error:
            assert re.search("view|stride", str(error))  # Some shapes cannot be had without a copy.
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
            np.testing.assert_allclose(
                samples.numpy(one), samples.numpy(two), rtol=1e-12, atol=1e-14
            )


# ---- descriptions

ENTRIES = list(catalogue.values())


@pytest.mark.parametrize("entry", ENTRIES, ids=[e.name for e in ENTRIES])
def test_described(entry):
    text = inspect.getdoc(entry.function) or ""
    first = text.split("\n")[0]
    assert first.endswith("."), first
    # One takes two devices, two have sparse gradients; random numbers have tests of their own.
    drawn = ("devtensor.ops.gamma", "devtensor.ops.random")
    others = ("carried", "embedding_of", "gather_of")
    elsewhere = entry.name in others or entry.function.__module__ in drawn
    assert entry.examples or elsewhere, "no examples"


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
