"""What whole packages written for PyTorch touch of it beyond its public names."""

from importlib import import_module

import pytest
import torch

import devtensor as dt
import devtensor._C
from devtensor.nn.modules import FILES

BOTH = pytest.mark.parametrize("t", [torch, dt], ids=["theirs", "ours"])


@BOTH
def test_memory_is_read_from_files(t, tmp_path):
    file = tmp_path / "bytes"
    file.write_bytes(bytes(range(40)))
    memory = t.UntypedStorage.from_file(str(file), False, 32)
    assert (len(memory), memory.nbytes(), memory[3], memory.tolist()[30:]) == (32, 32, 3, [30, 31])
    part = memory.untyped()[4:12]
    assert (len(part), part[0], part.data_ptr() - memory.data_ptr()) == (8, 4, 4)
    assert t.asarray(part, dtype=t.uint8).view(dtype=t.int16).tolist() == [
        0x504, 0x706, 0x908, 0xB0A,
    ]  # fmt: skip
    assert file.read_bytes() == bytes(range(40))
    with pytest.raises(RuntimeError, match="size <40> is smaller than the required mapping size"):
        t.UntypedStorage.from_file(str(file), False, 41)


@BOTH
def test_tensors_over_files(t, tmp_path):
    name = str(tmp_path / "numbers")
    with pytest.raises(RuntimeError, match="in read-only mode: No such"):
        t.from_file(name, size=2)
    shared = t.from_file(name, True, 3, dtype=t.int16)
    assert shared.tolist() == [0, 0, 0]
    shared.fill_(258)
    assert (tmp_path / "numbers").read_bytes() == bytes([2, 1] * 3)
    with pytest.raises(RuntimeError, match="size <6> is smaller than the required mapping size <8"):
        t.from_file(name, size=2)
    own = t.from_file(name, dtype=t.int16, size=2).zero_()
    assert own.tolist() == [0, 0] and t.from_file(name, size=3, dtype=t.int16)[0] == 258
    assert t.from_file(name, True, 3).shape == (3,)  # the file grows
    assert (tmp_path / "numbers").stat().st_size == 12
    assert t.from_file(name).shape == (0,)
    assert t.from_file(name, size=1, requires_grad=True).requires_grad
    assert len(t.UntypedStorage.from_file(f"{name}2", True, 4)) == 4
    for arguments, named in (((name,), {"size": 1.5}), ((3,), {"size": 1})):
        with pytest.raises(TypeError, match="from_file"):
            t.from_file(*arguments, **named)
    with pytest.raises(NotImplementedError, match="from_file"):
        t.from_file(name, size=1, device="meta")


@BOTH
def test_memory_has_the_bytes_of_all_its_views(t):
    memory = t.arange(4, dtype=t.int32)[2:].untyped_storage()
    assert memory.tolist() == [*(0, 0, 0, 0), *(1, 0, 0, 0), *(2, 0, 0, 0), *(3, 0, 0, 0)]
    assert memory[4] == 1


@BOTH
def test_arguments_of_to_are_read(t):
    read = t._C._nn._parse_to
    cpu = t.device("cpu")
    assert read("cpu", t.float64) == (cpu, t.float64, False, None)
    assert read(t.ones(1).half(), True) == (cpu, t.float16, True, None)
    assert read(device="cpu", non_blocking=True) == (cpu, None, True, None)
    assert t._C._nn.relu6(t.tensor([7.0])).item() == 6


@BOTH
def test_operations_of_the_dispatcher(t):
    aten, x = t.ops.aten, t.arange(12.0).view(3, 4)
    view = aten.alias.default(x)
    assert view is not x and view.data_ptr() == x.data_ptr()
    assert aten.slice.Tensor(x, 1, 1, 3).tolist() == x[:, 1:3].tolist()
    assert aten.slice.Tensor(x, -2, 1, None, 2).tolist() == x[1::2].tolist()
    assert aten.index.Tensor(x, [None, t.tensor([0, 1])]).tolist() == x[:, :2].tolist()
    copied = aten._to_copy.default(x, dtype=t.int64)
    assert copied.dtype is t.int64 and copied[1, 1] == 5
    assert aten._to_copy.default(x).data_ptr() != x.data_ptr()
    assert aten.add_.Tensor(x, 1.0) is x and x[0, 0] == 1
    assert not hasattr(aten, "no_such_operation")


@BOTH
def test_kinds_of_devices_that_are_not_here(t):
    assert not any(t.is_autocast_enabled(kind) for kind in ("mps", "hpu", "xla", "mtia"))
    with pytest.raises(RuntimeError):
        t.is_autocast_enabled("nowhere")
    assert not isinstance(3, (t.SymInt, t.SymFloat, t.SymBool))


@BOTH
def test_texts_of_values(t):
    from importlib import import_module

    printing = import_module(f"{t.__name__}._tensor_str")
    assert printing._tensor_str(t.tensor([[1, 2], [3, 40]]), 1) == "[[ 1,  2],\n  [ 3, 40]]"
    assert t._tensor_str is printing
    before = printing.get_printoptions()
    with printing.printoptions(precision=2, sci_mode=False):
        assert str(t.tensor([1.2345, 1e-9])) == "tensor([1.23, 0.00])"
    assert printing.get_printoptions() == before
    assert before == dict(precision=4, threshold=1000, edgeitems=3, linewidth=80, sci_mode=None)
    assert printing.PRINT_OPTS.threshold == 1000


def numbers(value):
    """What can be compared: tensors as lists, and devices and types as text."""
    if isinstance(value, (torch.Tensor, dt.Tensor)):
        return value.tolist()
    if isinstance(value, dict):
        return sorted((str(k), numbers(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return [numbers(one) for one in value]
    return str(value).rpartition(".")[2] if "dtype" in type(value).__name__ else value


def as_real(t):
    lists = [t.tensor([1 + 2j]), t.ones(1)], [t.tensor([3j]), t.zeros(1)]
    optim(t)._view_as_real(*lists)
    return lists


def synchronized(t):
    layers = t.nn.Sequential(t.nn.BatchNorm2d(3), t.nn.Sequential(t.nn.BatchNorm1d(2)))
    layers[0].weight.data[:] = t.tensor([1.0, 2, 3])
    before = layers[0].weight
    made = t.nn.SyncBatchNorm.convert_sync_batchnorm(layers.eval())
    kinds = [type(one).__name__ for one in made.modules()]
    alone = t.nn.SyncBatchNorm.convert_sync_batchnorm(t.nn.BatchNorm1d(2, affine=False))
    return [
        made is layers, kinds, made[0].weight is before, made[0].weight, made[0].training,
        list(made.state_dict()), type(alone).__name__, alone.affine, list(alone.state_dict()),
    ]  # fmt: skip


def held(t):
    layer = t.nn.Linear(1, 1, bias=False)
    swap = t.nn.utils.stateless._reparametrize_module
    with swap(layer, {"weight": t.full((1, 1), 3.0)}):
        inside = layer(t.ones(1, 1))
    return [inside, isinstance(layer.weight, t.nn.Parameter), list(layer.state_dict())]


def within(t):
    """A function that is zero unless a transform is at work."""
    return lambda x: x * x * t._C._are_functorch_transforms_active()


def optim(t):
    return import_module(f"{t.__name__}.optim.optimizer")


SETS = lambda t: (t.ones(1), t.zeros(1, 2))  # noqa: E731
CALLS = {
    "flat": lambda t: t._utils._flatten_dense_tensors(SETS(t)),
    "unflat": lambda t: t._utils._unflatten_dense_tensors(t.arange(3.0), SETS(t)),
    "index": lambda t: [t._utils._get_device_index(one, allow_cpu=True) for one in (3, "cpu")],
    "size": lambda t: t._utils._element_size(t.float64),
    "sym": lambda t: [
        t.sym_max(2, 3.0), t.sym_max(2.5, 3), t.sym_min(2, 3), t.sym_int(-2.7), t.sym_float(2),
        t.sym_not(True), t.sym_ite(False, 1, 2), t.sym_sum([1, 2]), t.sym_sqrt(4),
    ],
    "value": lambda t: [optim(t)._get_value(one) for one in (t.tensor(2), 3)],
    "scalar": lambda t: [optim(t)._to_scalar(one) for one in (t.ones(1), 3)],
    "stack": lambda t: optim(t)._stack_if_compiling([1]),
    "steps": lambda t: [optim(t)._get_scalar_dtype(one) for one in (None, True)],
    "as_real": as_real,
    "groups": lambda t: optim(t).Optimizer._group_tensors_by_device_and_dtype(
        [[t.ones(1), t.ones(1, dtype=t.float64), t.zeros(2)], [None, t.ones(1), None]], True
    ),
    "synchronized": synchronized,
    "held": held,
    "fan": lambda t: t.nn.init._calculate_correct_fan(t.ones(2, 3), "fan_out"),
    "transforms": lambda t: [
        t._C._are_functorch_transforms_active(), t.func.grad(within(t))(t.tensor(2.0)),
        t.func.vmap(within(t))(t.ones(2)),
    ],
    "checks": lambda t: [t._assert_async(t.tensor(one), "is not") for one in (True, 2.0, [1])],
    "activations": lambda t: sorted(
        name for name, value in vars(t.nn.modules.activation).items()
        if isinstance(value, type) and issubclass(value, t.nn.Module) and value is not t.nn.Module
        and name not in ("NonDynamicallyQuantizableLinear",)
    ),
    "dense": lambda t: [
        t.ones(1, requires_grad=True).to_dense().requires_grad, t.ones(1).to_dense(t.int64),
        [one.to_dense(masked_grad=True) is one for one in [t.ones(1)]],
    ],
    "states": lambda t: t.utils.checkpoint.get_device_states(t.ones(1), {"a": [t.ones(1)]}, 3),
    "collate": lambda t: t.utils.data._utils.collate.default_collate([1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_what_packages_take_from_inside(name):
    assert numbers(CALLS[name](dt)) == numbers(CALLS[name](torch))


@BOTH
def test_steps_keep_history_if_they_are_differentiable(t):
    class Own(t.optim.Optimizer):
        @optim(t)._use_grad_for_differentiable
        def step(self):
            return t.is_grad_enabled()

    leaf = [t.ones(1, requires_grad=True)]
    assert [Own(leaf, {"differentiable": way}).step() for way in (True, False)] == [True, False]


@BOTH
def test_numbers_of_devices_that_have_none(t):
    with pytest.raises(ValueError, match="Expected a non cpu device, but got: cpu"):
        t._utils._get_device_index("cpu")
    with pytest.raises(ValueError, match="with a specified index or an integer"):
        t._utils._get_device_index("cuda")


@BOTH
@pytest.mark.filterwarnings("ignore:.*set_default_tensor_type:UserWarning")
def test_the_default_type_by_an_older_constructor(t):
    try:
        for given, dtype in ((t.DoubleTensor, t.float64), ("torch.HalfTensor", t.float16)):
            t.set_default_tensor_type(given)
            assert t.ones(1).dtype is dtype
        for wrong in (t.LongTensor, 3, t.float32):
            with pytest.raises(TypeError, match="only floating-point types are supported"):
                t.set_default_tensor_type(wrong)
        with pytest.raises(AttributeError, match="no attribute 'FooTensor'"):
            t.set_default_tensor_type("torch.FooTensor")
    finally:
        t.set_default_tensor_type(t.FloatTensor)
    assert t.ones(1).dtype is t.float32


@BOTH
def test_what_is_asserted_of_tensors(t):
    with pytest.raises(RuntimeError, match="with single nonzero value, but got zero"):
        t._assert_async(t.tensor(False))
    with pytest.raises(RuntimeError, match="is not so"):
        t._assert_async(t.tensor(0.0), "is not so")
    with pytest.raises(RuntimeError, match="more than one value is ambiguous"):
        t._assert_async(t.ones(2))
    with pytest.raises(TypeError, match="must be Tensor, not bool"):
        t._assert_async(True)


@pytest.mark.parametrize("name", FILES)
def test_files_of_layers_hold_their_classes(name):
    theirs = import_module(f"torch.nn.modules.{name}")
    ours = vars(getattr(dt.nn.modules, name))
    assert {one for one in theirs.__all__ if one != "Container"} <= set(ours)
    classes = [one for one, value in ours.items() if isinstance(value, type)]
    assert classes and all(getattr(dt.nn.modules, one) is ours[one] for one in classes)


@pytest.mark.parametrize("name", ["Stream", "Event"])
def test_queues_of_any_device_are_named_and_refused(name):
    assert not isinstance(dt.cpu.current_stream(), getattr(dt, name))
    with pytest.raises(NotImplementedError, match=rf"torch.cuda.{name} or torch.xpu.{name}"):
        getattr(dt, name)()


def test_the_states_of_devices_bring_back_their_numbers(device):
    from devtensor.utils.checkpoint import get_device_states, set_device_states

    found = get_device_states([dt.ones(2, device=device)])
    before = dt.rand(3, device=device)
    set_device_states(*found)
    assert dt.rand(3, device=device).tolist() == before.tolist() or device.startswith("cpu")
    assert len(found[0]) == len(found[1]) == (not device.startswith("cpu"))


def test_the_key_of_further_state_is_told():
    key = dt.nn.modules.module._EXTRA_STATE_KEY_SUFFIX
    assert key == torch.nn.modules.module._EXTRA_STATE_KEY_SUFFIX
