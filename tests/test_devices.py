"""Laws of every device: the same numbers from the same seed, copies, refusals, what is kept.

They run on array-api-strict, and on what ``--device`` names.
"""

import copy
import io
import pickle
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import devtensor as dt
import samples
from devtensor import nn
from devtensor.commands import train
from devtensor.utils.data import DataLoader, TensorDataset

# ---- the same seed, the same bits


def linear():
    return nn.Linear(7, 5).weight


DRAWS = {
    "rand": lambda: dt.rand(7, 5),
    "rand of float64": lambda: dt.rand(7, 5, dtype=dt.float64),
    "randint": lambda: dt.randint(-3, 1000, (50,)),
    "many integers": lambda: dt.randint(0, 2**40, (50,)),
    "randperm": lambda: dt.randperm(40),
    "bernoulli": lambda: dt.full((64,), 0.3).bernoulli(),
    "dropout": lambda: nn.functional.dropout(dt.ones(64), 0.4),
    "dropout of channels": lambda: nn.functional.dropout2d(dt.ones(4, 8, 2, 2), 0.4),
    "multinomial": lambda: dt.ones(9).multinomial(5),
    "samples": lambda: dt.tensor([0.1, 0.2, 0.7]).multinomial(20, replacement=True),
    "weights": linear,
    "weights of a convolution": lambda: nn.Conv2d(3, 4, 3).weight,
    "weights of a cell": lambda: nn.LSTM(3, 4).weight_hh_l0,
    "orthogonal": lambda: nn.init.xavier_uniform_(dt.empty(4, 3)),
}


def drawn(draw, device):
    dt.manual_seed(3)
    with dt.device(device):
        first, second = draw(), draw()
    assert first.device == second.device == dt.device(device)
    return np.stack([samples.numpy(x) for x in (first, second)])


@pytest.mark.parametrize("name", DRAWS)
def test_same_seed_same_bits(name, other_device):
    ours, wanted = drawn(DRAWS[name], other_device), drawn(DRAWS[name], "cpu")
    np.testing.assert_array_equal(ours, wanted)
    assert (wanted[0] != wanted[1]).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_seed_same_normal_numbers(dtype, other_device):
    """They are made by logarithms and cosines, which libraries round in their last bits."""
    dtype = getattr(dt, dtype)
    ours, wanted = (drawn(lambda: dt.randn(333, dtype=dtype), d) for d in (other_device, "cpu"))
    eps = dt.finfo(dtype).eps
    np.testing.assert_allclose(ours, wanted, rtol=8 * eps, atol=8 * eps)


def test_shuffles_are_the_same(other_device):
    orders = []
    for device in ("cpu", other_device):
        dt.manual_seed(5)
        numbers = TensorDataset(dt.arange(50, device=device))
        batches = [x for (x,) in DataLoader(numbers, batch_size=8, shuffle=True)]
        assert all(x.device == dt.device(device) for x in batches)
        orders.append([x.tolist() for x in batches])
    assert orders[0] == orders[1]


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_the_main_job_learns_the_same(model, other_device):
    """Every step's loss, where the seed is the same."""
    if model == "cnn" and other_device.startswith("strict"):
        model = "mlp"  # windows of the strict library take minutes
    found = []
    for device in ("cpu", other_device):
        dt.manual_seed(7)
        data = train.load(device)
        few = data._replace(images=data.images[:640], labels=data.labels[:640])
        network = train.build(model).to(device)
        found.append(train.train(network, few, 1, lambda *_: None))
    assert len(found[0]) == 20
    np.testing.assert_allclose(found[1], found[0], rtol=0, atol=1e-4)
    assert found[0][-1] < found[0][0] - 0.1


# ---- from place to place


def test_gradients_come_back(other_device):
    x = dt.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=dt.float64, requires_grad=True)
    y = (x.to(other_device) ** 3).t()
    assert y.device == dt.device(other_device)
    weight = dt.tensor([[1.0, 10.0], [100.0, 1000.0]], dtype=dt.float64)
    (g,) = dt.autograd.grad((y.cpu() * weight).sum(), x, create_graph=True)
    assert g.device == dt.device("cpu")
    np.testing.assert_allclose(g.tolist(), 3 * x.detach().numpy() ** 2 * weight.numpy().T)
    (twice,) = dt.autograd.grad(g.to(other_device).sum(), x)
    np.testing.assert_allclose(twice.tolist(), 6 * x.detach().numpy() * weight.numpy().T)


def test_copies_only_where_needed(other_device):
    x = dt.ones(3, device=other_device)
    assert x.to(other_device) is x and x.to(x) is x and x.to(x.device, x.dtype) is x
    copied = x.to(other_device, copy=True)
    assert copied is not x and copied.data_ptr() != x.data_ptr()
    away = x.cpu()
    away[0] = 7
    assert x.tolist() == [1, 1, 1]
    assert dt.as_tensor(x, device=other_device) is x
    assert x.to(other_device, dt.float64).dtype is dt.float64
    assert dt.ones(2, dtype=dt.int32).to(other_device, dt.float32).device == x.device


def test_views_of_every_kind_are_copied_rightly(other_device):
    base = dt.arange(24.0).reshape(2, 3, 4)
    for view in (base.mT, base[:, ::2, 1:], base[1, 2, 3], base[:0], base.expand(5, 2, 3, 4),
                 base.flip(0), base.permute(2, 0, 1)[1:]):  # fmt: skip
        there = view.to(other_device)
        assert there.shape == view.shape
        np.testing.assert_array_equal(samples.numpy(there), view.numpy())
        again = base.to(other_device).as_strided(view.shape, view.stride(), view.storage_offset())
        if view.data_ptr() - 4 * view.storage_offset() == base.data_ptr():
            np.testing.assert_array_equal(again.cpu().numpy(), view.numpy())


# Those that write into several inputs are parts of optimizers and norms, which call them.
WHOLE = samples.cases(lambda entry: entry.op is not None and not entry.op.writes)
MIXED = [case for case in WHOLE if len(case.samples()) > 1]


@samples.law(MIXED)
def test_devices_do_not_mix(case, other_device):
    """PyTorch's error, before anything is written."""
    arrays = case.arrays()
    for place, array in enumerate(arrays):
        if not array.ndim or all(not x.ndim for i, x in enumerate(arrays) if i != place):
            continue  # a number of the host joins whatever there is
        xs = case.tensors(other_device, False, arrays)
        xs[place] = samples.tensor(array, "cpu")
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            case.call(xs)
        for x, before in zip(xs, arrays, strict=True):
            np.testing.assert_array_equal(samples.numpy(x), before)


def test_indices_come_from_the_host_or_the_same_device(other_device):
    x, index = dt.arange(3.0), dt.tensor([2, 0])
    assert x.to(other_device)[index].tolist() == x[index].tolist() == [2, 0]
    for key in (index.to(other_device), (x > 1).to(other_device)):
        with pytest.raises(RuntimeError, match="indices should be either on cpu or on the same"):
            x[key]
        with pytest.raises(RuntimeError, match=f"{other_device}; move it with"):
            x[key] = 7
    assert x.tolist() == [0, 1, 2]


# ---- what is kept with a device


def test_it_survives_copying_pickling_and_saving(other_device):
    place = dt.device(other_device)
    layer = nn.Linear(3, 2).to(other_device)
    optimizer = dt.optim.Adam(layer.parameters())
    layer(dt.ones(4, 3, device=other_device)).sum().backward()
    optimizer.step()
    x = layer.weight.detach()
    for made in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), copy.deepcopy(layer).weight):
        assert made.device == place and made.data_ptr() != x.data_ptr()
        assert made.tolist() == x.tolist()
    file = io.BytesIO()
    dt.save({"layer": layer.state_dict(), "optimizer": optimizer.state_dict()}, file)
    for where in (None, "cpu", other_device, lambda storage, place: storage,
                  {str(place): "cpu"}):  # fmt: skip
        file.seek(0)
        loaded = dt.load(file, map_location=where)
        wanted = place if where in (None, other_device) else dt.device("cpu")
        if callable(where):
            wanted = loaded["layer"]["weight"].device
        assert loaded["layer"]["weight"].device == wanted
        assert loaded["layer"]["weight"].tolist() == x.tolist()
    fresh = nn.Linear(3, 2).to(other_device)
    again = dt.optim.Adam(fresh.parameters())
    fresh.load_state_dict(loaded["layer"])
    again.load_state_dict(loaded["optimizer"])
    assert fresh.weight.device == place
    assert again.state[fresh.weight]["exp_avg"].device == place


def test_loaders_pin_for_it(other_device):
    loader = DataLoader(TensorDataset(dt.arange(6.0)), batch_size=3, pin_memory=True)
    there = [x.to(other_device, non_blocking=True) for (x,) in loader]
    assert [x.tolist() for x in there] == [[0, 1, 2], [3, 4, 5]]
    assert all(x.device == dt.device(other_device) for x in there)


def test_a_device_that_is_not_there_is_named(other_device):
    kind = dt.device(other_device).type
    with pytest.raises(RuntimeError, match=rf"{kind}:9; there are \d+ such devices"):
        dt.zeros(1, device=f"{kind}:9")
    with pytest.raises(RuntimeError, match=r"Expected one of .* device type at start"):
        dt.device("abacus")


def test_native_arrays_share_their_memory(other_device):
    x = dt.arange(6.0, device=other_device)
    array = x.array
    seen = dt.as_tensor(array)
    assert seen.device == x.device and seen.data_ptr() == x.data_ptr()
    assert dt.asarray(array, copy=False).data_ptr() == x.data_ptr()
    seen[0] = 9
    assert x[0] == 9
    w = dt.as_tensor(array).requires_grad_()
    (w * w).sum().backward()
    assert type(w.grad.array) is type(array)
    assert w.grad.tolist() == [18, 2, 4, 6, 8, 10]
    for ask in (lambda: x.numpy(), lambda: np.asarray(x)):
        with pytest.raises(TypeError, match=r"Tensor\.cpu\(\)"):
            ask()
    for ask in (lambda: w.numpy(), lambda: np.asarray(w)):
        with pytest.raises(RuntimeError, match=r"detach\(\)"):
            ask()
    with pytest.raises(BufferError, match=r"detach\(\)"):
        w.__dlpack__()
    assert x.numpy(force=True).tolist() == [9, 1, 2, 3, 4, 5]


def test_the_three_lines_of_the_readme(other_device):
    """With the library whose device is tested in the place of CuPy."""
    text = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    lines = re.search(r"```python\n(import cupy .*?)```", text, re.DOTALL)[1].splitlines()
    library = dt.ones(1, device=other_device).array.__class__.__module__.split(".")[0]
    library = {"dpnp": "dpnp", "cupy": "cupy"}.get(library)
    if library is None:
        return  # the strict library's default device is another
    code = "\n".join(lines[:-1]).replace("cupy", library)
    names = {"dt": dt}
    exec(code, names)
    found = eval(lines[-1], names)
    assert type(found) is names[library].ndarray
    assert dt.as_tensor(found).tolist() == [0, 2, 4]


def test_a_graph_on_two_devices(other_device):
    """A step of training whose first layer is here and whose second is there."""

    def losses(places):
        dt.manual_seed(1)
        first, second = nn.Linear(4, 8).to(places[0]), nn.Linear(8, 1).to(places[1])
        both = SimpleNamespace(parameters=[*first.parameters(), *second.parameters()])
        optimizer = dt.optim.AdamW(both.parameters, lr=0.05)
        x, y = dt.randn(16, 4), dt.randn(16, 1)
        found = []
        for _ in range(6):
            optimizer.zero_grad()
            hidden = first(x.to(places[0])).tanh().to(places[1])
            loss = ((second(hidden) - y.to(places[1])) ** 2).mean()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    wanted = losses(("cpu", "cpu"))
    for places in ((other_device, "cpu"), ("cpu", other_device)):
        np.testing.assert_allclose(losses(places), wanted, rtol=1e-5, atol=1e-6)
    assert wanted[-1] < wanted[0]
