"""Modules as functions of their parameters: per-example gradients, ensembles, what is refused."""

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import func
from sides import outcome
from transformed import beside


def pair(make):
    """A module here and PyTorch's with the same parameters."""
    dt.manual_seed(1)
    ours, theirs = make(dt.nn), make(torch.nn).double()
    ours.double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    return ours, theirs


MODELS = {
    "mlp": (
        lambda nn: nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 3)),
        (6,),
    ),
    "cnn": (
        lambda nn: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.GroupNorm(2, 4),
            nn.Conv2d(4, 4, 3, stride=2, groups=2), nn.Flatten(), nn.Linear(16, 3),
        ),
        (2, 10, 10),
    ),
    "transposed": (
        lambda nn: nn.Sequential(
            nn.ConvTranspose1d(2, 4, 3), nn.Tanh(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(12, 3)
        ),
        (2, 4),
    ),
    "transformer": (
        lambda nn: nn.Sequential(
            nn.TransformerEncoderLayer(6, 2, 10, dropout=0.0, batch_first=True),
            nn.Flatten(), nn.Linear(24, 3),
        ),
        (4, 6),
    ),
}  # fmt: skip


def loss_of(lib, f, module):
    def loss(params, x, y):
        out = f.functional_call(module, params, (x[None],))
        return lib.nn.functional.cross_entropy(out, y[None])

    return loss


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore:There is a performance drop")  # PyTorch's attention
def test_gradients_of_single_examples(name):
    make, shape = MODELS[name]
    ours, theirs = pair(make)
    x = np.random.default_rng(0).standard_normal((5, *shape))
    y = np.array([0, 2, 1, 1, 0])
    results = []
    for lib, f, module in ((dt, dt.func, ours), (torch, torch.func, theirs)):
        params = {k: v.detach() for k, v in module.named_parameters()}
        call = f.vmap(f.grad_and_value(loss_of(lib, f, module)), in_dims=(None, 0, 0))
        results.append(call(params, lib.tensor(x), lib.tensor(y)))
    (found, values), (expected, others) = results
    np.testing.assert_allclose(values.numpy(), others.numpy(), rtol=1e-9)
    assert list(found) == list(expected)
    for key in found:
        np.testing.assert_allclose(
            found[key].numpy(), expected[key].numpy(), rtol=1e-7, atol=1e-9, err_msg=key
        )
    for i in range(5):  # a loop, with the layers' own parameters
        ours.zero_grad()
        out = ours(dt.tensor(x[i : i + 1]))
        dt.nn.functional.cross_entropy(out, dt.tensor(y[i : i + 1])).backward()
        for key, parameter in ours.named_parameters():
            np.testing.assert_allclose(
                found[key][i].numpy(), parameter.grad.numpy(), rtol=1e-7, atol=1e-9
            )


@pytest.mark.parametrize("name", MODELS)
def test_ensembles(name):
    make, shape = MODELS[name]
    models = [make(dt.nn).double() for _ in range(3)]
    params, buffers = func.stack_module_state(models)
    assert all(p.requires_grad and p.is_leaf for p in params.values())
    x = dt.tensor(np.random.default_rng(0).standard_normal((2, *shape)))

    def call(params, buffers, x):
        return func.functional_call(models[0], (params, buffers), (x,))

    found = func.vmap(call, in_dims=(0, 0, None))(params, buffers, x)
    expected = dt.stack([model(x) for model in models])
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-9)
    found.square().sum().backward()
    expected.square().sum().backward()
    for key, stacked in params.items():
        for i, model in enumerate(models):
            np.testing.assert_allclose(
                stacked.grad[i].numpy(), dict(model.named_parameters())[key].grad.numpy(),
                rtol=1e-7, atol=1e-9,
            )  # fmt: skip


def test_each_model_its_own_data(device):
    models = [dt.nn.Linear(3, 2, device=device) for _ in range(3)]
    params, buffers = func.stack_module_state(models)
    x = dt.rand(3, 5, 3, device=device)
    found = func.vmap(lambda p, b, x: func.functional_call(models[0], (p, b), x))(
        params, buffers, x
    )
    for i, model in enumerate(models):
        assert dt.allclose(found[i], model(x[i]), atol=1e-6)


class Tied:
    """Two layers with one weight."""

    @staticmethod
    def of(lib):
        class Both(lib.nn.Module):
            def __init__(self):
                super().__init__()
                self.a = lib.nn.Linear(2, 2, bias=False)
                self.b = lib.nn.Linear(2, 2, bias=False)
                self.b.weight = self.a.weight
                lib.nn.init.ones_(self.a.weight)

            def forward(self, x):
                return self.a(x) + 2 * self.b(x)

        return Both()


def linear(lib):
    layer = lib.nn.Linear(2, 3)
    lib.nn.init.ones_(layer.weight)
    lib.nn.init.zeros_(layer.bias)
    return layer.double()


def params(layer):
    return {k: v.detach() * 2 for k, v in layer.named_parameters()}


def called(lib, f, change, x, **kwargs):
    layer = linear(lib)
    return f.functional_call(layer, change(params(layer)), x, **kwargs)


def tied(lib, f, names, x, **kwargs):
    module = Tied.of(lib).double()
    given = {name: lib.zeros(2, 2, dtype=x.dtype) + value for name, value in names.items()}
    return f.functional_call(module, given, x, **kwargs)


CALLS = {
    "all": lambda lib, f, x: called(lib, f, lambda p: p, (x,)),
    "no tuple": lambda lib, f, x: called(lib, f, lambda p: p, x),
    "by keyword": lambda lib, f, x: called(lib, f, lambda p: p, None, kwargs={"input": x}),
    "some": lambda lib, f, x: called(lib, f, lambda p: {"bias": p["bias"] + 1}, x),
    "none": lambda lib, f, x: called(lib, f, lambda p: {}, x),
    "more": lambda lib, f, x: called(lib, f, lambda p: {**p, "other": x}, x),
    "several": lambda lib, f, x: called(lib, f, lambda p: (p, {}), x),
    "list": lambda lib, f, x: called(lib, f, lambda p: [{}, p], x),
    "strict": lambda lib, f, x: called(lib, f, lambda p: p, x, strict=True),
    "strict, some": lambda lib, f, x: called(lib, f, lambda p: {"bias": x}, x, strict=True),
    "strict, more": lambda lib, f, x: called(lib, f, lambda p: {**p, "o": x}, x, strict=True),
    "twice": lambda lib, f, x: called(lib, f, lambda p: (p, p), x),
    "no dict": lambda lib, f, x: called(lib, f, lambda p: 3, x),
    "no tensor": lambda lib, f, x: called(lib, f, lambda p: {"bias": 3}, x),
    "tied": lambda lib, f, x: tied(lib, f, {"a.weight": 3}, x),
    "untied": lambda lib, f, x: tied(lib, f, {"a.weight": 3}, x, tie_weights=False),
    "tied, other name": lambda lib, f, x: tied(lib, f, {"b.weight": 3}, x),
    "tied, two": lambda lib, f, x: tied(lib, f, {"a.weight": 3, "b.weight": 4}, x),
    "untied, two": lambda lib, f, x: tied(
        lib, f, {"a.weight": 3, "b.weight": 4}, x, tie_weights=False
    ),
    "no models": lambda lib, f, x: f.stack_module_state([]),
    "other models": lambda lib, f, x: f.stack_module_state([linear(lib), lib.nn.Tanh()]),
    "other modes": lambda lib, f, x: f.stack_module_state([linear(lib), linear(lib).eval()]),
    "frozen ones": lambda lib, f, x: f.stack_module_state(
        [linear(lib), linear(lib).requires_grad_(False)]
    ),
    "stacked": lambda lib, f, x: f.stack_module_state([linear(lib), linear(lib)]),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls(name):
    beside(CALLS[name], np.random.default_rng(0).standard_normal((4, 2)))


def test_the_module_is_as_before():
    layer = linear(dt)
    weight, bias = layer.weight, layer.bias
    error = outcome(lambda: func.functional_call(layer, params(layer), dt.ones(7)))
    assert isinstance(error, RuntimeError)
    assert layer.weight is weight
    assert layer.bias is bias


def test_buffers_are_written_where_they_were_given():
    norm = dt.nn.BatchNorm1d(2)
    given = {k: v.clone() for k, v in norm.named_buffers()}
    func.functional_call(norm, {**dict(norm.named_parameters()), **given}, dt.rand(4, 2))
    assert norm.running_mean.tolist() == [0.0, 0.0]
    assert given["running_mean"].tolist() != [0.0, 0.0]


def test_batch_norm_within_vmap():
    net = dt.nn.Sequential(dt.nn.Linear(3, 2), dt.nn.BatchNorm1d(2))
    x = dt.rand(4, 5, 3)
    with pytest.raises(RuntimeError, match="inplace"):
        func.vmap(net)(x)
    assert func.replace_all_batch_norm_modules_(net) is net
    stacked = {k: dt.stack([v] * 4) for k, v in net.named_buffers()}
    func.vmap(lambda b, x: func.functional_call(net, b, x))(stacked, x)
    found = func.vmap(net)(x)
    for i in range(4):
        assert dt.allclose(found[i], net(x[i]), atol=1e-5)


def test_dropout_within_vmap():
    drop = dt.nn.Dropout(0.5)
    ones = dt.ones(8, 64)
    with pytest.raises(RuntimeError, match="randomness"):
        func.vmap(drop)(ones)
    same = func.vmap(drop, randomness="same")(ones)
    assert dt.equal(same[0], same[5])
    different = func.vmap(drop, randomness="different")(ones)
    assert not dt.equal(different[0], different[5])
    assert 0.3 < float((different == 0).double().mean()) < 0.7


# ---- a whole program: kernels of the tangents of a network, three ways


def kernel_of_jacobians(lib, f, call, params, x1, x2):
    left = f.vmap(f.jacrev(call), (None, 0))(params, x1)
    right = f.vmap(f.jacrev(call), (None, 0))(params, x2)
    parts = [
        lib.einsum("Naf,Mbf->NMab", left[key].flatten(2), right[key].flatten(2)) for key in left
    ]
    return sum(parts[1:], parts[0])


def kernel_of_products(lib, f, call, params, x1, x2):
    def entry(one, two):
        output, pull = f.vjp(lambda params: call(params, one), params)

        def column(vector):
            return f.jvp(lambda params: call(params, two), (params,), pull(vector))[1]

        return f.vmap(column)(lib.eye(output.numel(), dtype=x1.dtype))

    return f.vmap(f.vmap(entry, (None, 0)), (0, None))(x1, x2)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_tangent_kernels():
    ours, theirs = pair(
        lambda nn: nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2))
    )
    random = np.random.default_rng(0)
    x1, x2 = random.standard_normal((3, 1, 6)), random.standard_normal((4, 1, 6))
    found = []
    for lib, f, module in ((dt, dt.func, ours), (torch, torch.func, theirs)):
        params = {k: v.detach() for k, v in module.named_parameters()}

        def call(params, x, f=f, module=module):
            return f.functional_call(module, params, (x[None],))[0]

        found += [
            kernel(lib, f, call, params, lib.tensor(x1), lib.tensor(x2)).detach().numpy()
            for kernel in (kernel_of_jacobians, kernel_of_products)
        ]
    for other in found[1:]:
        np.testing.assert_allclose(found[0], other, rtol=1e-9, atol=1e-11)
