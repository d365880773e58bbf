"""Mixed precision beside PyTorch's, and where it may hold."""

import copy
import pickle
import re
import threading
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as TF

import devtensor as dt
import devtensor.nn.functional as F
from devtensor.accelerator import BY_KIND
from devtensor.amp import _cast, _policy
from devtensor.utils.checkpoint import checkpoint

BOTH = pytest.mark.parametrize("lower", ["bfloat16", "float16"])

CALLS = {
    "linear": lambda t, F, x, h: F.linear(x, h),
    "mixed matmul": lambda t, F, x, h: x @ h.T,
    "rmatmul": lambda t, F, x, h: x.T.matmul(x),
    "mm": lambda t, F, x, h: t.mm(x, x.T),
    "bmm": lambda t, F, x, h: t.bmm(x[None], x.T[None]),
    "addmm": lambda t, F, x, h: t.addmm(x[:, :3], x, h.T),
    "conv1d": lambda t, F, x, h: F.conv1d(x[None], t.ones(2, 3, 2)),
    "conv2d": lambda t, F, x, h: F.conv2d(x[None, None], t.ones(2, 1, 2, 2), t.ones(2)),
    "transposed": lambda t, F, x, h: F.conv_transpose1d(x[None], t.ones(3, 2, 2)),
    "einsum": lambda t, F, x, h: t.einsum("ij,kj->ik", x, x),
    "tensordot": lambda t, F, x, h: t.tensordot(x, x.T, 1),
    "multi_dot": lambda t, F, x, h: t.linalg.multi_dot([x, x.T, x]),
    "attention": lambda t, F, x, h: F.scaled_dot_product_attention(x[None], x[None], x[None]),
    "prelu": lambda t, F, x, h: F.prelu(x, t.tensor([0.2])),
    "mv": lambda t, F, x, h: t.mv(x, x[0]),
    "dot": lambda t, F, x, h: t.dot(x[0], x[1]),
    "outer": lambda t, F, x, h: t.outer(x[0], x[1]),
    "integers": lambda t, F, x, h: t.tensor([[1]]) @ t.tensor([[2]]),
    "double": lambda t, F, x, h: F.linear(x.double(), x.double()),
    "softmax": lambda t, F, x, h: h.softmax(0),
    "exp": lambda t, F, x, h: h.exp(),
    "pow": lambda t, F, x, h: h**2,
    "mul": lambda t, F, x, h: x * h,
    "sum": lambda t, F, x, h: h.sum(),
    "prod": lambda t, F, x, h: h.prod(),
    "norm": lambda t, F, x, h: h.norm(),
    "layer_norm": lambda t, F, x, h: F.layer_norm(h, (4,)),
    "mse": lambda t, F, x, h: F.mse_loss(h, h),
    "l1": lambda t, F, x, h: F.l1_loss(h, x, reduction="none"),
    "bce": lambda t, F, x, h: F.binary_cross_entropy(h.sigmoid(), h.sigmoid()),
    "bce of logits": lambda t, F, x, h: F.binary_cross_entropy_with_logits(h, h),
    "cross_entropy": lambda t, F, x, h: F.cross_entropy(h, t.tensor([0, 1, 2])),
    "nll": lambda t, F, x, h: F.nll_loss(h, t.tensor([0, 1, 2])),
    "cosine": lambda t, F, x, h: F.cosine_similarity(h, h),
    "cdist": lambda t, F, x, h: t.cdist(h, h),
    "quantile": lambda t, F, x, h: t.quantile(h, 0.5),
    "cat": lambda t, F, x, h: t.cat([x, h]),
    "cat of lower": lambda t, F, x, h: t.cat([h, h]),
    "stack": lambda t, F, x, h: t.stack([x, h]),
    "embedding": lambda t, F, x, h: F.embedding(t.tensor([0]), x),
    "gelu": lambda t, F, x, h: F.gelu(h),
    "inverse": lambda t, F, x, h: t.linalg.inv(h[:3, :3] + t.eye(3)),
    "svd": lambda t, F, x, h: t.linalg.svd(h).S,
    "fft": lambda t, F, x, h: t.fft.fft(h),
}


@BOTH
@pytest.mark.parametrize("name", CALLS)
def test_types_are_pytorchs(name, lower):
    values = torch.tensor([[0.3, -1.2, 0.7, 2.1], [1.5, 0.2, -0.4, 0.9], [-0.6, 1.1, 0.8, -1.7]])
    results = []
    for t, f in ((torch, TF), (dt, F)):
        x = t.tensor(values.tolist(), requires_grad=True)
        with t.autocast("cpu", dtype=getattr(t, lower)):
            results.append(CALLS[name](t, f, x, x.detach().to(getattr(t, lower))))
    theirs, ours = results
    assert str(ours.dtype) == str(theirs.dtype)
    tolerance = 0.05 if str(ours.dtype)[6:] in (lower, "float32", "complex64") else 1e-9
    wanted, found = (torch.tensor(x.tolist(), dtype=torch.complex128) for x in (theirs, ours))
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def header(macro):
    """The names of one of PyTorch's lists for accelerators."""
    folder = Path(torch.__file__).parent / "include" / "ATen" / "autocast_mode.h"
    text = folder.read_text().split(f"#define {macro}(_)")[1].split("\n\n")[0]
    return set(re.findall(r"_\((?:ADD_NS\()?(\w+)", text))


# Internals, and what goes by another name among functions.
OTHER_NAMES = {
    "frobenius_norm": "norm", "nuclear_norm": "norm", "nll_loss2d": "nll_loss",
    "native_layer_norm": "layer_norm", "grid_sampler": "grid_sample",
    "upsample_nearest1d": "interpolate", "linalg_vecdot": "vecdot",
}  # fmt: skip


@pytest.mark.parametrize(
    ("macros", "policy"),
    [
        (["AT_FORALL_LOWER_PRECISION_FP"], "lower"),
        (["AT_FORALL_FP32", "AT_FORALL_FP32_SET_OPT_DTYPE",
          "AT_FORALL_DIFFERENT_REDISPATCH_SIGNATURE"], "float32"),
        (["AT_FORALL_PROMOTE"], "widest"),
    ],
)  # fmt: skip
def test_the_lists_for_accelerators_are_pytorchs(macros, policy):
    theirs = set().union(*map(header, macros))
    theirs = {OTHER_NAMES.get(name, name) for name in theirs}
    internal = ("_", "upsample")
    theirs = {name.removeprefix("linalg_") for name in theirs if not name.startswith(internal)}
    theirs -= {"convolution", "lstm_cell", "gru_cell", "rnn_tanh_cell", "rnn_relu_cell"}
    ours = {n.rpartition(".")[2] for n, p in _policy.OTHERS.items() if p == policy}
    assert ours - {"cross_entropy"} == theirs
    assert all(callable(_policy.function_of(name)) for name in _policy.OTHERS)


@pytest.fixture
def accelerated(monkeypatch):
    """The host with the lists of accelerators."""
    monkeypatch.setattr(_cast, "CPU", _policy.OTHERS)


def test_accelerators_compute_in_more_of_float32(accelerated):
    h = dt.tensor([[0.5, 0.25], [1.0, 2.0]], dtype=dt.float16)
    x = h.float()
    with dt.autocast("cpu", dtype=dt.float16):
        for call in (
            h.exp, h.sum, h.norm, h.log, lambda: h**2, lambda: 2**h, lambda: F.softmax(h, 0),
            lambda: h.softmax(0), lambda: F.layer_norm(h, (2,)), lambda: dt.logsumexp(h, 0),
            lambda: F.interpolate(h[None], size=4), lambda: dt.dot(x[0], h[0]),
            lambda: dt.addcmul(h, x, h), lambda: h.cumsum(0),
        ):  # fmt: skip
            assert call().dtype is dt.float32
        for call in (
            lambda: x @ x, lambda: dt.mv(x, x[0]), lambda: F.prelu(x, dt.tensor([0.1])),
            lambda: dt.dot(h[0], h[0]), lambda: h.sum(dtype=dt.float16), lambda: h + h,
        ):  # fmt: skip
            assert call().dtype is dt.float16
        assert h.double().exp().dtype is dt.float64
        assert h.clone().exp_().dtype is dt.float16  # writes keep the type
        with pytest.raises(RuntimeError, match="unsafe to autocast"):
            F.binary_cross_entropy(h, h)


def small(t):
    """A network with a bit of everything."""
    return t.nn.Sequential(
        t.nn.Conv2d(1, 4, 3), t.nn.BatchNorm2d(4), t.nn.ReLU(), t.nn.MaxPool2d(2), t.nn.Flatten(),
        t.nn.Linear(36, 8), t.nn.LayerNorm(8), t.nn.GELU(), t.nn.Linear(8, 3),
    )  # fmt: skip


@BOTH
def test_a_network_learns_as_in_pytorch(lower):
    torch.manual_seed(0)
    theirs, ours = small(torch), small(dt)
    ours.load_state_dict({k: dt.tensor(v.tolist()) for k, v in theirs.state_dict().items()})
    images, labels = torch.randn(16, 1, 8, 8), torch.randint(0, 3, (16,))
    losses = []
    for t, model in ((torch, theirs), (dt, ours)):
        data, wanted = t.tensor(images.tolist()), t.tensor(labels.tolist())
        optimizer = t.optim.SGD(model.parameters(), lr=0.05)
        scaler = t.amp.GradScaler("cpu", init_scale=256.0, growth_interval=3)
        row = []
        for _ in range(8):
            optimizer.zero_grad()
            with t.autocast("cpu", dtype=getattr(t, lower)):
                out = model(data)
                loss = t.nn.functional.cross_entropy(out, wanted)
            assert out.dtype is getattr(t, lower) and loss.dtype is t.float32
            scaler.scale(loss).backward()
            assert all(p.grad.dtype is t.float32 for p in model.parameters())
            scaler.step(optimizer)
            scaler.update()
            row.append(loss.item())
        losses.append(row)
        assert scaler.get_scale() == 1024.0
    assert losses[1] == pytest.approx(losses[0], rel=2e-2)
    assert losses[1][-1] < losses[1][0]


# ---- where it holds


def state(t):
    kinds = ("cpu", "cuda")
    return [t.is_autocast_enabled(k) for k in kinds] + [str(t.get_autocast_dtype(k)) for k in kinds]


def test_blocks_nest_as_in_pytorch():
    rows = []
    for t in (torch, dt):
        row = [state(t), t.is_autocast_cache_enabled(), t.is_autocast_enabled()]
        outer = t.autocast("cpu", dtype=t.float16)
        with outer:
            row.append(state(t))
            with t.autocast("cpu", enabled=False):
                row.append(state(t))
                with t.amp.autocast(device_type="cpu", dtype=t.bfloat16):
                    row += [state(t), str((t.ones(2, 2) @ t.ones(2, 2)).dtype)]
                row.append(str((t.ones(2, 2) @ t.ones(2, 2)).dtype))
            row.append(str((t.ones(2, 2) @ t.ones(2, 2)).dtype))
        row.append(state(t))
        rows.append(row)
    assert rows[1] == rows[0]


def inside():
    return (dt.ones(2, 2) @ dt.ones(2, 2)).dtype is dt.float16


def test_a_block_stays_where_it_was_opened():
    block = dt.autocast("cpu", dtype=dt.float16)

    def batches():
        with block:
            yield inside()
            yield inside()

    running = batches()
    assert next(running) and not inside() and next(running)
    running.close()
    with block:
        with block:
            assert inside()
        assert inside()
        found = []
        thread = threading.Thread(target=lambda: found.append(inside()))
        thread.start()
        thread.join()
        assert found == [False]
        with pytest.raises(ZeroDivisionError), dt.autocast("cpu", enabled=False):
            raise ZeroDivisionError
        assert inside()

    @block
    def decorated():
        return inside()

    @block
    def generating():
        yield inside()

    assert decorated() and list(generating()) == [True] and not inside()


def test_other_devices_are_not_concerned():
    x = dt.ones(2, 2, device="strict:0")
    with dt.autocast("cpu", dtype=dt.float16):
        assert (x @ x).dtype is dt.float32
    with dt.autocast("strict", dtype=dt.float16):
        assert not inside() and dt.is_autocast_enabled("strict")


def test_nothing_is_asked_outside_of_blocks():
    with dt.autocast("cpu"):
        pass
    short = [dt.exp, dt.matmul, F.linear, dt.Tensor.__matmul__]
    for function in short:
        space = function.__globals__
        way, space["_slow"] = space["_slow"], None
        try:
            x = dt.ones(2, 2)
            function(*[x] * (1 if function is dt.exp else 2))
        finally:
            space["_slow"] = way


def test_parameters_are_cast_once():
    weight = dt.nn.Parameter(dt.ones(3, 3))
    x = dt.ones(3, 3)

    def counted():
        with dt.ledger() as led:
            out = (x @ weight) @ weight
        return out, sum(row.op in ("cast", "to") for row in led.rows)

    with dt.autocast("cpu", dtype=dt.float16, cache_enabled=False):
        _, every = counted()
    with dt.autocast("cpu", dtype=dt.float16):
        with dt.no_grad():
            counted()
        first, once = counted()
        assert once == every - 1
        with dt.autocast("cpu", dtype=dt.float16):
            _, none = counted()
        assert none == every - 2
        first.sum().backward()
        assert weight.grad.dtype is dt.float32 and (weight.grad == 18).all()
        with dt.no_grad():
            weight.mul_(2)
        assert (counted()[0] == 36).all()  # a value that was changed is not the one that was kept
        dt.clear_autocast_cache()
        assert counted()[1] == every - 1


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_runs_again_in_its_precision(reentrant):
    layer = dt.nn.Linear(4, 4)
    x = dt.randn(2, 4, requires_grad=True)
    types = []

    def part(x):
        types.append((x.detach() @ x.detach().T).dtype)
        return layer(x)

    with dt.autocast("cpu", dtype=dt.float16):
        out = checkpoint(part, x, use_reentrant=reentrant)
    out.sum().backward()
    assert types == [dt.float16, dt.float16] and x.grad.dtype is dt.float32


def said(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            call()
        except Exception as error:
            return type(error), str(error).split(";")[0][:40]
    return [(w.category, str(w.message)[:60]) for w in caught]


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.autocast("shine"),
        lambda t: t.autocast("cpu", dtype=t.float64),
        lambda t: t.autocast("cpu", dtype=t.float32, enabled=False),
        lambda t: t.autocast("cuda"),
        lambda t: t.autocast("cuda", enabled=False),
        lambda t: t.cuda.amp.autocast(),
        lambda t: t.amp.GradScaler("cuda"),
        lambda t: t.cuda.amp.GradScaler(enabled=False),
        lambda t: t.amp.GradScaler("cpu").update(),
        lambda t: t.amp.GradScaler("cpu").step(t.optim.SGD([t.ones(1)], 1.0)),
        lambda t: t.amp.GradScaler("cpu").load_state_dict({}),
        lambda t: t.amp.GradScaler("cpu", growth_factor=1.0),
        lambda t: t.amp.GradScaler("cpu").scale(3),
        lambda t: t.get_autocast_dtype("shine"),
    ],
)
def test_complaints_are_pytorchs(call, monkeypatch):
    # One of them says that there is no CUDA; here there may be, where PyTorch has none.
    monkeypatch.setattr(BY_KIND["cuda"], "is_available", torch.cuda.is_available)
    theirs, ours = said(lambda: call(torch)), said(lambda: call(dt))
    if isinstance(theirs, tuple):
        assert ours[0] is theirs[0]
        if theirs[0] is not RuntimeError or "unsupported" not in theirs[1]:
            return
    assert ours == theirs


def test_older_names_for_cuda():
    with pytest.warns(FutureWarning, match="deprecated"):
        block = dt.cuda.amp.autocast(enabled=False)
    with block:
        assert not dt.is_autocast_enabled("cuda")
    with pytest.warns(FutureWarning):
        scaler = dt.cuda.amp.GradScaler(enabled=False)
    assert scaler.get_scale() == 1.0 and scaler.state_dict() == {}


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("kind", ["bfloat16", "float32", "float64"])
def test_pads_on_the_host_have_pytorchs_types(mode, dims, kind):
    types = []
    for t in (torch, dt):
        with t.autocast("cpu"):
            x = t.ones((1, 1) + (4,) * dims, dtype=getattr(t, kind))
            types.append(str(t.nn.functional.pad(x, (1, 1) * dims, mode=mode).dtype))
    assert types[0] == types[1]


# ---- Functions


@pytest.mark.parametrize("to", [None, "float32"])
def test_own_functions_run_in_their_precision(to):
    def seen_by(t):
        seen = []

        class Product(t.autograd.Function):
            @staticmethod
            @t.amp.custom_fwd(device_type="cpu", cast_inputs=to and getattr(t, to))
            def forward(ctx, a, b):
                ctx.save_for_backward(a, b)
                seen.append([str(a.dtype), t.is_autocast_enabled("cpu")])
                return a @ b

            @staticmethod
            @t.amp.custom_bwd(device_type="cpu")
            def backward(ctx, g):
                a, b = ctx.saved_tensors
                seen.append([str(g.dtype), t.is_autocast_enabled("cpu")])
                return g @ b.T, a.T @ g

        for block in (t.autocast("cpu", dtype=t.float16), t.autocast("cpu", enabled=False)):
            x = t.ones(2, 2, dtype=t.float16, requires_grad=True)
            with block:
                out = Product.apply(x, t.ones(2, 2, dtype=t.float16))
            out.sum().backward()
            seen.append([str(out.dtype), str(x.grad.dtype)])
        return seen

    assert seen_by(dt) == seen_by(torch)


# ---- the scaler


def test_the_scale_goes_up_and_down_as_in_pytorch():
    rows = []
    for t in (torch, dt):
        weight = t.nn.Parameter(t.ones(3))
        optimizer = t.optim.Adam([weight], lr=0.1)
        scaler = t.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2, backoff_factor=0.25)
        row = []
        for factor in (1.0, 2.0, float("inf"), 3.0, float("nan"), 1.0, 1.0, 1.0):
            optimizer.zero_grad()
            scaler.scale((weight * factor).sum()).backward()
            if factor == 3.0:
                scaler.unscale_(optimizer)
                row.append(weight.grad.tolist())
            scaler.step(optimizer)
            scaler.update()
            row += [weight.tolist(), scaler.get_scale(), scaler.state_dict()]
        scaler.scale(weight.sum() * 0)
        scaler.update(new_scale=5.0)
        again = t.amp.GradScaler("cpu")
        again.load_state_dict(scaler.state_dict())
        copied = pickle.loads(pickle.dumps(scaler))
        one, two = scaler.scale([weight.sum(), weight.sum() * 2])
        row += [again.get_scale(), copied.get_scale(), (two / one).item()]
        rows.append(row)
    for ours, theirs in zip(rows[1], rows[0], strict=True):
        if isinstance(theirs, dict):
            assert ours == theirs
        else:
            assert ours == pytest.approx(theirs, rel=1e-5)


def test_the_scaler_keeps_its_order():
    weight = dt.nn.Parameter(dt.ones(2))
    optimizer = dt.optim.SGD([weight], lr=1.0)
    scaler = dt.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale(weight.sum()).backward()
    with pytest.raises(RuntimeError, match="Closure"):
        scaler.step(optimizer, closure=lambda: None)
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    with pytest.raises(AssertionError, match="beginning of an iteration"):
        copy.deepcopy(scaler)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(optimizer)
    scaler.update()
    optimizer.zero_grad()
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.step(optimizer)
    half = dt.nn.Parameter(dt.ones(2, dtype=dt.float16))
    optimizer = dt.optim.SGD([half], lr=1.0)
    scaler.scale(half.sum()).backward()
    with pytest.raises(ValueError, match="FP16 gradients"):
        scaler.step(optimizer)


def test_a_scaler_for_several_optimizers_and_devices():
    here, there = dt.nn.Parameter(dt.ones(2)), dt.nn.Parameter(dt.ones(2, device="strict:0"))
    optimizers = [dt.optim.SGD([p], lr=1.0) for p in (here, there)]
    scaler = dt.amp.GradScaler("cpu", init_scale=4.0)
    scaler.scale(here.sum()).backward()
    scaler.scale((there * float("inf")).sum()).backward()
    for optimizer in optimizers:
        scaler.step(optimizer)
    scaler.update()
    assert here.tolist() == [0, 0] and there.tolist() == [1, 1] and scaler.get_scale() == 2.0


KNOWN = {name: getattr(F, name) for name in ("layer_norm", "cross_entropy", "softmax", "linear")}
KNOWN |= {name: getattr(dt, name) for name in ("cat", "stack", "einsum", "matmul", "cdist")}


class Named(dt.Tensor):
    """Says by which names functions were known before a block was ever entered."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return [name for name, function in KNOWN.items() if function is func]


def test_functions_stay_what_they_are():
    with dt.autocast("cpu"):
        assert F.layer_norm(dt.ones(2, 2), (2,)).dtype is dt.float32
        assert dt.cat([dt.ones(2).bfloat16(), dt.ones(2)]).dtype is dt.float32
    for name, function in KNOWN.items():
        assert function is (getattr(F, name, None) or getattr(dt, name))
    x = dt.ones(2, 2).as_subclass(Named)
    found = [F.layer_norm(x, (2,)), dt.cat([x, x]), F.softmax(x, 0), dt.cdist(x, x)]
    assert found == [["layer_norm"], ["cat"], ["softmax"], ["cdist"]]
