"""Graphs of what modules call: the same code and nodes as in PyTorch, and the same results."""

import copy
import operator
import pickle
from importlib import import_module

import pytest
import torch

import devtensor as dt
from devtensor.alias import counterpart

LIBRARIES = pytest.mark.parametrize("lib", [dt, torch], ids=["ours", "theirs"])


def fx(lib, name=""):
    return import_module(f"{lib.__name__}.fx{name}")


def network(lib):
    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = lib.nn.ModuleList(
                [lib.nn.Linear(4, 4), lib.nn.Sequential(lib.nn.Linear(4, 4), lib.nn.ReLU())]
            )
            self.scale = lib.nn.Parameter(lib.full((4,), 2.0))
            self.register_buffer("shift", lib.ones(4))

        def forward(self, x, y=None, *, z=2):
            a = x * self.scale + self.shift
            a = lib.cat([a, -a], dim=1)[:, :4]
            for layer in self.inner:
                a = layer(a).clamp(min=-1.0)
            u, v = a.split(2, 1)
            r = lib.tanh(u @ v.t()).view(x.shape[0], -1).sum(dim=-1, keepdim=True)
            return {"o": 2**r, "p": (a.T, x.size(0))}, lib.where(r > 0, r, 1.0)

    net = Net()
    with lib.no_grad():
        for p in net.inner.parameters():
            p.copy_(lib.arange(p.numel()).reshape(p.shape) % 5 - 2.0)
    return net


def ours_and_theirs(make):
    return [make(lib) for lib in (dt, torch)]


def test_the_code_is_pytorchs():
    ours, theirs = ours_and_theirs(lambda lib: fx(lib).symbolic_trace(network(lib)))
    assert ours.code == theirs.code and type(ours).__name__ == "Net"
    for one, other in zip(ours.graph.nodes, theirs.graph.nodes, strict=True):
        assert (one.op, one.name, len(one.users)) == (other.op, other.name, len(other.users))
        assert str(one.args) == str(other.args) and str(one.kwargs) == str(other.kwargs)
        assert list(map(str, one.users)) == list(map(str, other.users))
        assert one.format_node() == other.format_node().replace("_operator", "operator")
    names = [sorted(dict(module.named_parameters())) for module in (ours, theirs)]
    assert names[0] == names[1]
    layers = ours_and_theirs(
        lambda lib: fx(lib).symbolic_trace(lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.GELU()))
    )
    assert layers[0].code == layers[1].code and str(layers[0].graph) == str(layers[1].graph)


def test_a_traced_module_computes_the_same():
    net = network(dt)
    traced = dt.fx.symbolic_trace(net)
    x = (dt.arange(12.0).reshape(3, 4) / 10).requires_grad_()
    want = net(x)
    want[1].sum().backward()
    slope, x.grad = x.grad, None
    copies = (traced, copy.deepcopy(traced), pickle.loads(pickle.dumps(traced)))
    for made in (*copies, dt.fx.Transformer(traced).transform()):
        found = made(x)
        assert found[0]["o"].equal(want[0]["o"]) and found[0]["p"][1] == 3
        found[1].sum().backward()
        assert x.grad.equal(slope)
        x.grad = None
    assert dt.fx.Interpreter(traced).run(x, None, 2)[1].equal(want[1])
    fx(dt, ".passes.shape_prop").ShapeProp(traced).propagate(x, None, 2)
    metas = {n.name: n.meta.get("tensor_meta") for n in traced.graph.nodes}
    assert metas["inner_0"].shape == (3, 4) and metas["inner_0"].dtype is dt.float32


@LIBRARIES
def test_graphs_can_be_changed(lib):
    traced = fx(lib).symbolic_trace(lambda x, y: lib.exp(x) + y)
    graph = traced.graph
    exp = next(n for n in graph.nodes if n.target is lib.exp)
    with pytest.raises(RuntimeError, match="still had 1 users"):
        graph.erase_node(exp)
    with graph.inserting_after(exp):
        new = graph.call_function(lib.relu, exp.args)
    assert exp.replace_all_uses_with(new)[0].target is operator.add
    graph.erase_node(exp)
    with graph.inserting_before(graph.output_node()):
        graph.call_function(lib.cos, (new,))
    assert graph.eliminate_dead_code()
    traced.recompile()
    assert "relu" in traced.code and "exp" not in traced.code and "cos" not in traced.code
    assert traced(lib.tensor(-2.0), lib.tensor(3.0)) == 3
    with pytest.raises(TypeError, match=r"does not support mutation|immutable"):
        fx(lib).symbolic_trace(lambda x: lib.stack([x])).graph.find_nodes(
            op="call_function", target=lib.stack
        )[0].args[0].append(1)
    made = fx(lib).Graph()
    x = fx(lib).Proxy(made.placeholder("x", lib.Tensor))
    made.output((abs(x) @ x.mT / 2).node)
    built = fx(lib).GraphModule({}, made, "Built")
    assert built(lib.eye(2)).tolist() == [[0.5, 0], [0, 0.5]] and "x : torch.Tensor" in built.code


@LIBRARIES
def test_what_cannot_be_traced_says_so(lib):
    def decides(x):
        return x if x.sum() > 0 else -x

    def loops(x):
        return [y for y in x]

    trace = fx(lib).symbolic_trace
    with pytest.raises(fx(lib, ".proxy").TraceError, match="control flow"):
        trace(decides)
    with pytest.raises(fx(lib, ".proxy").TraceError, match="cannot be iterated"):
        trace(loops)
    with pytest.raises(RuntimeError, match="'len' is not supported"):
        trace(lambda x: len(x))
    fixed = trace(lambda x, flip=True: -x if flip else x, concrete_args={"flip": True})
    assert fixed(lib.tensor(1.0), True) == -1
    starred = trace(lambda *args, **kwargs: args[0] + kwargs["a"])
    assert starred(lib.tensor(1.0), a=lib.tensor(2.0)) == 3
    assert not fx(lib, "._symbolic_trace").is_fx_tracing()
    net = network(lib)
    assert net(lib.ones(3, 4))[0]["p"][1] == 3  # modules are as before


def test_tracers_say_what_is_a_leaf():
    class Whole(dt.fx.Tracer):
        def is_leaf_module(self, m, path):
            return isinstance(m, dt.nn.Sequential)

    net = dt.nn.Sequential(dt.nn.Sequential(dt.nn.Linear(2, 2)), dt.nn.Linear(2, 2, bias=False))
    graph = Whole().trace(dt.nn.ModuleDict({"a": net})["a"][:1])
    assert [n.op for n in graph.nodes] == ["placeholder", "call_module", "output"]
    deep = Whole().trace(net[1])
    assert [n.op for n in deep.nodes] == ["placeholder", "get_attr", "call_function", "output"]
    assert counterpart("torch.fx.experimental.proxy_tensor").is_fake(1) is False


@LIBRARIES
def test_functions_of_layers_are_kept_whole(lib):
    F = lib.nn.functional

    def layers(x):
        lib._assert(x.shape[0] == 1, "one picture")
        y = F.interpolate(F.unfold(x, 2)[None], scale_factor=2)
        return lib.einsum("abcd,abcd->a", [y, y]) + F.normalize(F.softmax(x, 1)).sum()

    traced = fx(lib).symbolic_trace(layers)
    x = lib.arange(9.0).reshape(1, 1, 3, 3)
    assert traced(x).tolist() == layers(x).tolist()
    names = {n.target.__name__ for n in traced.graph.nodes if n.op == "call_function"}
    assert {"_assert", "interpolate", "unfold", "einsum", "normalize", "softmax"} <= names
    assert not traced.graph.eliminate_dead_code()  # what is asserted stays
    assert "einsum('abcd,abcd->a', interpolate, interpolate)" in traced.code


@LIBRARIES
def test_graphs_and_their_modules_are_changed(lib):
    net = lib.nn.Sequential(lib.nn.Linear(2, 2), lib.nn.ReLU())
    traced = fx(lib).symbolic_trace(net)
    graph, x = traced.graph, lib.tensor([[1.0, -2.0]])
    (relu,) = graph.find_nodes(op="call_module", target="1")
    with graph.inserting_after(relu):
        more = graph.call_function(lib.add, (relu,))
    relu.replace_all_uses_with(more, delete_user_cb=lambda user: user is not more)
    more.insert_arg(1, 5)
    more.update_arg(1, 2)
    more.update_kwarg("alpha", 3)
    graph.lint()
    traced.recompile()
    assert traced(x).tolist() == (net(x) + 6).tolist()
    assert graph.output_node().args[0] is more
    assert traced.add_submodule("extra.deep", lib.nn.ReLU())
    assert not traced.add_submodule("0.weight.deep", lib.nn.ReLU())
    traced.delete_all_unused_submodules()
    assert [name for name, _ in traced.named_modules() if name] == ["0", "1"]
    assert "alpha = 3" in traced.print_readable(print_output=False)
