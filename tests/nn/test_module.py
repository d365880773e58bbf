"""Module: what it holds, its state, hooks, conversions and text; and the containers."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pytest

import devtensor as dt
from devtensor import nn


def array(x):
    return x.detach().numpy()


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.norm = nn.BatchNorm1d(3)
        self.scale = nn.Parameter(dt.ones(3))
        self.register_buffer("offset", dt.zeros(3))
        self.register_buffer("scratch", dt.zeros(1), persistent=False)

    def forward(self, x, power=1):
        return (self.norm(self.first(x)) * self.scale + self.offset) ** power


NAMES = [
    "scale",
    "offset",
    "first.weight",
    "first.bias",
    "norm.weight",
    "norm.bias",
    "norm.running_mean",
    "norm.running_var",
    "norm.num_batches_tracked",
]


# -- attributes ------------------------------------------------------------------------------


def test_attributes_go_to_their_shelves():
    m = Small()
    assert [name for name, _ in m.named_parameters()] == [
        "scale",
        "first.weight",
        "first.bias",
        "norm.weight",
        "norm.bias",
    ]
    assert [name for name, _ in m.named_buffers()] == [
        "offset",
        "scratch",
        "norm.running_mean",
        "norm.running_var",
        "norm.num_batches_tracked",
    ]
    assert [name for name, _ in m.named_children()] == ["first", "norm"]
    assert [name for name, _ in m.named_modules()] == ["", "first", "norm"]
    assert "scale" in dir(m)
    assert list(m.state_dict()) == NAMES


def test_a_name_lives_on_one_shelf():
    m = Small()
    m.first = nn.Parameter(dt.ones(1))
    assert "first" not in m._modules
    m.scale = nn.Linear(1, 1)
    assert "scale" not in m._parameters
    m.offset = nn.Buffer(dt.ones(2), persistent=False)
    assert "offset" not in m.state_dict()
    m.plain = 3
    m.plain = nn.Parameter(dt.ones(1))
    assert "plain" not in m.__dict__
    del m.plain
    assert not hasattr(m, "plain")


def test_none_takes_the_place_of_a_parameter_or_module():
    m = Small()
    m.scale = None
    m.first = None
    m.offset = None
    assert m.scale is None and m.first is None and m.offset is None
    assert "scale" not in m.state_dict()


@pytest.mark.parametrize(
    "name, value, text",
    [
        ("scale", 3, "cannot assign 'int' as parameter 'scale'"),
        ("first", 3, "cannot assign 'int' as child module 'first'"),
        ("offset", 3, "cannot assign 'int' as buffer 'offset'"),
        ("scale", dt.ones(1), "cannot assign 'torch.FloatTensor' as parameter 'scale'"),
    ],
)
def test_wrong_things_are_refused(name, value, text):
    m = Small()
    with pytest.raises(TypeError, match=text):
        setattr(m, name, value)


def test_setting_before_init_is_refused():
    class Forgot(nn.Module):
        def __init__(self, value):
            self.value = value

    with pytest.raises(AttributeError, match=r"cannot assign module before Module.__init__\(\)"):
        Forgot(nn.ReLU())
    with pytest.raises(
        AttributeError, match=r"cannot assign parameters before Module.__init__\(\)"
    ):
        Forgot(nn.Parameter(dt.ones(1)))


def test_registering_checks_names():
    m = Small()
    for register in (m.register_buffer, m.register_parameter, m.add_module):
        with pytest.raises(TypeError, match="should be a string"):
            register(3, None)
        with pytest.raises(KeyError, match="t contain"):
            register("a.b", None)
        with pytest.raises(KeyError, match="t be empty string"):
            register("", None)
        with pytest.raises(KeyError, match="already exists"):
            register("forward", None)
    with pytest.raises(ValueError, match="non-leaf"):
        m.register_parameter("new", with_history(nn.Parameter(dt.ones(2), requires_grad=False)))
    with pytest.raises(TypeError, match="not a Module subclass"):
        m.add_module("new", 3)


def with_history(parameter):
    return parameter.add_(dt.ones(2, requires_grad=True))


def test_missing_attribute():
    with pytest.raises(AttributeError, match="'Small' object has no attribute 'nothing'"):
        _ = Small().nothing


def test_paths():
    m = nn.Sequential(Small(), nn.ReLU())
    assert m.get_submodule("0.first") is m[0].first
    assert m.get_submodule("") is m
    assert m.get_parameter("0.first.weight") is m[0].first.weight
    assert m.get_buffer("0.norm.running_mean") is m[0].norm.running_mean
    m.set_submodule("0.first", nn.Identity())
    assert type(m[0].first) is nn.Identity
    for find in (m.get_submodule, m.get_parameter, m.get_buffer):
        with pytest.raises(AttributeError):
            find("0.nowhere.x")
    with pytest.raises(AttributeError, match="is not an nn"):
        m.get_submodule("0.scale")


def test_shared_parts_are_counted_once():
    shared = nn.Linear(2, 2)
    m = nn.Sequential(shared, shared)
    assert len(list(m.parameters())) == 2
    assert len(list(m.named_parameters(remove_duplicate=False))) == 4
    assert len(list(m.modules())) == 2
    assert len(m.state_dict()) == 4


# -- state -----------------------------------------------------------------------------------


def test_state_goes_around():
    a, b = Small(), Small()
    assert "All keys matched" in str(b.load_state_dict(a.state_dict()))
    for name, value in a.state_dict().items():
        assert (array(value) == array(b.state_dict()[name])).all()
    assert not a.state_dict()["scale"].requires_grad
    assert a.state_dict(keep_vars=True)["scale"] is a.scale
    assert list(a.state_dict(prefix="x.")) == ["x." + name for name in NAMES]
    assert a.state_dict()._metadata["norm"] == {"version": 2}


def test_state_shares_memory_and_loading_copies():
    a = nn.Linear(2, 2)
    state = a.state_dict()
    with dt.no_grad():
        a.weight.fill_(7)
    assert (array(state["weight"]) == 7).all()
    b = nn.Linear(2, 2)
    weight = b.weight
    b.load_state_dict(state)
    assert b.weight is weight
    with dt.no_grad():
        a.weight.zero_()
    assert (array(b.weight) == 7).all()


def test_state_can_be_taken_as_it_is():
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    b.weight.requires_grad_(False)
    state = a.state_dict()
    b.load_state_dict(state, assign=True)
    with dt.no_grad():
        a.weight.fill_(7)
    assert (array(b.weight) == 7).all()
    assert type(b.weight) is nn.Parameter
    assert not b.weight.requires_grad and b.bias.requires_grad


def test_wrong_states_are_told_in_full():
    m = Small()
    state = dict(m.state_dict())
    del state["scale"]
    state["first.weight"] = dt.ones(5, 5)
    state["first.more"] = dt.ones(1)
    state["else"] = dt.ones(1)
    with pytest.raises(RuntimeError) as error:
        m.load_state_dict(state)
    text = str(error.value)
    assert text.startswith("Error(s) in loading state_dict for Small:")
    assert 'Missing key(s) in state_dict: "scale". ' in text
    assert 'Unexpected key(s) in state_dict: "' in text
    assert '"else"' in text and '"first.more"' in text
    assert (
        "size mismatch for first.weight: copying a param with shape torch.Size([5, 5]) from "
        "checkpoint, the shape in current model is torch.Size([3, 2])." in text
    )
    state["first.weight"] = m.first.weight
    result = m.load_state_dict(state, strict=False)
    assert result.missing_keys == ["scale"]
    assert sorted(result.unexpected_keys) == ["else", "first.more"]
    with pytest.raises(TypeError, match="dict-like"):
        m.load_state_dict([1])
    with pytest.raises(RuntimeError, match="expected Tensor or Tensor-like"):
        nn.Linear(1, 1).load_state_dict({"weight": 3, "bias": dt.ones(1)})


def test_extra_state():
    class Counting(nn.Module):
        count = 0

        def get_extra_state(self):
            return {"count": self.count}

        def set_extra_state(self, state):
            self.count = state["count"]

    a, b = Counting(), Counting()
    a.count = 5
    assert a.state_dict() == {"_extra_state": {"count": 5}}
    b.load_state_dict(a.state_dict())
    assert b.count == 5
    with pytest.raises(RuntimeError, match="Missing key"):
        b.load_state_dict({})


def test_state_hooks():
    m = Small()
    seen = []
    m.register_state_dict_pre_hook(lambda module, prefix, keep: seen.append(prefix))
    m.register_state_dict_post_hook(lambda module, state, prefix, meta: state.__delitem__("scale"))
    m.first.register_load_state_dict_pre_hook(lambda module, state, *rest: state.update(bias=None))
    m.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
    state = m.state_dict()
    assert seen == [""] and "scale" not in state
    m.load_state_dict(state, strict=False)


def test_old_batch_norm_states_have_no_count():
    norm = nn.BatchNorm1d(2)
    state = OrderedDict((k, v) for k, v in norm.state_dict().items() if "num" not in k)
    norm.load_state_dict(state)


# -- copies ----------------------------------------------------------------------------------


def test_copies_are_independent():
    m = Small()
    m.first.weight.kind = "special"
    m.scale.requires_grad_(False)
    for twin in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        assert list(twin.state_dict()) == NAMES
        assert type(twin.scale) is nn.Parameter and not twin.scale.requires_grad
        with dt.no_grad():
            twin.first.weight.fill_(3)
        assert not (array(m.first.weight) == 3).any()
    # as in PyTorch, where a copied parameter is a new one
    assert twin.first.weight.kind == "special" and not hasattr(
        copy.deepcopy(m).first.weight, "kind"
    )


def test_copies_keep_what_is_shared():
    shared = nn.Linear(2, 2)
    twin = copy.deepcopy(nn.ModuleList([shared, shared]))
    assert twin[0] is twin[1]
    tied = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
    tied[1].weight = tied[0].weight
    twin = copy.deepcopy(tied)
    assert twin[0].weight is twin[1].weight


# -- modes and conversions -------------------------------------------------------------------


def test_modes():
    m = Small()
    assert m.training and m.norm.training
    assert m.eval() is m
    assert not m.training and not m.norm.training
    m.train()
    assert m.norm.training
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        m.train(1)
    m.requires_grad_(False)
    assert not any(p.requires_grad for p in m.parameters())


def test_gradients_are_forgotten():
    m = nn.Linear(2, 1)
    m(dt.ones(1, 2)).sum().backward()
    m.zero_grad(set_to_none=False)
    assert (array(m.weight.grad) == 0).all()
    m.zero_grad()
    assert m.weight.grad is None


def test_apply_goes_over_children_first():
    seen = []
    m = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    assert m.apply(lambda module: seen.append(type(module).__name__)) is m
    assert seen == ["Linear", "ReLU", "Sequential"]


def test_conversion():
    m = Small()
    m(dt.ones(4, 2)).sum().backward()
    weight = m.first.weight
    assert m.double() is m
    assert m.first.weight is weight
    assert weight.dtype == dt.float64 and weight.grad.dtype == dt.float64
    assert m.norm.running_mean.dtype == dt.float64
    assert m.norm.num_batches_tracked.dtype == dt.int64
    assert m.to(dt.float16).scale.dtype == dt.float16
    assert m.to("cpu", dt.float32).scale.dtype == dt.float32
    assert m.to(dt.ones(1, dtype=dt.float64)).scale.dtype == dt.float64
    assert m.to(device="cpu").scale.dtype == dt.float64
    assert m.float().half().cpu().scale.dtype == dt.float16
    assert weight.requires_grad and weight.is_leaf
    with pytest.raises(TypeError, match="only accepts floating point or complex dtypes"):
        m.to(dt.int64)
    assert tuple(m.to_empty(device="cpu").scale.shape) == (3,)


# -- the call and its hooks ------------------------------------------------------------------


def test_a_module_without_forward():
    with pytest.raises(NotImplementedError, match='is missing the required "forward" function'):
        nn.Module()(1)


def test_hooks_are_found_under_their_numbers():
    m, hooks = nn.Linear(1, 1), [lambda *_: None for _ in range(3)]
    handles = [
        m.register_forward_hook(hooks[0], with_kwargs=True, always_call=True),
        m.register_forward_pre_hook(hooks[1], with_kwargs=True),
        m.register_full_backward_hook(hooks[2]),
    ]
    assert m._forward_hooks == {handles[0].id: hooks[0]}
    assert m._forward_pre_hooks == {handles[1].id: hooks[1]}
    assert m._backward_hooks == {handles[2].id: hooks[2]}
    m._forward_hooks.clear()
    assert m(dt.ones(1)).shape == (1,)


class Told:
    """A hook that a copy of its module has, too."""

    def __call__(self, module, args, kwargs, output):
        module.told = kwargs


def test_a_copied_hook_is_given_what_it_asked_for():
    m = nn.Bilinear(1, 1, 1)
    m.register_forward_hook(Told(), with_kwargs=True)
    for copied in (copy.deepcopy(m), pickle.loads(pickle.dumps(m))):
        copied(dt.ones(1), input2=dt.ones(1))
        assert list(copied.told) == ["input2"]


def test_forward_hooks():
    class Twice(nn.Module):
        def forward(self, x, y=1):
            return 2 * x + y

    m = Twice()
    log = []
    before = m.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    both = m.register_forward_pre_hook(
        lambda module, args, kwargs: (args, {"y": 10}), with_kwargs=True
    )
    after = m.register_forward_hook(lambda module, args, out: log.append((args, out)))
    change = m.register_forward_hook(lambda module, args, out: out * 100)
    assert m(1) == (2 * 2 + 10) * 100
    assert log == [((2,), 14)]
    first = m.register_forward_hook(lambda module, args, out: -out, prepend=True)
    m(1)
    assert log[-1] == ((2,), -14)
    for handle in (before, both, after, change, first):
        handle.remove()
    assert m(1) == 3
    with m.register_forward_hook(lambda module, args, out: 0):
        assert m(1) == 0
    assert m(1) == 3
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        m.register_forward_pre_hook(lambda module, args, kwargs: 3, with_kwargs=True)
        m(1)


def test_forward_hook_that_is_always_called():
    class Bad(nn.Module):
        def forward(self, x):
            raise ValueError("bad")

    m, seen = Bad(), []
    m.register_forward_hook(lambda module, args, out: seen.append("never"))
    m.register_forward_hook(lambda module, args, out: seen.append(out), always_call=True)
    with pytest.raises(ValueError, match="bad"):
        m(1)
    assert seen == [None]


def test_backward_hooks():
    m = nn.Linear(2, 3)
    seen = {}
    m.register_full_backward_pre_hook(lambda module, out: seen.update(before=out))
    m.register_full_backward_hook(lambda module, inp, out: seen.update(inputs=inp, outputs=out))
    x = dt.ones(1, 2, requires_grad=True)
    (m(x) * 2).sum().backward()
    assert (array(seen["before"][0]) == 2).all()
    assert (array(seen["outputs"][0]) == 2).all()
    np.testing.assert_allclose(
        array(seen["inputs"][0]), array(m.weight).sum(0)[None] * 2, rtol=1e-6
    )
    np.testing.assert_allclose(array(x.grad), array(seen["inputs"][0]))
    seen.clear()
    with pytest.warns(UserWarning, match="no inputs require gradients"):
        m(dt.ones(1, 2)).sum().backward()
    assert seen["inputs"] == (None,)


def test_backward_hooks_replace_gradients():
    m = nn.Linear(2, 3)
    m.register_full_backward_hook(lambda module, inp, out: (inp[0] * 10,))
    x = dt.ones(1, 2, requires_grad=True)
    m(x).sum().backward()
    np.testing.assert_allclose(array(x.grad), array(m.weight).sum(0)[None] * 10, rtol=1e-6)


# -- parameters ------------------------------------------------------------------------------


def test_parameters():
    data = dt.ones(2)
    p = nn.Parameter(data)
    assert p.requires_grad and p.is_leaf and isinstance(p, dt.Tensor)
    assert repr(p) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    with dt.no_grad():
        p.fill_(2)
        assert nn.Parameter(dt.ones(1)).requires_grad
    assert (array(data) == 2).all()
    assert type(p * 2) is dt.Tensor
    assert nn.Parameter().numel() == 0
    with pytest.raises(RuntimeError, match="floating point"):
        nn.Parameter(dt.ones(2, dtype=dt.int64))
    assert not nn.Parameter(dt.ones(2, dtype=dt.int64), requires_grad=False).requires_grad
    with pytest.raises(TypeError, match="must be a Tensor"):
        nn.Parameter([1.0])
    twin = pickle.loads(pickle.dumps(p))
    assert type(twin) is nn.Parameter and twin.requires_grad


def test_uninitialized_parameters():
    p = nn.UninitializedParameter(dtype=dt.float64)
    with pytest.raises(RuntimeError, match="Can't access the shape"):
        _ = p.shape
    assert type(copy.deepcopy(p)) is nn.UninitializedParameter
    p.materialize((2, 3))
    assert type(p) is nn.Parameter
    assert tuple(p.shape) == (2, 3) and p.dtype == dt.float64 and p.requires_grad


# -- containers ------------------------------------------------------------------------------


def test_sequential():
    m = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 3))
    assert len(m) == 3 and m[-1] is m[2]
    assert type(m[:2]) is nn.Sequential and m[1:][0] is m[1]
    assert tuple(m(dt.ones(4, 1)).shape) == (4, 3)
    m.append(nn.Tanh()).insert(0, nn.Identity())
    assert [type(x).__name__ for x in m] == ["Identity", "Linear", "ReLU", "Linear", "Tanh"]
    del m[0]
    assert list(m._modules) == ["0", "1", "2", "3"]
    assert type(m.pop(-1)) is nn.Tanh
    m[1] = nn.GELU()
    assert type(m[1]) is nn.GELU
    assert len(m + m) == 6 and len(m * 2) == 6
    m += [nn.ReLU()]
    assert len(m) == 4
    named = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh()))
    assert named.a is named[0] and list(named[1:]._modules) == ["b"]
    for bad in (4, -5):
        with pytest.raises(IndexError, match="out of range"):
            m[bad]
    with pytest.raises(TypeError, match="not a Module subclass"):
        nn.Sequential(3)


def test_module_list():
    m = nn.ModuleList([nn.Linear(1, 1) for _ in range(3)])
    assert len(m) == 3 and m[-1] is m[2] and m[0] in m
    m.append(nn.ReLU()).extend([nn.Tanh()]).insert(1, nn.GELU())
    assert [type(x).__name__ for x in m] == ["Linear", "GELU", "Linear", "Linear", "ReLU", "Tanh"]
    del m[1:3]
    assert list(m._modules) == ["0", "1", "2", "3"]
    assert type(m.pop(0)) is nn.Linear and len(m[1:]) == 2
    assert len(m + nn.ModuleList([nn.ReLU()])) == 4
    with pytest.raises(TypeError, match="should be called with an iterable"):
        m.extend(3)


def test_module_dict():
    m = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    m["c"] = nn.GELU()
    m.update([("d", nn.ReLU())])
    assert list(m) == list(m.keys()) == ["a", "b", "c", "d"] and "a" in m and len(m) == 4
    assert type(m.pop("a")) is nn.ReLU
    del m["b"]
    assert [name for name, _ in m.items()] == ["c", "d"] and len(list(m.values())) == 2
    m.clear()
    assert not len(m)
    with pytest.raises(TypeError):
        m.update(3)


def test_parameter_containers():
    m = nn.ParameterList([dt.ones(2), nn.Parameter(dt.ones(1))])
    m.append(dt.zeros(3)).extend([dt.ones(1)])
    assert len(m) == 4 and all(type(p) is nn.Parameter for p in m)
    assert list(m.state_dict()) == ["0", "1", "2", "3"] and m[-1] is m[3]
    m[0] = dt.zeros(5)
    assert tuple(m[0].shape) == (5,) and len(m[1:]) == 3
    d = nn.ParameterDict({"a": dt.ones(2), "b": nn.Parameter(dt.ones(1))})
    d["c"] = dt.zeros(1)
    assert list(d) == ["a", "b", "c"] == list(d.state_dict()) and "a" in d
    assert type(d.pop("a")) is nn.Parameter and d.get("a") is None and len(d) == 2
    assert d.popitem()[0] == "c" and list(d.copy()) == ["b"]
    with pytest.raises(AttributeError, match="has no attribute 'a'"):
        d["a"]
    for made, name in ((d, "ParameterDict"), (nn.ModuleDict(), "ModuleDict")):
        with pytest.raises(TypeError, match=f"{name} update sequence element #0 should be Iter"):
            made.update([1])
        with pytest.raises(ValueError, match=f"{name} update sequence element #0 has length 3"):
            made.update([[1, 2, 3]])


def test_texts_are_those_of_pytorch():
    torch = pytest.importorskip("torch")

    def texts(lib, nn):
        block = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True))
        yield nn.Sequential(block, nn.Flatten())
        yield nn.ModuleList([nn.Linear(2, 3), nn.Linear(2, 3), nn.ReLU(), nn.ModuleList()])
        yield nn.ModuleList([nn.Sequential(nn.Linear(2, 3)), nn.Sequential(nn.Linear(2, 3))])
        yield nn.ModuleDict({"a": nn.ReLU(), "b": nn.ModuleDict()})
        yield nn.ParameterList([lib.ones(2, 3), nn.Parameter(lib.ones(3)), 3, "a"])
        yield nn.ParameterDict({"a": lib.ones(2, 3), "c": 3})
        yield from (nn.ParameterList(), nn.ParameterDict())  # one line for none or one
        yield from (nn.ParameterList([lib.ones(2)]), nn.ParameterDict({"a": lib.ones(2)}))
        yield nn.ParameterList([nn.Linear(1, 1), lib.ones(2)])
        yield nn.Module()

    for ours, theirs in zip(texts(dt, nn), texts(torch, torch.nn), strict=True):
        assert repr(ours) == repr(theirs)


def test_buffers_are_shown_as_tensors():
    assert repr(nn.Buffer(dt.ones(2))) == repr(dt.ones(2))


def test_hooks_say_how_they_are_called():
    m = nn.Linear(1, 1)
    first = m.register_forward_hook(lambda *given: None, with_kwargs=True)
    second = m.register_forward_hook(lambda *given: None, always_call=True)
    third = m.register_forward_pre_hook(lambda *given: None, with_kwargs=True)
    assert m._forward_hooks_with_kwargs == {first.id: True}
    assert m._forward_hooks_always_called == {second.id: True}
    assert m._forward_pre_hooks_with_kwargs == {third.id: True}
    first.remove()
    assert not m._forward_hooks_with_kwargs and len(m._forward_hooks) == 1


def test_a_lazy_layer_can_be_called_again_after_a_failure():
    layer = nn.LazyConv2d(3, 2)
    with pytest.raises(RuntimeError):
        layer(dt.ones(4, 4))
    assert tuple(layer(dt.ones(1, 2, 4, 4)).shape) == (1, 3, 3, 3)
