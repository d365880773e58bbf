"""Names that whole PyTorch programs touch, beside PyTorch's."""

import copy
import gc
import weakref

import pytest
from numpy.testing import assert_allclose

import devtensor as dt
from devtensor.autograd.mode import unwatched
from devtensor.torch_version import TorchVersion

torch = pytest.importorskip("torch", reason="PyTorch is the reference")

# ---- versions

VERSIONS = ["2.13.0", "2.13", "2.13.0+cpu", "2.13.0a0+git1", "2.13.0.dev20250101", "2.12.1"]
VERSIONS += ["2.13.0rc1", "2.13.0.post1", "1!0.1", "2.13.0b2", "parrot", "2.14.0.dev1", "v2.13"]
VERSIONS += ["2.13.0-1", "2.13.0alpha", "2.13.0a1.dev2", "2.13.0+cu118", "2.9", "10.0"]


@pytest.mark.parametrize("sign", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_versions_compare_as_pytorchs(sign):
    from torch.torch_version import TorchVersion as Theirs

    name = f"__{sign}__"
    for one in VERSIONS:
        for other in [*VERSIONS, (2, 13), (2, 13, 0), (1,), [2, 14], (3, 0)]:
            ours = getattr(TorchVersion(one), name)(other)
            theirs = getattr(Theirs(one), name)(other)
            assert ours == theirs, (one, name, other)


def test_a_version_is_a_text():
    version = TorchVersion("2.13.0")
    assert version.split(".") == ["2", "13", "0"] and hash(version) == hash("2.13.0")
    assert f"{version}" == "2.13.0" and {version: 1}["2.13.0"] == 1


# ---- gradients of convolutions

SETTINGS = [
    {},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": (2,)},
    {"groups": 2},
    {"stride": 3, "padding": 2, "groups": 2},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_gradients_of_convolutions(dims, settings):
    def run(module):
        def filled(*shape):
            count = 1
            for n in shape:
                count *= n
            x = module.sin(module.arange(float(count), dtype=module.float64)).reshape(shape)
            return x.requires_grad_()

        groups = settings.get("groups", 1)
        x, w = filled(2, 2 * groups, *[7, 6, 5][:dims]), filled(4, 2, *[3, 2, 2][:dims])
        function = getattr(module.nn.functional, f"conv{dims}d")
        g = filled(*function(x, w, **settings).shape)
        of_input = getattr(module.nn.grad, f"conv{dims}d_input")(x.shape, w, g, **settings)
        of_weight = getattr(module.nn.grad, f"conv{dims}d_weight")(x, w.shape, g, **settings)
        total = (of_input * x.detach()).sum() + (of_weight**2).sum()
        return [of_input, of_weight, *module.autograd.grad(total, [x, w, g])]

    for one, two in zip(run(dt), run(torch), strict=True):
        assert_allclose(one.tolist(), two.tolist(), rtol=1e-10, atol=1e-10)


def test_gradients_of_no_convolution_are_refused():
    for module in (torch, dt):
        with pytest.raises(RuntimeError, match=r"Expected a tensor|Mismatch in shape"):
            module.nn.grad.conv2d_weight(
                module.ones(1, 2, 5, 5), (3, 2, 3, 3), module.ones(1, 3, 4, 3)
            )


@pytest.mark.parametrize("name", [n for n in dir(torch.nn.common_types) if n.endswith("_t")])
def test_types_of_arguments_have_names(name):
    ours, theirs = getattr(dt.nn.common_types, name), getattr(torch.nn.common_types, name)
    assert str(ours).replace("devtensor.tensor", "torch") == str(theirs)


# ---- weak references


def both():
    import torch.utils.weak

    import devtensor.utils.weak

    return [(torch, torch.utils.weak), (dt, devtensor.utils.weak)]


def test_entries_go_with_their_keys():
    for module, weak in both():
        for kind in (weak.WeakIdKeyDictionary, weak.WeakTensorKeyDictionary):
            x, y = module.ones(2), module.ones(2)
            found = kind({x: 1})
            found[y] = 2
            assert found[x] == 1 and y in found and 3 not in found and module.ones(2) not in found
            assert found.setdefault(x, 5) == 1 and found.get(module.ones(2), 7) == 7
            assert [key is x for key in found] == [True, False]
            twin = copy.copy(found)
            assert twin == found and twin.pop(x) == 1 and len(found) == 2
            merged = twin | {x: 3}
            assert merged[x] == 3 and x not in twin
            twin |= found
            assert len(twin) == 2
            deep = copy.deepcopy(found)
            assert deep[x] == 1
            with pytest.raises(KeyError):
                found[module.ones(2)]
            assert len(found.keyrefs()) == 2
            del x
            gc.collect()
            assert list(found.values()) == [2] and len(found) == 1


def test_weak_references_of_tensors():
    for module, weak in both():
        x = module.ones(2)
        one, other = weak.WeakIdRef(x), weak.WeakIdRef(x)
        assert one == other and hash(one) == hash(other) == id(x)
        assert not one == weak.WeakIdRef(module.ones(2))  # noqa: SIM201
        held = weak.TensorWeakRef(x)
        assert held() is x
        del x
        gc.collect()
        assert held() is None and not one == other  # noqa: SIM201
        with pytest.raises(AssertionError, match=r"expected torch\.Tensor"):
            weak.TensorWeakRef(3)


def test_two_tensors_are_exchanged():
    for module in (torch, dt):
        x = module.nn.Parameter(module.ones(2))
        x.extra = "x"
        y = module.zeros(3, dtype=module.float64)
        module.utils.swap_tensors(x, y)
        assert type(x) is module.Tensor and type(y) is module.nn.Parameter
        assert x.shape == (3,) and not hasattr(x, "extra") and y.extra == "x"
        assert not x.requires_grad and y.requires_grad and y.is_leaf
        (y * 2).sum().backward()
        assert y.grad.tolist() == [2, 2] and x.grad is None
        reference = weakref.ref(x)
        with pytest.raises(RuntimeError, match="Cannot swap t2 because it has weakref"):
            module.utils.swap_tensors(y, x)
        assert reference() is x


def test_what_was_recorded_before_an_exchange_is_refused():
    x, y = dt.ones(2, requires_grad=True), dt.zeros(2, requires_grad=True)
    out = (x * 2).sum()
    dt.utils.swap_tensors(x, y)
    with pytest.raises(RuntimeError, match="poisoned by swap_tensors"):
        out.backward()
    (x * 3 + y * 4).sum().backward()
    assert x.grad.tolist() == [3, 3] and y.grad.tolist() == [4, 4]


# ---- switches


def test_neither_subclasses_nor_modes_are_asked():
    for module in (torch, dt):
        seen = []

        class Mode(module.overrides.TorchFunctionMode):
            def __torch_function__(self, func, types, args=(), kwargs=None, seen=seen):
                seen.append("mode")
                return func(*args, **(kwargs or {}))

        class Sub(module.Tensor):
            @classmethod
            def __torch_function__(cls, func, types, args=(), kwargs=None, seen=seen):
                seen.append("class")
                return super().__torch_function__(func, types, args, kwargs or {})

        x = module.ones(2).as_subclass(Sub)
        with Mode(), Mode():
            seen.clear()
            with module._C.DisableTorchFunctionSubclass():
                module.exp(x)
            modes = seen[:1]
            seen.clear()
            with module._C.DisableTorchFunction():
                module.exp(x)
            assert (modes, seen) == (["mode"], [])
            module.exp(x)
            assert "mode" in seen


def test_mixed_precision_by_a_switch():
    def run(module):
        x, seen = module.ones(2, 2), []

        def look():
            seen.append((str((x @ x).dtype), module.is_autocast_enabled("cpu")))

        module.set_autocast_enabled("cpu", True)
        look()
        with module.autocast("cpu", dtype=module.float16):
            look()
            module.set_autocast_dtype("cpu", module.bfloat16)
            look()
        with module.autocast("cpu", enabled=False):
            look()
            module.set_autocast_enabled("cpu", True)
            look()
        for _ in range(3):
            module.set_autocast_enabled("cpu", False)
            look()
            module.set_autocast_enabled("cpu", True)
        module.set_autocast_enabled("cpu", False)
        with module.autocast("cpu"):
            module.set_autocast_enabled("cpu", False)
            look()
        look()
        module.set_autocast_enabled(True)
        seen.append((module.is_autocast_enabled(), module.is_autocast_enabled("cuda")))
        module.set_autocast_enabled(False)
        seen.append(module.is_autocast_enabled())
        for wrong in (("cpu",), ("cpu", 1), (1,)):
            with pytest.raises(TypeError, match="argument 'enabled'"):
                module.set_autocast_enabled(*wrong)
        return seen

    assert run(dt) == run(torch)
    assert unwatched() is not None  # nothing stays that launches would have to ask


# ---- gradients of each example


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_gradients_of_each_example(reduction):
    from torch.nn.utils._per_sample_grad import call_for_per_sample_grads as theirs

    from devtensor.nn.utils._per_sample_grad import call_for_per_sample_grads as ours

    def run(module, wrapped):
        model = module.nn.Sequential(
            module.nn.Conv1d(2, 4, 3), module.nn.GroupNorm(2, 4), module.nn.Flatten(),
            module.nn.Linear(12, 3),
        ).double()  # fmt: skip
        with module.no_grad():
            for p in model.parameters():
                count = module.arange(float(p.numel()), dtype=module.float64)
                p.copy_(module.sin(count).reshape(p.shape))
        model[0].bias.requires_grad_(False)
        x = module.cos(module.arange(40.0, dtype=module.float64)).reshape(4, 2, 5)
        out = wrapped(model, loss_reduction=reduction)(x).square()
        getattr(out, reduction)().backward()
        assert model[3].weight.grad is None and not hasattr(model[0].bias, "grad_sample")
        with pytest.raises(RuntimeError, match="clearing gradients"):
            wrapped(model)
        return [out, *[p.grad_sample for p in model.parameters() if p.requires_grad]]

    for one, two in zip(run(dt, ours), run(torch, theirs), strict=True):
        assert_allclose(one.tolist(), two.tolist(), rtol=1e-9, atol=1e-12)


def test_examples_in_the_second_dimension():
    from torch.nn.utils._per_sample_grad import call_for_per_sample_grads as theirs

    from devtensor.nn.utils._per_sample_grad import call_for_per_sample_grads as ours

    layer = dt.nn.Linear(3, 2)
    out = ours(layer, batch_first=False)(dt.ones(5, 4, 3))
    out.sum().backward()
    assert out.shape == (5, 4, 2) and layer.weight.grad_sample.tolist() == [[[5] * 3] * 2] * 4
    assert layer.bias.grad_sample.tolist() == [[5, 5]] * 4
    for module, wrapped in ((torch, theirs), (dt, ours)):
        for wrong in ({"loss_reduction": "max"}, {"batch_size": 0}, {"batch_size": 2.5}):
            with pytest.raises(RuntimeError, match=r"sum or mean|positive|None or an integer"):
                wrapped(module.nn.Linear(3, 2), **wrong)


def test_the_loaders_arguments_have_types():
    for name in ("_collate_fn_t", "_worker_init_fn_t"):
        theirs = str(getattr(torch.utils.data.dataloader, name))
        ours = str(getattr(dt.utils.data.dataloader, name))
        assert ours.replace("~T]", "~_T]") == theirs
