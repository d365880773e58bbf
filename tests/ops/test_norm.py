"""Normalizations against PyTorch: values, first and second gradients, statistics, refusals."""

import warnings

import numpy as np
import pytest
import torch
from beside_torch import floats, ints, refused, same, tensors

import devtensor as dt

BATCHES = [(4, 3), (2, 3, 1), (2, 3, 5), (1, 3, 40), (2, 3, 4, 2), (2, 3, 7, 6), (2, 3, 2, 3, 2)]


def second(call, *arrays, rtol=1e-6):
    """Assert that the gradients of the gradients agree."""
    found = []
    for module in (dt, torch):
        inputs = tensors(module, arrays, True)
        out = call(module, *inputs)
        slopes = module.autograd.grad((out * out * out).sum(), inputs, create_graph=True)
        total = sum(
            (s * module.cos(x.detach() * 3)).sum() for s, x in zip(slopes, inputs, strict=True)
        )
        total.backward()
        found.append([x.grad for x in inputs])
    for one, two in zip(*found, strict=True):
        np.testing.assert_allclose(one.numpy(), two.numpy(), rtol=rtol, atol=rtol * 10)


def both(call, *arrays, rtol=1e-6):
    same(call, *arrays, rtol=rtol)
    second(call, *arrays, rtol=rtol)


def factors(m, given, tensors, shape):
    """Factor and shift by name.

    PyTorch fails at the second derivative with a shift and no factor, so it is given ones.
    """
    options = dict(zip(given.split(), tensors, strict=True))
    if given == "bias" and m is torch:
        options["weight"] = m.ones(shape, dtype=m.float64)
    return options


# ---- rows


@pytest.mark.parametrize(
    ("shape", "size"),
    [((5,), 1), ((3, 4), 1), ((3, 4), 2), ((2, 3, 40), 1), ((2, 3, 4), 2), ((1, 1), 1)],
)
@pytest.mark.parametrize("given", ["", "weight", "bias", "weight bias"])
@pytest.mark.parametrize("much", [0, 1 << 15])
def test_layer_norm(shape, size, given, much, monkeypatch):
    monkeypatch.setattr("devtensor_numpy.kernels.norm_rows.MUCH", much)
    inner = shape[-size:]
    parts = [
        floats(*inner, seed=i + 1) for i, part in enumerate(("weight", "bias")) if part in given
    ]

    def call(m, x, *rest):
        options = factors(m, given, rest, inner)
        return m.nn.functional.layer_norm(x, inner, **options, eps=1e-3)

    both(call, floats(*shape), *parts)


@pytest.mark.parametrize(
    ("shape", "size"), [((5,), 1), ((3, 4), 1), ((2, 3, 40), 1), ((2, 3, 4), 2)]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_rms_norm(shape, size, weighted):
    inner = shape[-size:]
    rest = [floats(*inner, seed=1)] if weighted else []
    both(lambda m, x, *w: m.nn.functional.rms_norm(x, inner, *w), floats(*shape), *rest)
    both(lambda m, x, *w: m.nn.functional.rms_norm(x, inner, *w, eps=0.1), floats(*shape), *rest)


def test_the_smallest_step_of_the_calculation_is_the_default_of_rms_norm():
    for dtype in ("float16", "float32", "float64"):
        tiny = np.full((2, 4), 1e-4).astype(dtype)
        same(lambda m, x: m.nn.functional.rms_norm(x, (4,)), tiny, grad=False, rtol=1e-3)


def test_rms_norm_of_complex_numbers_and_of_two_types():
    def call(m, x, y, w):
        return m.view_as_real(m.nn.functional.rms_norm(m.complex(x, y), (4,), w, 0.5))

    same(call, floats(3, 4), floats(3, 4, seed=1), floats(4))
    for one, two in (("float32", "float64"), ("float64", "float32")):
        arrays = floats(3, 4).astype(one), floats(4).astype(two)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyTorch says that it is slow so
            same(lambda m, x, w: m.nn.functional.rms_norm(x, (4,), w), *arrays, rtol=1e-5)


@pytest.mark.parametrize("shape", [(0, 4), (2, 0), (0,)])
def test_rows_without_elements(shape):
    size = shape[-1:]
    weight, bias = floats(*size, seed=1), floats(*size, seed=2)
    same(
        lambda m, *xs: m.nn.functional.layer_norm(xs[0], size, *xs[1:]),
        floats(*shape),
        weight,
        bias,
    )
    same(lambda m, *xs: m.nn.functional.rms_norm(xs[0], size, *xs[1:]), floats(*shape), weight)


def test_many_rows_and_long_rows(monkeypatch):
    monkeypatch.setattr("devtensor_numpy.kernels.sums.BLOCK", 1 << 13)
    monkeypatch.setattr("devtensor_numpy.kernels.norm_rows.MUCH", 0)
    for shape in ((300, 20), (3, 5000), (2, 8192), (200, 9)):
        arrays = [floats(*shape), floats(shape[1], seed=1), floats(shape[1], seed=2)]
        for t in ("float64", "float32"):
            some = [x.astype(t) for x in arrays]
            rtol = 1e-6 if t == "float64" else 1e-4
            same(lambda m, x, *p: m.nn.functional.layer_norm(x, x.shape[1:], *p), *some, rtol=rtol)
            same(lambda m, x, w, b: m.nn.functional.rms_norm(x, x.shape[1:], w), *some, rtol=rtol)


def test_a_mean_far_from_zero_costs_no_digits():
    x = (floats(8, 256) + 3000).astype("float32")
    exact = torch.nn.functional.layer_norm(torch.tensor(x, dtype=torch.float64), (256,))
    ours = dt.nn.functional.layer_norm(dt.tensor(x), (256,))
    np.testing.assert_allclose(ours.numpy(), exact.numpy(), atol=1e-3)
    y = np.ascontiguousarray(x.reshape(8, 4, 64).swapaxes(0, 1))
    exact = torch.nn.functional.batch_norm(
        torch.tensor(y, dtype=torch.float64), None, None, None, None, True
    )
    ours = dt.nn.functional.batch_norm(dt.tensor(y), None, None, None, None, True)
    np.testing.assert_allclose(ours.numpy(), exact.numpy(), atol=1e-3)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("much", [0, 1 << 15])
def test_rows_are_exact_however_large_their_means_are(together, much, monkeypatch):
    monkeypatch.setattr("devtensor_numpy.kernels.norm_rows.MUCH", much)
    x = floats(5, 64) - floats(5, 64).mean(1, keepdims=True)
    x = x / x.std(1, keepdims=True) + np.array([[0.0], [0.9], [-1.1], [30.0], [-1000.0]])
    x = np.concatenate([x, x[:1] * 0, x[:1] * 0 + 3], dtype="float32")
    w, b = floats(64, seed=1).astype("float32"), floats(64, seed=2).astype("float32")
    wide = [torch.tensor(part, dtype=torch.float64) for part in (x, w, b)]
    exact = torch.nn.functional.layer_norm(wide[0], (64,), *wide[1:]).numpy()
    parts = [x] if together else np.split(x, len(x))
    factors = dt.tensor(w), dt.tensor(b)
    ours = [dt.nn.functional.layer_norm(dt.tensor(part), (64,), *factors) for part in parts]
    error = np.abs(dt.cat(ours).numpy() - exact).max(1)
    assert (error <= 1e-6 * (1 + np.abs(x).max(1))).all(), error


# ---- channels


def channel_call(kind, **options):
    """A call of one of the normalizations of channels with the parameters in `options`."""

    def call(m, x, *rest):
        given = factors(m, options.get("given", ""), rest, x.shape[1])
        f = m.nn.functional
        if kind == "batch":
            return f.batch_norm(x, None, None, **given, training=True, eps=1e-3)
        if kind == "instance":
            return f.instance_norm(x, **given, eps=1e-3)
        return f.group_norm(x, options["groups"], **given, eps=1e-3)

    return call


@pytest.mark.parametrize("shape", BATCHES)
@pytest.mark.parametrize("given", ["", "weight", "bias", "weight bias"])
@pytest.mark.parametrize("kind", ["batch", "instance", "group 1", "group 3"])
def test_channels(shape, given, kind):
    kind, *groups = kind.split()
    if kind == "instance" and np.prod(shape[2:]) == 1:
        return
    parts = [floats(3, seed=i + 1) for i, part in enumerate(("weight", "bias")) if part in given]
    call = channel_call(kind, given=given, groups=int(groups[0]) if groups else 0)
    both(call, floats(*shape), *parts, rtol=1e-5)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_groups_of_several_channels(groups):
    for shape in ((2, 6), (2, 6, 5), (3, 6, 8, 5)):
        call = channel_call("group", given="weight bias", groups=groups)
        both(call, floats(*shape), floats(6, seed=1), floats(6, seed=2), rtol=1e-5)


def test_channels_without_samples():
    shapes = {"batch": ((0, 3, 4), (2, 3, 0)), "group": ((0, 3, 4),)}  # PyTorch's NaN elsewhere
    for kind in shapes:
        call = channel_call(kind, given="weight bias", groups=3)
        for shape in shapes[kind]:
            same(call, floats(*shape), floats(3, seed=1), floats(3, seed=2))
    for shape in ((0, 3, 4), (2, 3, 0)):
        same(channel_call("instance"), floats(*shape), grad=False)
    weight = dt.ones(3).requires_grad_()
    dt.nn.functional.group_norm(dt.zeros(2, 3, 0), 3, weight).sum().backward()
    assert weight.grad.tolist() == [0, 0, 0]


def test_large_batches(monkeypatch):
    """More than one block, long and short channels."""
    monkeypatch.setattr("devtensor_numpy.kernels.sums.BLOCK", 1 << 13)
    for shape in ((30, 3, 40), (90, 3, 7), (600, 4), (2, 4, 70, 70)):
        count = shape[1]
        parts = [floats(*shape), floats(count, seed=1), floats(count, seed=2)]
        for kind in ("batch", "instance", "group"):
            if kind == "instance" and len(shape) == 2:
                continue
            call = channel_call(kind, given="weight bias", groups=count // 2 if count == 4 else 1)
            same(call, *parts)


def test_order_in_memory_does_not_matter():
    for call in (
        channel_call("batch"),
        channel_call("instance"),
        channel_call("group", groups=2),
        lambda m, x: m.nn.functional.layer_norm(x, x.shape[2:]),
        lambda m, x: m.nn.functional.rms_norm(x, x.shape[3:]),
    ):
        same(lambda m, x, call=call: call(m, x.permute(0, 3, 1, 2)), floats(2, 5, 3, 4))
        same(lambda m, x, call=call: call(m, x[:, ::2, 1:]) * 2, floats(2, 4, 3, 4))
        same(lambda m, x, call=call: call(m, x.expand(3, 4, 2, 5)), floats(4, 1, 5))


# ---- running statistics


@pytest.mark.parametrize("shape", BATCHES)
@pytest.mark.parametrize("kind", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize("momentum", [0.1, 0.0, 1.0])
def test_running_statistics(shape, kind, momentum):
    if kind == "instance_norm" and np.prod(shape[2:]) == 1:
        return

    def call(m, x, w, b, mean, var):
        mean, var = mean.detach().clone(), var.detach().clone().abs()
        f = getattr(m.nn.functional, kind)
        out = f(x, mean, var, w, b, True, momentum)
        assert not mean.requires_grad
        return out, mean, var

    same(call, floats(*shape), *[floats(3, seed=i) for i in range(1, 5)])


@pytest.mark.parametrize("shape", BATCHES)
@pytest.mark.parametrize("kind", ["batch_norm", "instance_norm"])
@pytest.mark.parametrize("given", ["", "weight", "bias", "weight bias"])
def test_fixed_statistics(shape, kind, given):
    parts = [floats(3, seed=i + 1) for i, part in enumerate(("weight", "bias")) if part in given]
    mean, var = floats(3, seed=5), np.abs(floats(3, seed=6)) + 0.1

    def call(m, x, *rest):
        options = factors(m, given, rest, 3)
        f = getattr(m.nn.functional, kind)
        return f(x, m.tensor(mean), m.tensor(var), **options, **{
            "training" if kind == "batch_norm" else "use_input_stats": False
        })  # fmt: skip

    both(call, floats(*shape), *parts)


@pytest.mark.parametrize("mode", ["enable_grad", "no_grad", "inference_mode"])
def test_statistics_are_tracked_in_every_mode_and_stay_normal(mode):
    mean, var = dt.zeros(3), dt.ones(3)
    x = dt.tensor(floats(4, 3).astype("float32"))
    with getattr(dt, mode)():
        dt.nn.functional.batch_norm(x, mean, var, training=True)
    assert not mean.is_inference()
    assert not var.is_inference()
    np.testing.assert_allclose(mean.numpy(), x.numpy().mean(0) * 0.1, rtol=1e-5)
    np.testing.assert_allclose(var.numpy(), 0.9 + x.numpy().var(0, ddof=1) * 0.1, rtol=1e-5)


def test_writing_statistics_later_does_not_disturb_the_way_back():
    def call(m, x, w):
        mean, var = m.zeros(3, dtype=m.float64), m.ones(3, dtype=m.float64)
        first = m.nn.functional.batch_norm(x, mean, var, w)
        once = m.nn.functional.batch_norm(x, mean, var, w, training=True)
        twice = m.nn.functional.batch_norm(x, mean, var, w, training=True)
        return once, twice, first.detach(), mean

    same(call, floats(4, 3), floats(3, seed=1))
    x = dt.tensor(floats(4, 3)).requires_grad_()
    mean, var = dt.zeros(3, dtype=dt.float64), dt.ones(3, dtype=dt.float64)
    first = dt.nn.functional.batch_norm(x, mean, var)
    dt.nn.functional.batch_norm(x, mean, var, training=True)
    first.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.full((4, 3), (1 + 1e-5) ** -0.5))


def test_no_samples_leave_the_statistics_of_batches():
    mean, var = dt.zeros(3), dt.ones(3)
    out = dt.nn.functional.batch_norm(dt.zeros(0, 3), mean, var, training=True)
    assert out.shape == (0, 3)
    assert mean.tolist() == [0, 0, 0]
    assert var.tolist() == [1, 1, 1]


# ---- types


@pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])
@pytest.mark.parametrize("wide", [False, True])
def test_small_types(dtype, wide):
    found = []
    for m in (dt, torch):
        small = getattr(m, dtype)
        other = m.float32 if wide else small
        x = m.tensor(floats(4, 6, 5).tolist()).to(small).requires_grad_()
        w = m.tensor(floats(6, seed=1).tolist()).to(other).requires_grad_()
        b = m.tensor(floats(6, seed=2).tolist()).to(other).requires_grad_()
        w5, b5 = (m.tensor(floats(5, seed=i).tolist()).to(other).requires_grad_() for i in (3, 4))
        mean, var = m.zeros(6, dtype=other), m.ones(6, dtype=other)
        f = m.nn.functional
        outs = [
            f.layer_norm(x, (5,), w5, b5),
            f.rms_norm(x, (5,), w5.detach().to(small)),
            f.group_norm(x, 3, w, b),
            f.batch_norm(x, mean, var, w, b, True),
            f.batch_norm(x, mean, var, w, b),
            f.instance_norm(x),
        ]
        assert all(out.dtype is small for out in outs)
        sum((out.to(m.float32) * m.arange(5)).sum() for out in outs).backward()
        leaves = [x, w, b, w5, b5]
        for leaf in leaves:
            assert leaf.grad.dtype is leaf.dtype
        found.append([t.detach().to(m.float32).numpy() for t in (*outs, mean, var)])
        found.append([t.grad.to(m.float32).numpy() for t in leaves])
    rtol = {"float16": 5e-3, "float32": 1e-4, "bfloat16": 5e-2}[dtype]
    for one, two in zip(found[0] + found[1], found[2] + found[3], strict=True):
        scale = np.abs(two).max()
        np.testing.assert_allclose(one, two, rtol=rtol, atol=rtol * scale)


def test_what_is_saved():
    """No more than PyTorch: the input, the factor, two statistics."""
    cases = {
        "layer_norm": lambda x, w, b: dt.nn.functional.layer_norm(x, (64,), w, b),
        "batch_norm": lambda x, w, b: dt.nn.functional.batch_norm(
            x, dt.zeros(64), dt.ones(64), w, b, True
        ),
        "fixed": lambda x, w, b: dt.nn.functional.batch_norm(x, dt.zeros(64), dt.ones(64), w, b),
        "group_norm": lambda x, w, b: dt.nn.functional.group_norm(x, 4, w, b),
    }
    limits = {"layer_norm": 8960, "batch_norm": 9472, "fixed": 8960, "group_norm": 9472}
    for key, call in cases.items():
        x = dt.tensor(floats(32, 64).astype("float32")).requires_grad_()
        w, b = dt.ones(64).requires_grad_(), dt.zeros(64).requires_grad_()
        packed = []

        def pack(t, packed=packed):
            packed.append(t.numel() * t.element_size())
            return t

        with dt.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            call(x, w, b)
        assert 8192 < sum(packed) <= limits[key], (key, packed)


def test_names_of_steps():
    def steps(m, x):
        f = m.nn.functional
        outs = (
            f.layer_norm(x, (4,)),
            f.batch_norm(x, None, None, training=True),
            f.group_norm(x, 3),
        )
        return [out.grad_fn.name() for out in outs]

    x = floats(2, 3, 4)
    assert steps(dt, dt.tensor(x).requires_grad_()) == steps(
        torch, torch.tensor(x).requires_grad_()
    )


# ---- refusals


REFUSED = {
    "size": lambda f, m, x: f.layer_norm(x, (4,)),
    "sizes": lambda f, m, x: f.layer_norm(x, (3, 4)),
    "number": lambda f, m, x: f.layer_norm(x, 5),
    "nothing": lambda f, m, x: f.layer_norm(x, ()),
    "weight": lambda f, m, x: f.layer_norm(x, (5,), m.ones(4)),
    "bias": lambda f, m, x: f.layer_norm(x, (5,), None, m.ones(4)),
    "scalar": lambda f, m, x: f.layer_norm(m.tensor(1.0), (1,)),
    "rms scalar": lambda f, m, x: f.rms_norm(m.tensor(1.0), (1,)),
    "rms size": lambda f, m, x: f.rms_norm(x, (4,)),
    "rms weight": lambda f, m, x: f.rms_norm(x, (5,), m.ones(4)),
    "one value": lambda f, m, x: f.batch_norm(m.ones(1, 3), None, None, training=True),
    "one value each": lambda f, m, x: f.batch_norm(m.ones(1, 3, 1), None, None, training=True),
    "no channels": lambda f, m, x: f.batch_norm(m.ones(3), m.zeros(3), m.ones(3), training=True),
    "no statistics": lambda f, m, x: f.batch_norm(x, None, None),
    "mean size": lambda f, m, x: f.batch_norm(x, m.zeros(4), m.ones(3), training=True),
    "var size": lambda f, m, x: f.batch_norm(x, m.zeros(3), m.ones(4), training=True),
    "batch weight": lambda f, m, x: f.batch_norm(x, None, None, m.ones(4), training=True),
    "batch bias": lambda f, m, x: f.batch_norm(x, None, None, None, m.ones(4), True),
    "one statistic": lambda f, m, x: f.batch_norm(x, m.zeros(3), None, training=True),
    "momentum": lambda f, m, x: f.batch_norm(x, None, None, None, None, True, None),
    "tracked": lambda f, m, x: f.batch_norm(x, m.zeros(3).requires_grad_(), m.ones(3)),
    "eps": lambda f, m, x: f.batch_norm(x, None, None, training=True, eps=0.0),
    "negative eps": lambda f, m, x: f.batch_norm(x, m.ones(3), m.ones(3), eps=-0.1),
    "groups": lambda f, m, x: f.group_norm(x, 2),
    "no groups": lambda f, m, x: f.group_norm(x, 0),
    "group weight": lambda f, m, x: f.group_norm(x, 3, m.ones(4)),
    "group matrix": lambda f, m, x: f.group_norm(x, 3, m.ones(3, 1)),
    "one in group": lambda f, m, x: f.group_norm(m.ones(1, 3), 3),
    "vector": lambda f, m, x: f.group_norm(m.ones(3), 3),
    "one place": lambda f, m, x: f.instance_norm(m.ones(2, 3, 1)),
    "no place": lambda f, m, x: f.instance_norm(m.ones(2, 3)),
    "instance statistics": lambda f, m, x: f.instance_norm(x, use_input_stats=False),
    "instance mean": lambda f, m, x: f.instance_norm(x, m.zeros(4), m.zeros(4)),
    "instance weight": lambda f, m, x: f.instance_norm(x, weight=m.zeros(4)),
    "instance one": lambda f, m, x: f.instance_norm(x, m.zeros(3), None),
    "instance momentum": lambda f, m, x: f.instance_norm(x, momentum=None),
}
# Where PyTorch's own text says less or is about its insides.
PHRASES = {
    "instance mean": "running_mean should contain",
    "groups": "divisible by num_groups",
    "no groups": "by zero",
    "instance weight": "weight should contain",
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    call, x = REFUSED[case], floats(2, 3, 5).astype("float32")
    refused(lambda m, x: call(m.nn.functional, m, x), x, phrase=PHRASES.get(case))


@pytest.mark.parametrize(
    "call",
    [
        lambda f, x: f.layer_norm(x, (5,)),
        lambda f, x: f.rms_norm(x, (5,)),
        lambda f, x: f.batch_norm(x, None, None, training=True),
        lambda f, x: f.group_norm(x, 3),
        lambda f, x: f.instance_norm(x),
    ],
)
def test_integers_are_refused(call):
    refused(
        lambda m, x: call(m.nn.functional, x), ints(2, 3, 5), phrase="not implemented for 'Long'"
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda f, x, w: f.layer_norm(x, (3,), w),
        lambda f, x, w: f.batch_norm(x, None, None, w, training=True),
        lambda f, x, w: f.batch_norm(x, w.detach(), w.detach()),
        lambda f, x, w: f.group_norm(x, 3, w),
    ],
)
def test_other_types_of_factors_are_refused(call):
    refused(
        lambda m, x, w: call(m.nn.functional, x, w),
        floats(2, 3, 3).astype("float32"),
        floats(3),
        phrase="mixed dtype (CPU): expect parameter to have scalar type of Float",
    )
    refused(
        lambda m, x: m.nn.functional.layer_norm(x.half(), (5,), m.ones(5).half(), m.ones(5)),
        floats(3, 5),
        phrase="expected scalar type Half but found Float",
    )


def test_the_common_kernels_agree_with_numpys():
    """What other libraries run, beside what NumPy runs."""
    from devtensor.ops import norm
    from devtensor.space import kernel_for, space_of

    space = space_of(dt.device("cpu"))
    for case in ("native_layer_norm", "fused_rms_norm", "native_group_norm", "native_batch_norm",
                 "fixed_batch_norm", "norm_slopes"):  # fmt: skip
        function = getattr(norm, case)
        for example in function.op.examples:
            options = example[-1] if isinstance(example[-1], dict) else {}
            arrays = [
                None if x is None else np.abs(floats(*getattr(x, "shape", x), seed=i)) + 0.2
                for i, x in enumerate(example[: len(example) - bool(options)])
            ]
            one = function.kernel(space, *arrays, **options)
            two = kernel_for(function.op, dt.device("cpu"))(*arrays, **options)
            for a, b in zip(one, two, strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=case)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x, w: m.nn.functional.layer_norm(x, (16,), w.repeat(2), w.repeat(2).detach()),
        lambda m, x, w: m.nn.functional.group_norm(x, 2, w, w.detach()),
        lambda m, x, w: m.nn.functional.batch_norm(x, None, None, w, w.detach(), True),
    ],
)
def test_slopes_where_means_are_large_beside_deviations(call):
    given = (
        100 + 0.1 * floats(20, 8, 16, seed=7).astype("float32"),
        floats(8, seed=1).astype("float32"),
    )
    pull = floats(20, 8, 16, seed=2).astype("float32")
    exact, ours = [
        [
            slope.numpy()
            for slope in m.autograd.grad(
                (call(m, x, w) * m.tensor(pull.astype(kind))).sum(), (x, w)
            )
        ]
        for m, kind in ((torch, "float64"), (dt, "float32"))
        for x, w in [[m.tensor(a.astype(kind), requires_grad=True) for a in given]]
    ]
    for one, two in zip(exact, ours, strict=True):
        # What rounding the means alone may do.
        assert np.abs(one - two).max() <= 1000 * np.finfo("float32").eps * np.abs(one).max()
