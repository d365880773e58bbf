"""The counter of arithmetic beside PyTorch's."""

from importlib import import_module

import pytest
import torch

import devtensor as dt
from sides import SIDES


def counter_of(lib, **options):
    home = import_module(f"{lib.__name__}.utils.flop_counter")
    return home.FlopCounterMode(**{"display": False} | options)


def counted(lib, program, device):
    """The counts of a program, forth and back, by module and what is done."""
    shelf = Shelf(lib, device)
    with counter_of(lib) as counter:
        outputs = program(shelf)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        sum(out.sum() for out in outputs).backward()
    found = {}
    for module, counts in counter.get_flop_counts().items():
        for packet, n in counts.items():
            kind = str(packet) if "convolution" in str(packet) else "products"
            found[module, kind] = found.get((module, kind), 0) + n
    return found


class Shelf:
    """One of the libraries, and tensors of it on a device."""

    def __init__(self, lib, device):
        self.lib, self.device = lib, "cpu" if lib is torch else device
        self.nn, self.F = lib.nn, lib.nn.functional

    def __call__(self, *shape, grad=True):
        return self.lib.ones(*shape, device=self.device, requires_grad=grad)

    def layer(self, name, *args, **options):
        return getattr(self.nn, name)(*args, **options).to(self.device)


def network(s):
    inner = s.nn.Sequential(s.nn.Linear(8, 8), s.nn.ReLU())
    return s.nn.Sequential(s.nn.Linear(4, 8), s.nn.Tanh(), inner, s.nn.Linear(8, 2)).to(s.device)


def images(s):
    layers = [
        s.nn.Conv2d(3, 4, 3, padding=1), s.nn.BatchNorm2d(4), s.nn.ReLU(),
        s.nn.Conv2d(4, 6, 3, stride=2, groups=2), s.nn.MaxPool2d(2), s.nn.Flatten(),
        s.nn.Linear(54, 5),
    ]  # fmt: skip
    return s.nn.Sequential(*layers).to(s.device)(s(2, 3, 15, 15, grad=False))


def block(s):
    layer = s.nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True).to(s.device)
    x = s(2, 8, 16)
    attended = layer.self_attn(x, x, x)[0]  # PyTorch does not count what it fuses on a processor
    return layer.norm2(layer.linear2(s.F.gelu(layer.linear1(attended))) + x)


def twice(s):
    x, weight = s(3, 4), s(6, 4)
    hidden = s.F.linear(x, weight).tanh()
    return s.lib.autograd.grad(hidden.sum(), (x, weight), create_graph=True)


def penalty(s):
    x, weight = s(3, 4), s(6, 4)
    (slope,) = s.lib.autograd.grad(s.F.linear(x, weight).tanh().sum(), x, create_graph=True)
    return slope.pow(2)


PROGRAMS = {
    "perceptron": lambda s: network(s)(s(3, 4, grad=False)),
    "images": images,
    "transformer": block,
    "masked attention": lambda s: s.F.scaled_dot_product_attention(
        s(2, 4, 8, 16), s(2, 4, 8, 16), s(2, 4, 8, 6), s(2, 1, 8, 8)
    ),
    "second gradients": twice,
    "gradients of some": penalty,
    "within modules": lambda s: s.layer("Bilinear", 2, 2, 2).weight * network(s)(s(4)).sum(),
    "elman": lambda s: s.layer("RNN", 5, 3)(s(4, 2, 5))[0],
    "matrices": lambda s: (s(3, 4) @ s(4, 5), s(2, 3, 4) @ s(4, 5), s(3, 4) @ s(2, 4, 5)),
    "batches": lambda s: (s(2, 1, 3, 4) @ s(5, 4, 2)),
    "vectors": lambda s: (s(3, 4) @ s(4), s(4) @ s(4), s(2, 3, 4) @ s(4), s(4) @ s(4, 2)),
    "mv": lambda s: (s.lib.mv(s(3, 4), s(4)), s.lib.addmv(s(3), s(3, 4), s(4))),
    "addr": lambda s: s.lib.addr(s(3, 4), s(3), s(4)),
    "addmm": lambda s: (s.lib.addmm(s(5), s(3, 4), s(4, 5)), s.lib.mm(s(3, 4), s(4, 5))),
    "bmm": lambda s: s.lib.bmm(s(2, 3, 4), s(2, 4, 5)),
    "baddbmm": lambda s: s.lib.baddbmm(s(5), s(2, 3, 4), s(2, 4, 5)),
    "addbmm": lambda s: s.lib.addbmm(s(5), s(2, 3, 4), s(2, 4, 5)),
    "einsum": lambda s: (
        s.lib.einsum("ij,jk->ik", s(3, 4), s(4, 5)),
        s.lib.einsum("bhid,bhjd->bhij", s(2, 3, 4, 5), s(2, 3, 6, 5)),
    ),
    "linear": lambda s: (
        s.F.linear(s(3, 4), s(5, 4), s(5)), s.F.linear(s(2, 3, 4, grad=False), s(5, 4)),
        s.F.linear(s(4), s(5, 4), s(5)), s.F.linear(s(4), s(5, 4)), s.F.linear(s(0, 4), s(5, 4)),
    ),
    "solved": lambda s: s.lib.linalg.solve(
        s.lib.eye(3, device=s.device).requires_grad_(), s(3, 2)
    ),
    "checkpoint": lambda s: import_module(f"{s.lib.__name__}.utils.checkpoint").checkpoint(
        network(s), s(3, 4), use_reentrant=False
    ),
}  # fmt: skip
for _dims in (1, 2, 3):
    for _kind, _groups in (("Conv", 1), ("Conv", 2), ("ConvTranspose", 1), ("ConvTranspose", 2)):
        PROGRAMS[f"{_kind}{_dims}d in {_groups}"] = (
            lambda s, name=f"{_kind}{_dims}d", dims=_dims, groups=_groups: (
                s.layer(name, 4, 6, 3, stride=2, padding=1, groups=groups)(s(2, 4, *[7] * dims)),
                s.layer(name, 4, 6, 2, groups=groups)(s(4, *[5] * dims, grad=False)),
            )
        )


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_counts_are_pytorchs(name, device):
    ours, theirs = (counted(lib, PROGRAMS[name], device) for lib in (dt, torch))
    if name == "checkpoint":  # what runs again counts for the last layer there
        ours, theirs = ours["Global", "products"], theirs["Global", "products"]
    assert ours == theirs


def test_what_pytorch_fuses_is_counted_by_its_products(device):
    s = Shelf(dt, device)

    def attention():
        return s.F.scaled_dot_product_attention(s(2, 4, 8, 16), s(2, 4, 6, 16), s(2, 4, 6, 16))

    one = 2 * 2 * 4 * 8 * 6 * 16
    with counter_of(dt) as counter:
        attention()
    assert counter.get_total_flops() == 2 * one
    with counter_of(dt) as counter:
        attention().sum().backward()
    assert counter.get_total_flops() == 6 * one
    for name, gates in (("LSTM", 4), ("GRU", 3)):
        layer = s.layer(name, 5, 3)
        with counter_of(dt) as counter, dt.no_grad():
            layer(s(7, 2, 5))
        products = {str(k): n for k, n in counter.get_flop_counts()[name].items()}
        assert sum(products.values()) == 2 * 7 * 2 * (5 + 3) * gates * 3


@SIDES
def test_formulas_of_ones_own(lib):
    home = import_module(f"{lib.__name__}.utils.flop_counter")
    name = f"counted_{lib.__name__}"

    def cosine(x):
        return x.cos() @ lib.eye(3)

    cosine.__annotations__ = {"x": lib.Tensor, "return": lib.Tensor}
    operator = lib.library.custom_op(f"mine::{name}", cosine, mutates_args=())
    packet, seen = getattr(lib.ops.mine, name), []
    with pytest.raises(ValueError, match="expected each target to be OpOverloadPacket"):
        home.register_flop_formula(packet.default)(lambda x: x)

    @home.register_flop_formula([packet])
    def formula(*args, out_shape=None, **kwargs):
        seen.append((args, out_shape))
        return 7

    with pytest.raises(RuntimeError, match=f"duplicate registrations for mine.{name}"):
        home.register_flop_formula(packet)(formula)
    with counter_of(lib) as counter:
        operator(lib.ones(2, 3))
    assert counter.get_total_flops() == 7 and seen == [(((2, 3),), (2, 3))]
    assert counter.get_flop_counts() == {"Global": {packet: 7}}

    def raw(x, *args, out_val=None, **kwargs):
        return int(x.sum() + out_val.sum())

    raw._get_raw = True
    further = {lib.ops.aten.relu: raw, lib.ops.aten.mm: lambda a, b, out_shape: a[0] * b[1]}
    with counter_of(lib, custom_mapping=further) as counter:
        lib.relu(lib.ones(3))
        lib.ones(2, 3) @ lib.ones(3, 5)
    assert {str(k): n for k, n in counter.get_flop_counts()["Global"].items()} == {
        "aten.relu": 6, "aten.mm": 10,
    }  # fmt: skip


@SIDES
def test_a_counter_begins_anew_and_counts_in_every_mode(lib):
    with pytest.warns(UserWarning, match="mods argument is not needed anymore"):
        counter = counter_of(lib, mods=lib.nn.Linear(1, 1))
    assert counter.get_total_flops() == 0 and counter.depth == 2
    for mode in (lib.no_grad, lib.enable_grad, lib.inference_mode):
        with mode(), counter:
            lib.ones(2, 3) @ lib.ones(3, 4)
        assert counter.get_total_flops() == 48
    with counter, pytest.raises(RuntimeError, match="cannot be multiplied"):
        lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Linear(3, 4))(lib.ones(2, 3))
    lib.ones(2, 3) @ lib.ones(3, 4)
    assert counter.get_total_flops() == 48


@SIDES
def test_a_function_of_ones_own_is_counted_by_what_it_calls(lib):
    class Product(lib.autograd.Function):
        @staticmethod
        def forward(ctx, x, weight):
            ctx.save_for_backward(weight)
            return x @ weight

        @staticmethod
        def backward(ctx, g):
            return g @ ctx.saved_tensors[0].T, None

    x, weight = lib.ones(2, 3, requires_grad=True), lib.ones(3, 4)
    with counter_of(lib) as counter:
        Product.apply(x, weight).sum().backward()
    assert counter.get_total_flops() == 96 and x.grad.tolist() == [[4.0] * 3] * 2


def test_gradients_are_what_they_are_without_a_counter(device):
    def gradients(watch):
        s = Shelf(dt, device)
        x, weight = s(3, 4), s(2, 4)
        kept = weight.grad = dt.ones(2, 4, device=device)
        seen = []
        with watch:
            hidden = s.F.linear(x, weight, s(2))
            hidden.retain_grad()
            hidden.register_hook(lambda g: seen.append(g.tolist()) or g * 2)
            (hidden * hidden).sum().backward()
            (slope,) = dt.autograd.grad((x * x).sum(), x, dt.tensor(3.0, device=device))
            x.cos().sum().backward(inputs=[x])
        assert weight.grad is kept and not slope.requires_grad and not kept.requires_grad
        return [t.tolist() for t in (x.grad, kept, hidden.grad, slope)], seen

    assert gradients(counter_of(dt)) == gradients(dt.enable_grad())


def test_the_table(capsys):
    net = network(Shelf(dt, "cpu"))
    with counter_of(dt, display=True):
        net(dt.ones(300, 4)).sum().backward()
        dt.ones(3, 4) @ dt.ones(4, 5)
    assert capsys.readouterr().out == TABLE
    with counter_of(dt, display=True, depth=1):
        net(dt.ones(1, 4))
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]] == [
        "Sequential", "-",
    ]  # fmt: skip
    with counter_of(dt, display=True):
        pass
    assert capsys.readouterr().out == EMPTY


TABLE = """\
Module               FLOP    % Total
---------------  --------  ---------
Global           182.520K    100.00%
 - aten.addmm     67.200K     36.82%
 - aten.mm       115.320K     63.18%
 Sequential      182.400K     99.93%
  - aten.addmm    67.200K     36.82%
  - aten.mm      115.200K     63.12%
  Sequential.0    38.400K     21.04%
   - aten.addmm   19.200K     10.52%
   - aten.mm      19.200K     10.52%
  Sequential.2   115.200K     63.12%
   - aten.addmm   38.400K     21.04%
   - aten.mm      76.800K     42.08%
  Sequential.3    28.800K     15.78%
   - aten.addmm    9.600K      5.26%
   - aten.mm      19.200K     10.52%
"""
EMPTY = """\
Module      FLOP    % Total
--------  ------  ---------
Global         0         0%
"""


def test_modules_are_known_forth_and_back():
    from devtensor.utils.module_tracker import ModuleTracker

    net, seen = network(Shelf(dt, "cpu")), []
    with ModuleTracker() as tracker:
        inner = net[2][0]
        inner.register_forward_pre_hook(lambda *_: seen.append((tracker.is_bw, tracker.parents)))
        out = net(dt.ones(4))
        out.grad_fn.register_hook(lambda *_: seen.append((tracker.is_bw, tracker.parents)))
        assert tracker.parents == {"Global"}
        out.sum().backward()
    assert seen == [
        (False, {"Global", "Sequential", "Sequential.2", "Sequential.2.0"}),
        (True, {"Global", "Sequential", "Sequential.3"}),
    ]
    assert tracker.parents == {"Global"} and not tracker.is_bw
