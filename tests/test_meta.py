"""The device ``meta``: shapes, types and strides beside PyTorch's, and what has no data."""

import copy
import io
import pickle
import re
import tracemalloc

import pytest
import torch
from numpy.testing import assert_allclose

import devtensor as dt
from samples import call_torch, cases, law, leaves

pytestmark = pytest.mark.filterwarnings("ignore:.* is deprecated")

# Here PyTorch's functions for shapes say something else than its functions on the cpu, or the
# number of results is known from a parameter only.
UNLIKE = {"constant", "multi_margin_loss", "nonzero_static"}
CASES = cases(lambda entry: entry.public and entry.name not in UNLIKE)


def described(results, module):
    """Shapes and types of tensors."""
    return [
        (tuple(x.shape), str(x.dtype).rpartition(".")[2]) if isinstance(x, module.Tensor) else None
        for x in results
    ]


def strides(results):
    return [x.stride() for x in results if isinstance(x, dt.Tensor)]


@law(CASES)
def test_operations_say_what_pytorchs_say(case):
    arrays = case.arrays()
    try:
        theirs = leaves(call_torch(case, [torch.as_tensor(a).to("meta") for a in arrays]))
    except Exception:  # PyTorch has no function for the shape, or the call is none of its
        return
    if not any(isinstance(x, torch.Tensor) and x.is_meta for x in theirs):
        return
    ours = leaves(case.call(case.tensors("meta", arrays=arrays)))
    assert described(ours, dt) == described(theirs, torch), case
    assert all(x.is_meta for x in ours if isinstance(x, dt.Tensor)), case
    if strides(ours) != [x.stride() for x in theirs]:
        here = leaves(case.call(case.tensors("cpu", arrays=arrays)))
        assert strides(ours) == strides(here), case


def test_gradients_have_the_shapes_of_what_they_are_of():
    def run(module):
        layer = module.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, device="meta")
        x = module.empty(2, 5, 8, device="meta", requires_grad=True)
        out = (layer(x).pow(2).cumprod(1).mean() + module.nn.functional.conv1d(x, x).sum()) ** 3
        (first,) = module.autograd.grad(out, x, create_graph=True)
        first.norm().backward()
        found = [x.grad, *[p.grad for p in layer.parameters()]]
        assert all(g.is_meta for g in found)
        return [(tuple(g.shape), g.stride()) for g in found]

    assert run(dt) == run(torch)


def test_what_is_made_takes_neither_memory_nor_time():
    n = 10**5
    tracemalloc.start()
    with dt.device("meta"):
        layer = dt.nn.Linear(n, n)
        grid = dt.arange(n**2).reshape(n, n)
    for name in ("orthogonal_", "kaiming_normal_", "xavier_uniform_", "eye_", "zeros_"):
        getattr(dt.nn.init, name)(layer.weight)
    with dt.no_grad():
        layer.weight.mul_(2).add_(layer.bias).clamp_(min=0)
        layer.weight[3:, ::2] = 1
        dt.nn.init.trunc_normal_(layer.weight)
    out = layer(dt.empty(3, n, device="meta")).softmax(-1).sum()
    out.backward()
    assert layer.weight.grad.shape == (n, n)
    assert grid.T.stride() == (1, n)
    assert tracemalloc.get_traced_memory()[1] < 4 * n * n / 1000
    tracemalloc.stop()


@pytest.mark.parametrize("n", [5, 8])
def test_lengths_that_are_parts_of_others(n):
    def run(module):
        x = module.empty(3, n, device="meta")
        return [
            *module.fft.rfft(x).shape,
            *module.fft.irfft(x).shape,
            *module.fft.rfft2(x).shape,
            *x[:, ::2].shape,
            *module.cat([x, x[:, 1:]], 1).shape,
            *module.stack([x, x]).shape,
            *module.linalg.qr(x).R.shape,
            *module.kron(x, x).shape,
            *module.nn.functional.unfold(x[None, None], 2, stride=2).shape,
        ]

    assert run(dt) == run(torch)


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x: x.nonzero(),
        lambda m, x: x[x > 0],
        lambda m, x: m.unique(x),
        lambda m, x: m.unique(x, dim=0),
        lambda m, x: m.masked_select(x, x > 0),
        lambda m, x: m.bincount(x.flatten().long()),
        lambda m, x: x.to("cpu"),
        lambda m, x: x.cpu(),
        lambda m, x: x.tolist(),
        lambda m, x: m.empty(3, 4).copy_(x),
        lambda m, x: m.equal(x, x),
        lambda m, x: m.nn.Linear(2, 2, device="meta").to("cpu"),
    ],
)
def test_what_needs_values_is_refused(call):
    said = []
    for module in (torch, dt):
        with pytest.raises(NotImplementedError) as caught:
            call(module, module.empty(3, 4, device="meta"))
        said.append(str(caught.value))
    assert said[0] in said[1] or "aten::" in said[0] or "register_meta" in said[0]


def test_numbers_cannot_be_read():
    for module in (torch, dt):
        x = module.empty((), device="meta")
        for call in (bool, int, float, module.Tensor.item):
            with pytest.raises(RuntimeError, match=re.escape("cannot be called on meta tensors")):
                call(x)
        with pytest.raises(TypeError, match="can't convert meta device type tensor to numpy"):
            x.numpy()
        with pytest.raises(TypeError, match="unsupported format string"):
            f"{x:.2f}"
        with pytest.raises(BufferError, match="Cannot pack tensors on meta"):
            x.__dlpack__()


@pytest.mark.parametrize(
    "call",
    [
        lambda m, x, here: x + here,
        lambda m, x, here: m.cat([x, here]),
        lambda m, x, here: here == x,
        lambda m, x, here: here + m.empty((), device="meta"),
    ],
)
def test_devices_do_not_mix(call):
    for module in (torch, dt):
        with pytest.raises(RuntimeError, match="device"):
            call(module, module.empty(3, 4, device="meta"), module.ones(3, 4))


def test_what_may_be_on_several_devices():
    for module in (torch, dt):
        x, here = module.empty(3, 4, device="meta"), module.ones(3, 4)
        assert (x + module.tensor(2.0)).is_meta
        assert module.add(module.tensor(2.0), module.empty((), device="meta")).is_meta
        assert x.copy_(here).is_meta
        assert module.empty(2, device="meta:1").device == module.device("meta")
        assert here.t().to("meta").stride() == (1, 4)


TEXTS = [
    lambda m: m.empty(3, 4, device="meta"),
    lambda m: m.empty(0, device="meta"),
    lambda m: m.empty((), device="meta", dtype=m.int64),
    lambda m: m.empty(3, device="meta", requires_grad=True),
    lambda m: m.empty(3, device="meta", requires_grad=True) * 2,
    lambda m: m.nn.Parameter(m.empty(3, 4, device="meta")),
    lambda m: m.empty(3, device="meta").untyped_storage(),
    lambda m: f"{m.empty((), device='meta')}",
    lambda m: m.empty(3, 4, device="meta").type(),
    lambda m: m.empty(3, 4, device="meta")[1:].storage_offset(),
    lambda m: m.empty(3, 4, device="meta").untyped_storage().nbytes(),
    lambda m: m.empty(3, 4, device="meta").untyped_storage().data_ptr(),
    lambda m: m.empty(3, 4, device="meta").get_device(),
]


@pytest.mark.parametrize("call", TEXTS)
def test_it_looks_as_in_pytorch(call):
    assert repr(call(dt)) == repr(call(torch))


def test_shapes_are_pickled_saved_and_copied():
    parameter = dt.nn.Parameter(dt.empty(2, 3, device="meta"))
    parameter.extra = 5
    made = {"a": dt.empty(3, 4, device="meta").t(), "b": parameter, "c": dt.ones(2)}
    file = io.BytesIO()
    dt.save(made, file)
    files = [file]
    files.append(io.BytesIO())
    twin = {"a": torch.empty(3, 4, device="meta").t()}
    torch.save(twin, files[1])
    file.seek(0)
    theirs = torch.load(file, weights_only=False)
    assert theirs["a"].is_meta and theirs["a"].stride() == (1, 4)
    for one in files:
        one.seek(0)
    read = [dt.load(one, weights_only=True) for one in files]
    copies = [pickle.loads(pickle.dumps(made, protocol)) for protocol in (2, 5)]
    for found in (*read, *copies, copy.deepcopy(made)):
        assert found["a"].is_meta and found["a"].stride() == (1, 4)
        if "b" in found:
            assert type(found["b"]) is dt.nn.Parameter and found["b"].requires_grad
            assert found["c"].tolist() == [1, 1]
    for found in (read[0], *copies):
        assert found["b"].extra == 5


def test_a_module_gets_its_memory_later():
    def run(module):
        with module.device("meta"):
            model = module.nn.Sequential(
                module.nn.Linear(2, 3), module.nn.BatchNorm1d(3), module.nn.Linear(3, 1)
            )
        assert all(p.is_meta for p in [*model.parameters(), *model.buffers()])
        made = copy.deepcopy(model).to_empty(device="cpu")
        assert not any(p.is_meta for p in made.parameters())
        state = {
            name: module.arange(value.numel()).reshape(value.shape).to(value.dtype)
            for name, value in made.state_dict().items()
        }
        made.load_state_dict(state)
        with pytest.warns(UserWarning, match="copying from a non-meta parameter"):
            model.load_state_dict(state)
        assert model[0].weight.is_meta
        model.load_state_dict(state, assign=True)
        x = module.tensor([[1.0, 2.0], [3.0, -1.0]])
        assert module.equal(model(x), made(x))
        assert module.nn.Linear(2, 3).to("meta").weight.is_meta
        return model(x).tolist()

    assert_allclose(run(dt), run(torch), atol=1e-5)


def test_there_is_no_mixed_precision_without_data():
    for module in (torch, dt):
        for call in (module.autocast, module.is_autocast_enabled):
            with pytest.raises(RuntimeError):
                call("meta")
