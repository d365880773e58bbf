"""What whole packages written for PyTorch touch of it beyond its public names."""

import pytest
import torch

import devtensor as dt
import devtensor._C
from devtensor.utils.flop_counter import FlopCounterMode

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


def test_a_counter_of_arithmetic_is_made_and_not_entered():
    counter = FlopCounterMode(mods=None, display=False, depth=3)
    assert counter.get_total_flops() == 0 and counter.get_flop_counts() == {}
    with pytest.raises(NotImplementedError, match="arithmetic is not counted here"), counter:
        pass


@BOTH
def test_texts_of_values(t):
    from importlib import import_module

    printing = import_module(f"{t.__name__}._tensor_str")
    assert printing._tensor_str(t.tensor([[1, 2], [3, 40]]), 1) == "[[ 1,  2],\n  [ 3, 40]]"
    assert printing.PRINT_OPTS.threshold == 1000
