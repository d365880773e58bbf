"""Names that whole PyTorch programs touch, beside PyTorch's."""

import copy
import gc
import time
import weakref
from collections import OrderedDict, deque, namedtuple
from importlib import import_module

import numpy as np
import pytest
from numpy.testing import assert_allclose

import devtensor as dt
from devtensor.alias import counterpart
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


# ---- names and arguments by which programs call what is there

BOTH = pytest.mark.parametrize("lib", [dt, torch], ids=["devtensor", "torch"])


def part(lib, name):
    """A module of PyTorch, or what stands for it."""
    return import_module(f"torch.{name}") if lib is torch else counterpart(f"torch.{name}")


@BOTH
def test_arguments_have_their_names(lib):
    x = lib.arange(6.0)
    assert [len(one) for one in x.split(split_size=4)] == [4, 2]
    assert [len(one) for one in x.split(split_size=[1, 5], dim=0)] == [1, 5]
    shared = lib.nn.ReLU()
    net = lib.nn.Sequential(shared, shared)
    assert len([*net.modules()]) == 2 and len([*net.modules(remove_duplicate=False)]) == 3
    assert lib.nn.ModuleList([shared]).pop(key=0) is shared
    assert lib.nn.RMSNorm(2)(x=lib.ones(2)).shape == (2,)
    layer = lib.nn.AdaptiveLogSoftmaxWithLoss(4, 6, [3])
    assert layer(input_=lib.ones(2, 4), target_=lib.tensor([0, 5])).output.shape == (2,)
    assert lib.distributions.HalfNormal(1.0).icdf(prob=lib.tensor(0.0)).item() == 0
    assert lib.nn.parameter.is_lazy(param=x) is False
    with lib.random.fork_rng([], True, "mine", "devices", "cpu"):
        pass
    lib.set_default_device(device=None)


@BOTH
def test_the_older_comparison(lib):
    with pytest.warns(FutureWarning, match="assert_allclose"):
        lib.testing.assert_allclose(lib.tensor([1.0, float("nan")]), [1.00005, float("nan")])
    with pytest.warns(FutureWarning), pytest.raises(AssertionError, match="mine"):
        lib.testing.assert_allclose(lib.ones(2), lib.zeros(2), 1e-3, 1e-3, True, "mine")
    with pytest.warns(FutureWarning):
        lib.testing.assert_allclose(lib.ones(2), lib.ones(2, dtype=lib.float64), 1e-3, 1e-3)


@BOTH
def test_ways_to_the_leaves_of_a_tree(lib):
    tree, pair = part(lib, "utils._pytree"), namedtuple("pair", "left right")
    value = {"a": [1, (2,)], "b": pair(3, None), "c": deque([4]), "d": OrderedDict(e=5)}
    paths, shape = tree.tree_flatten_with_path(value)
    assert [(tree.keystr(path), leaf) for path, leaf in paths] == [
        ("['a'][0]", 1), ("['a'][1][0]", 2), ("['b'].left", 3), ("['b'].right", None),
        ("['c'][0]", 4), ("['d']['e']", 5),
    ]  # fmt: skip
    assert all(tree.key_get(value, path) == leaf for path, leaf in paths)
    assert (shape.type, shape.num_leaves, shape.num_nodes, shape.num_children) == (dict, 6, 12, 4)
    assert (
        shape.child(0).type is list and not shape.is_leaf() and shape.children()[1].num_leaves == 2
    )
    assert shape.unflatten(range(6))["b"] == pair(2, 3)
    made = tree.tree_map_with_path(lambda path, x, y: (len(path), x + y), [1, [2]], [3, [4]])
    assert made == [(1, 4), [(2, 6)]]
    assert tree.tree_map_only((int, float), lambda x: -x, [1, "a"]) == [-1, "a"]
    assert tree.tree_map_only(lambda x: x == 1, lambda x: 9, [1, 2]) == [9, 2]
    assert tree.tree_all_only(int, lambda x: x > 0, [1, -1.0])
    assert not tree.tree_any_only(int, lambda x: x < 0, [1, -1.0])
    assert tree.tree_is_leaf(3) and not tree.tree_is_leaf([3])
    assert tree.tree_is_leaf([3], lambda x: True)

    class Both(list):
        pass

    class Opaque(list):
        pass

    tree.register_pytree_node(
        Both, lambda v: (list(v), None), lambda parts, _: Both(parts),
        flatten_with_keys_fn=lambda v: ([(tree.GetAttrKey(str(i)), x) for i, x in enumerate(v)], 0),
    )  # fmt: skip
    tree.register_pytree_node(Opaque, lambda v: (list(v), None), lambda parts, _: Opaque(parts))
    assert [tree.keystr(p) for p, _ in tree.tree_leaves_with_path(Both([1, [2]]))] == [
        ".0",
        ".1[0]",
    ]
    with pytest.raises(ValueError, match="flatten_with_keys_fn"):
        tree.tree_leaves_with_path(Opaque([1]))


@BOTH
def test_parts_that_programs_import_by_name(lib):
    collate = part(lib, "utils.data._utils.collate")
    given = {
        collate.collate_tensor_fn: [lib.ones(2)], collate.collate_int_fn: [3],
        collate.collate_float_fn: [0.5], collate.collate_numpy_scalar_fn: [np.float32(1)],
        collate.collate_numpy_array_fn: [np.ones(2)],
    }  # fmt: skip
    for function, batch in given.items():
        made = function(batch * 2, collate_fn_map=collate.default_collate_fn_map)
        assert made.shape[0] == 2 and isinstance(made, lib.Tensor)
    assert collate.collate_str_fn(["a"], collate_fn_map=None) == ["a"]
    checkpoint = part(lib, "utils.checkpoint")
    x, three = lib.ones(2, requires_grad=True), 3
    (held, other) = checkpoint.detach_variable((x * 2, three))
    assert held.is_leaf and held.requires_grad and other == 3
    with pytest.raises(RuntimeError, match="Only tuple of tensors is supported"):
        checkpoint.detach_variable([x])
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        checkpoint.check_backward_validity([lib.ones(1), 2])
    checkpoint.check_backward_validity([x])
    assert isinstance(checkpoint.DefaultDeviceType.get_device_type(), str)
    hooks = part(lib, "utils.hooks")
    hooks.warn_if_has_hooks(lib.ones(2))
    assert callable(hooks.unserializable_hook(lambda g: g))
    assert part(lib, "utils.deterministic").fill_uninitialized_memory in (True, False)
    assert issubclass(part(lib, "serialization").SourceChangeWarning, Warning)
    assert lib.library.impl_abstract and lib.nn.parameter.UninitializedTensorMixin
    found, places = lib.nn.functional.fractional_max_pool2d_with_indices(
        lib.rand(1, 1, 5, 5), 2, output_size=3
    )
    assert found.shape == places.shape == (1, 1, 3, 3)
    assert not lib.distributed.is_backend_available("mine")
    assert part(lib, "distributed").group.WORLD is None


@BOTH
def test_questions_that_tensors_and_modules_answer(lib):
    x = lib.arange(4.0)
    kinds = (x.is_ipu, x.is_maia, x.is_mps, x.is_mtia, x.is_vulkan, x.is_xla)
    assert not any(kinds) and not x.to_sparse().is_xla
    assert x.is_set_to(x.view(4)) and not x.is_set_to(x[:2]) and not x.is_set_to(x.clone())
    double = lib.nn.Linear(1, 1, bias=False)
    assert double._call_impl(lib.ones(1)).equal(double(lib.ones(1))) and not double.dump_patches
    nvtx = part(lib, "cuda.nvtx")
    assert callable(nvtx.range_push) and callable(nvtx.mark)
    assert len(lib.cuda.default_generators) == lib.cuda.device_count()


def test_what_is_asked_of_machines_that_are_not_here():
    dt.cuda.ipc_collect()
    assert not dt.mps.is_available() and dt.cuda.memory is dt.cuda.random is dt.cuda
    with pytest.raises(NotImplementedError, match="ask nvidia-smi"):
        dt.cuda.utilization()


@BOTH
def test_choices_and_loops(lib):
    x = lib.ones(2, requires_grad=True)
    chosen = lib.cond(lib.tensor(False), lambda x: x * 2, lambda x: x * 3, (x,))
    chosen.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    with pytest.raises(RuntimeError, match="bool or single-element tensor"):
        lib.cond(lib.ones(2), lambda x: x, lambda x: x, (x,))
    many = lib.while_loop(
        lambda i, y: i < 3, lambda i, y: (i + 1, y * 2), (lib.tensor(0), lib.ones(2))
    )
    assert many[0] == 3 and many[1].tolist() == [8.0, 8.0]
    with pytest.raises(RuntimeError, match="Expect cond_fn and body_fn to be callable"):
        lib.while_loop(1, lambda i: (i,), (lib.tensor(0),))


def test_modules_as_functions_by_older_names():
    functorch = counterpart("functorch")
    layer = dt.nn.Linear(2, 3)
    x, v = dt.ones(4, 2), [dt.ones(3, 2), dt.arange(3.0)]
    function, params = functorch.make_functional(layer)
    assert [p.shape for p in params] == [(3, 2), (3,)] and function(params, x).equal(layer(x))
    assert function(v, x).tolist() == [[2.0, 3.0, 4.0]] * 4
    many, stacked, buffers = functorch.combine_state_for_ensemble([layer, dt.nn.Linear(2, 3)])
    found = functorch.vmap(many, in_dims=(0, 0, None))(stacked, buffers, x)
    assert found.shape == (2, 4, 3) and np.allclose(found[0].tolist(), layer(x).tolist())
    assert isinstance(many, functorch.FunctionalModuleWithBuffers)
    with pytest.raises(RuntimeError, match="`model` has buffers"):
        functorch.make_functional(dt.nn.BatchNorm1d(2))
    _, detached, buffers = functorch.make_functional_with_buffers(dt.nn.BatchNorm1d(2), True)
    assert len(buffers) == 3 and not detached[0].requires_grad


def test_small_names_that_tensordict_asks_for():
    accessor = counterpart("torch.nn.utils._named_member_accessor")
    layer = dt.nn.Linear(2, 1)
    weight, ones = layer.weight, dt.ones(1, 2)
    assert accessor.swap_tensor(layer, "weight", ones) is weight and layer.weight is ones
    assert accessor.swap_tensor(layer, "other", ones, allow_missing=True) is None
    for name, error in (("none", AttributeError), ("a.b", KeyError)):
        with pytest.raises(error):
            accessor.swap_tensor(layer, name, ones)
    pytree = counterpart("torch.utils._pytree")
    pair = namedtuple("pair", "a b")(1, 2)
    assert pytree.is_namedtuple_instance(pair) and not pytree.is_namedtuple_instance((1, 2))
    assert pytree.is_structseq_instance(time.gmtime()) and not pytree.is_structseq_instance(pair)
    assert pytree._list_flatten_with_keys([7])[0][0][1] == 7
    hooks = counterpart("torch.nn.modules.module")._global_parameter_registration_hooks
    with dt.nn.modules.module.register_module_parameter_registration_hook(lambda *_: None):
        assert len(hooks) == 1
    utilities = counterpart("torch._utils")
    assert utilities._get_device_module("cuda") is dt.cuda
    inner = counterpart("torch._C")
    assert isinstance(dt.default_generator, inner.Generator)
    assert isinstance(torch.default_generator, torch._C.Generator)
    with pytest.raises(NotImplementedError, match=r"^torch\._C\.Graph: nothing is"):
        inner.Graph()
    assert inner._jit_can_fuse_on_cpu() is torch._C._jit_can_fuse_on_cpu() is False
    assert not counterpart("torch._C._functorch").is_batchedtensor(ones)
    assert not inner._is_torch_function_mode_enabled()
    with dt.overrides.BaseTorchFunctionMode():
        assert inner._is_torch_function_mode_enabled()
    assert inner._is_alias_of(ones, ones[:, 1:]) and not inner._is_alias_of(ones, ones.clone())
