"""Checkpoints beside PyTorch's: its files are read here, and ours are read there."""

import collections
import copy
import io
import mmap
import os
import pickle
import sys
import threading
import types
import zipfile

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor import nn
from devtensor import serialization as ser

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64",
          "complex64", "complex128", "uint16", "uint32", "uint64"]  # fmt: skip
HAS_BFLOAT16 = dt.bfloat16 in dt.device("cpu").backend.native


def written(module, value, **options):
    """The bytes of a checkpoint that one library writes."""
    file = io.BytesIO()
    module.save(value, file, **options)
    return file.getvalue()


def read(module, data, **options):
    return module.load(io.BytesIO(data), **options)


def name(dtype):
    return str(dtype).removeprefix("torch.")


def plain(value):
    """A value of either library, so that the two can be compared."""
    if isinstance(value, (dt.Tensor, torch.Tensor)):
        kind = type(value).__name__
        data = value.detach()
        return (kind, name(value.dtype), tuple(value.shape), tuple(value.stride()),
                value.requires_grad, data.tolist())  # fmt: skip
    if isinstance(value, dict):
        return (type(value).__name__, [(key, plain(item)) for key, item in value.items()],
                plain(getattr(value, "__dict__", None)))  # fmt: skip
    if isinstance(value, (dt.Size, torch.Size)):
        return "Size", tuple(value)
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(item) for item in value]
    if isinstance(value, (dt.dtype, torch.dtype)):
        return "dtype", name(value)
    if isinstance(value, (dt.device, torch.device)):
        return "device", value.type, value.index
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted(map(repr, value))
    return type(value).__name__, value


def values(module):
    """The same checkpoint from either library."""
    base = module.arange(24, dtype=module.float32).reshape(2, 3, 4)
    state = collections.OrderedDict(weight=base[0], bias=base[1, 0])
    state._metadata = collections.OrderedDict({"": {"version": 1}})
    return {
        "base": base,
        "views": [base[1:], base.permute(2, 0, 1), base[:, ::2], base[1, 2, 3]],
        "expanded": module.ones(3).expand(2, 3),
        "empty": [module.ones(0), module.ones(2, 0, 3), module.ones(3)[3:]],
        "scalar": module.tensor(2.5, dtype=module.float64),
        "tracked": module.ones(2, requires_grad=True),
        "parameter": module.nn.Parameter(module.ones(2, 2)),
        "frozen": module.nn.Parameter(module.arange(3), requires_grad=False),
        "state": state,
        "size": base.shape,
        "dtypes": [module.float32, module.bfloat16, module.bool, module.complex64],
        "device": module.device("cpu"),
        "plain": [1, -(10**30), 2.5, True, None, "text", "ünïcode", b"\0bytes", 3 + 4j,
                  (1, (2,)), {3, 4}, bytearray(b"xy"), 2**31, 300, -1],
        "counter": collections.Counter("abca"),
        7: {(1, "key"): "tuple"},
    }  # fmt: skip


# ---- both ways


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_travel_both_ways(dtype):
    array = np.array([[0, 1], [1, 2]]).astype(dtype)
    if dtype.startswith("complex"):
        array += 2j
    theirs, ours = torch.from_numpy(array), dt.from_numpy(array)
    assert plain(read(dt, written(torch, theirs))) == plain(theirs)
    for weights_only in (True, False):
        back = read(torch, written(dt, ours), weights_only=weights_only)
        assert plain(back) == plain(theirs)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("weights_only", [True, False])
def test_everything_travels_both_ways(weights_only, legacy):
    options = {"_use_new_zipfile_serialization": not legacy}
    theirs = values(torch)
    expected = plain(theirs)
    assert plain(read(dt, written(torch, theirs, **options), weights_only=weights_only)) == expected
    ours = written(dt, values(dt), **options)
    assert plain(read(torch, ours, weights_only=weights_only)) == expected
    assert plain(read(dt, ours, weights_only=weights_only)) == expected


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_protocols(protocol):
    expected = plain(values(torch))
    ours = written(dt, values(dt), pickle_protocol=protocol)
    assert plain(read(torch, ours, weights_only=False)) == expected
    theirs = written(torch, values(torch), pickle_protocol=protocol)
    for weights_only in (True, False):
        assert plain(read(dt, theirs, weights_only=weights_only)) == expected


def records(data):
    archive = zipfile.ZipFile(io.BytesIO(data))
    return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def test_files_are_byte_for_byte_pytorch_s():
    def value(module):
        base = module.arange(6.0)
        return {"a": base, "b": base.reshape(2, 3)[1:], "c": module.nn.Parameter(base),
                "d": module.ones(3, dtype=module.uint16), "e": module.ones(0), "n": [1, None],
                "s": base.shape, "t": module.float32}  # fmt: skip

    theirs, ours = written(torch, value(torch)), written(dt, value(dt))
    assert {k: v for k, v in records(ours).items() if "serialization_id" not in k} == {
        k: v for k, v in records(theirs).items() if "serialization_id" not in k
    }
    different = [i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    # The id of the contents, and its checksum in two places.
    assert len(different) <= 40 + 4 + 4
    start = theirs.index(b"serialization_id")
    assert all(i > start for i in different)


def test_records_are_aligned(tmp_path):
    path = tmp_path / "model.pt"
    dt.save({str(i): dt.ones(i) for i in range(1, 9)}, path)
    data = path.read_bytes()
    for entry in zipfile.ZipFile(path).infolist():
        header = data[entry.header_offset :][:30]
        start = (
            30 + int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        )
        assert (entry.header_offset + start) % 64 == 0
        assert entry.filename.startswith("model/")


def test_same_content_gives_the_same_bytes():
    assert written(dt, {"a": dt.ones(3)}) == written(dt, {"a": dt.ones(3)})
    assert written(dt, {"a": dt.ones(3)}) != written(dt, {"a": dt.zeros(3)})


def test_bfloat16_is_read_with_its_values():
    numbers = torch.tensor([1.0, -2.5, 3.140625, float("inf"), 1e-38, 0.0], dtype=torch.bfloat16)
    data = written(torch, {"x": numbers[1:], "p": torch.nn.Parameter(numbers)})
    if HAS_BFLOAT16:
        loaded = read(dt, data)
        assert loaded["x"].dtype is dt.bfloat16
    else:
        with pytest.warns(dt.DevtensorWarning, match="bfloat16"):
            loaded = read(dt, data)
        assert loaded["x"].dtype is dt.float32
    assert loaded["x"].tolist() == numbers[1:].tolist()
    assert loaded["p"].requires_grad
    assert loaded["p"].tolist() == numbers.tolist()


@pytest.mark.skipif(not HAS_BFLOAT16, reason="needs ml_dtypes")
def test_bfloat16_is_written():
    back = read(torch, written(dt, dt.tensor([1.5, -2.0], dtype=dt.bfloat16)))
    assert back.dtype is torch.bfloat16
    assert back.tolist() == [1.5, -2.0]


def test_bfloat16_where_there_is_none(monkeypatch):
    monkeypatch.setattr(dt.serialization._memory, "has_bfloat16", lambda device: False)
    numbers = torch.randn(50).to(torch.bfloat16)
    for legacy in (False, True):
        data = written(torch, [numbers, numbers[3:]], _use_new_zipfile_serialization=not legacy)
        with pytest.warns(dt.DevtensorWarning, match="read as float32") as warned:
            a, b = read(dt, data)
        assert len(warned) == 1
        assert a.dtype is b.dtype is dt.float32
        assert a.tolist() == numbers.tolist()
        a[3] = 7.0
        assert b[0].item() == 7.0


def test_conjugates_and_negatives_are_resolved():
    z = torch.tensor([1 + 2j, 3 - 4j])
    loaded = read(dt, written(torch, {"conj": z.conj(), "imag": z.conj().imag.clone()}))
    assert loaded["conj"].tolist() == z.conj().tolist()


def test_numbers_of_dtypes_that_are_not_here_are_refused():
    data = written(torch, torch.zeros(2, dtype=torch.float8_e4m3fn))
    with pytest.raises(pickle.UnpicklingError, match="float8_e4m3fn"):
        read(dt, data)


# ---- memory that is shared


@pytest.mark.parametrize("legacy", [False, True])
def test_sharing_is_kept(legacy):
    options = {"_use_new_zipfile_serialization": not legacy}
    for writer in (torch, dt):
        base = writer.arange(6.0)
        data = written(
            writer, [base, base[2:], base.reshape(2, 3).T, writer.arange(6.0)], **options
        )
        for reader in (torch, dt):
            a, b, c, other = read(reader, data)
            a[3] = 100.0
            assert b[1].item() == 100.0
            assert c[0, 1].item() == 100.0
            assert other[3].item() == 3.0
            assert b.storage_offset() == 2


def test_shared_memory_is_written_once():
    base = dt.zeros(1000)
    one, three = written(dt, [base]), written(dt, [base, base[:10], base.reshape(10, 100)])
    assert len(three) < len(one) + 2000
    assert len(records(three)) == len(records(one))


def test_the_same_object_stays_one_object():
    parameter = nn.Parameter(dt.ones(2))
    a, b = read(dt, written(dt, [parameter, parameter]))
    assert a is b


def test_one_memory_with_two_dtypes_is_refused():
    x = dt.ones(2)
    with pytest.raises(RuntimeError, match="view the same data as different types"):
        written(dt, [x, x.view(dt.int32)])


def test_loaded_tensors_are_ordinary_leaves():
    a, b = read(dt, written(dt, [dt.arange(6.0), dt.ones(2, requires_grad=True)]))
    assert not a._is_view()
    assert a.is_leaf and b.is_leaf and b.requires_grad
    a.add_(1)
    assert b.grad is None
    (b * 2).sum().backward()
    assert b.grad.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="leaf Variable"):
        b.add_(1)


def test_non_leaves_become_tracked_leaves():
    x = dt.ones(2, requires_grad=True)
    y = read(dt, written(dt, x * 2))
    assert y.requires_grad and y.is_leaf and y.tolist() == [2.0, 2.0]


# ---- what holds tensors


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, x):
        return self.norm(self.linear(x))


def test_state_dicts_travel_both_ways():
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.ReLU())
    ours = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
    x = np.random.default_rng(0).standard_normal((5, 3)).astype("float32")
    ours.load_state_dict(read(dt, written(torch, theirs.state_dict())))
    np.testing.assert_allclose(
        ours(dt.from_numpy(x)).detach().numpy(),
        theirs(torch.from_numpy(x)).detach().numpy(),
        rtol=1e-5, atol=1e-6,
    )  # fmt: skip
    state = read(torch, written(dt, ours.state_dict()))
    assert isinstance(state, collections.OrderedDict)
    assert state._metadata == theirs.state_dict()._metadata
    theirs.load_state_dict(state)


def torch_model(module):
    return module.nn.Sequential(
        module.nn.Linear(3, 4),
        module.nn.LayerNorm(4),
        module.nn.Dropout(0.5),
        module.nn.ModuleList([module.nn.ReLU()])[0],
        module.nn.Linear(4, 2, bias=False),
    ).eval()


def test_whole_modules_of_pytorch_become_ours():
    theirs = torch_model(torch)
    data = written(torch, theirs)
    with pytest.raises(pickle.UnpicklingError, match="Sequential"):
        read(dt, data)
    ours = read(dt, data, weights_only=False)
    assert type(ours) is nn.Sequential
    assert type(ours[0]) is nn.Linear and type(ours[0].weight) is nn.Parameter
    x = np.ones((2, 3), "float32")
    np.testing.assert_allclose(
        ours(dt.from_numpy(x)).detach().numpy(),
        theirs(torch.from_numpy(x)).detach().numpy(),
        rtol=1e-5,
    )
    assert not ours.training


def test_whole_modules_of_pytorch_take_hooks():
    ours = read(dt, written(torch, torch.nn.Linear(2, 1)), weights_only=False)
    seen = []
    handle = ours.register_forward_hook(lambda *_: seen.append(1))
    ours(dt.ones(2))
    handle.remove()
    ours(dt.ones(2))
    assert seen == [1]


def test_our_modules_can_be_read_by_pytorch():
    ours = torch_model(dt)
    theirs = read(torch, written(dt, ours), weights_only=False)
    assert type(theirs) is torch.nn.Sequential
    x = np.ones((2, 3), "float32")
    np.testing.assert_allclose(
        ours(dt.from_numpy(x)).detach().numpy(),
        theirs(torch.from_numpy(x)).detach().numpy(),
        rtol=1e-5,
    )


def test_modules_of_the_user_s_own():
    net = Net()
    back = read(dt, written(dt, net), weights_only=False)
    assert isinstance(back, Net)
    assert back.norm.num_batches_tracked.item() == 0
    np.testing.assert_array_equal(back.linear.weight.tolist(), net.linear.weight.tolist())
    with dt.serialization.safe_globals([Net]), pytest.raises(pickle.UnpicklingError):
        read(dt, written(dt, net))  # allowed is the class, not those of the layers within


def test_buffers_and_attributes():
    ours = nn.Buffer(dt.ones(2), persistent=False)
    theirs = torch.nn.Buffer(torch.ones(2), persistent=False)
    for data in (written(dt, ours), written(torch, theirs)):
        back = read(dt, data)
        assert isinstance(back, nn.Buffer) and back.persistent is False
        assert isinstance(read(torch, data), torch.nn.Buffer)
    for module in (torch, dt):
        parameter = module.nn.Parameter(module.ones(2))
        parameter.tag = "decoder"
        for reader in (torch, dt):
            assert read(reader, written(module, parameter)).tag == "decoder"


class Marked(dt.Tensor):
    pass


def test_classes_derived_from_tensor():
    value = dt.Tensor._make_subclass(Marked, dt.ones(2), True)
    value.note = "n"
    data = written(dt, value)
    with pytest.raises(pickle.UnpicklingError, match="add_safe_globals"):
        read(dt, data)
    with ser.safe_globals([Marked]):
        back = read(dt, data)
    assert type(back) is Marked and back.note == "n" and back.requires_grad


def test_uninitialized_parameters():
    back = read(dt, written(dt, nn.LazyLinear(3).weight), weights_only=False)
    assert isinstance(back, nn.UninitializedParameter)


def test_optimizer_state_travels_both_ways():
    def trained(module):
        module.manual_seed(0)
        weight = module.nn.Parameter(module.ones(3))
        optimizer = module.optim.Adam([weight], lr=0.1)
        (weight * weight).sum().backward()
        optimizer.step()
        return weight, optimizer

    (_, theirs), (_, ours) = trained(torch), trained(dt)
    ours.load_state_dict(read(dt, written(torch, theirs.state_dict())))
    theirs.load_state_dict(read(torch, written(dt, ours.state_dict())))
    assert theirs.state_dict()["state"][0]["exp_avg"].tolist() == pytest.approx(
        ours.state_dict()["state"][0]["exp_avg"].tolist()
    )


# ---- the allow-list


class Point:
    def __init__(self, x):
        self.x = x


def test_safe_globals():
    data = written(dt, {"p": Point(dt.ones(2))})
    with pytest.raises(pickle.UnpicklingError, match=r"Point was not an allowed global") as error:
        read(dt, data)
    assert "weights_only" in str(error.value)
    assert ser.get_safe_globals() == []
    with ser.safe_globals([Point]):
        assert ser.get_safe_globals() == [Point]
        assert read(dt, data)["p"].x.tolist() == [1.0, 1.0]
    assert ser.get_safe_globals() == []
    ser.add_safe_globals([(Point, "other.module.Point")])
    with pytest.raises(pickle.UnpicklingError):
        read(dt, data)
    ser.add_safe_globals([Point])
    with ser.safe_globals([Point]):
        pass
    assert read(dt, data)["p"].x.tolist() == [1.0, 1.0]  # what stood before the block still does
    ser.clear_safe_globals()
    assert ser.get_safe_globals() == []
    with pytest.raises(ValueError, match="length 2"):
        ser.add_safe_globals([(Point, "a", "b")])
    with pytest.raises(TypeError, match="second item"):
        ser.add_safe_globals([(Point, 3)])


def test_numpy_needs_the_allow_list_as_in_pytorch():
    value = {"scalar": np.float64(2.5), "array": np.arange(3)}
    data = written(dt, value)
    for module in (torch, dt):
        with pytest.raises(pickle.UnpicklingError, match="numpy"):
            read(module, data)
        assert read(module, data, weights_only=False)["array"].tolist() == [0, 1, 2]
    from numpy._core.multiarray import _reconstruct, scalar

    allowed = [np.ndarray, np.dtype, np.dtypes.Float64DType, np.dtypes.Int64DType, scalar,
               _reconstruct]  # fmt: skip
    with ser.safe_globals(allowed):
        back = read(dt, data)
    assert back["scalar"] == 2.5 and back["array"].tolist() == [0, 1, 2]


def test_unsafe_globals_are_listed():
    for module in (torch, dt):
        data = written(module, {"p": Point(module.ones(2)), "n": np.float64(1)})
        found = ser.get_unsafe_globals_in_checkpoint(io.BytesIO(data))
        expected = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data))
        assert sorted(found) == sorted(expected)
    with pytest.raises(ValueError, match="Expected input to be a checkpoint"):
        ser.get_unsafe_globals_in_checkpoint(io.BytesIO(b"text"))


def test_explicit_pickle_module():
    data = written(dt, {"p": Point(1)}, pickle_module=pickle)
    assert read(dt, data, pickle_module=pickle)["p"].x == 1  # which turns weights_only off
    with pytest.raises(RuntimeError, match="explicit pickle_module"):
        read(dt, data, pickle_module=pickle, weights_only=True)


def test_picklers_that_cannot_rename():
    class Module:
        Pickler = pickle.Pickler  # the one in C
        Unpickler = pickle.Unpickler

    data = written(dt, values(dt), pickle_module=Module)
    assert plain(read(dt, data)) == plain(values(torch))
    assert plain(read(dt, data, pickle_module=Module)) == plain(values(torch))


def test_python_2_strings():
    pickled = b"\x80\x02}(U\x01aU\x02\xc3\xbcX\x01\x00\x00\x00bK\x01u."
    data = records(written(dt, 1))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for key, content in data.items():
            archive.writestr(key, pickled if key.endswith("data.pkl") else content)
    for weights_only in (True, False):
        options = {"weights_only": weights_only}
        assert read(dt, file.getvalue(), **options) == {"a": "ü", "b": 1}
        latin = read(dt, file.getvalue(), encoding="latin1", **options)
        assert latin == read(torch, file.getvalue(), encoding="latin1", weights_only=False)
        assert read(dt, file.getvalue(), encoding="bytes", **options)[b"a"] == b"\xc3\xbc"


# ---- devices


@pytest.mark.parametrize(
    "map_location",
    [None, "cpu", dt.device("cpu"), {"cpu": "cpu"}, {"cuda:0": "cpu"}, lambda s, place: s,
     lambda s, place: None, lambda s, place: s.cpu()],
)  # fmt: skip
def test_map_location(map_location):
    data = written(torch, {"x": torch.arange(3.0)})
    assert read(dt, data, map_location=map_location)["x"].tolist() == [0.0, 1.0, 2.0]


def from_cuda():
    """A file that says that its tensors were on a device that is not here."""
    data = records(written(torch, [torch.arange(3.0), torch.device("cuda:1")]))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for key, content in data.items():
            content = content.replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:3")
            archive.writestr(key, content)
    return file.getvalue()


@pytest.mark.skipif("cuda" in dt.backend.kinds(), reason="the device is here")
def test_devices_that_are_not_here():
    with pytest.raises(RuntimeError, match="map_location"):
        read(dt, from_cuda())
    seen = []
    for map_location in ("cpu", {"cuda:3": "cpu"}, lambda s, place: seen.append(place) or s):
        with pytest.warns(dt.DevtensorWarning, match="cuda:1"):
            tensor, device = read(dt, from_cuda(), map_location=map_location)
        assert tensor.tolist() == [0.0, 1.0, 2.0]
        assert tensor.device == device == dt.device("cpu")
    assert seen == ["cuda:3"]


def test_other_devices(other_device):
    base = dt.arange(6.0, device=other_device)
    value = {
        "base": base,
        "rows": base.reshape(2, 3)[1:].T,
        "empty": dt.ones(0, device=other_device),
        "wide": dt.ones(1, device=other_device).expand(2, 2),
        "p": nn.Parameter(dt.ones(2, device=other_device)),
    }
    for legacy in (False, True):
        data = written(dt, value, _use_new_zipfile_serialization=not legacy)
        back = read(dt, data)
        assert {str(tensor.device) for tensor in back.values()} == {other_device}
        assert back["p"].requires_grad and type(back["p"]) is nn.Parameter
        for place, module in (("cpu", dt), ("cpu", torch), ({other_device: "cpu"}, dt)):
            at_home = read(module, data, map_location=place)
            assert at_home["rows"].tolist() == [[3.0], [4.0], [5.0]]
            assert at_home["wide"].tolist() == [[1.0, 1.0]] * 2
            assert all(tensor.device.type == "cpu" for tensor in at_home.values())
    moved = read(dt, written(torch, torch.ones(2)), map_location=other_device)
    assert str(moved.device) == other_device
    moved = read(dt, written(torch, torch.ones(2)), map_location=lambda s, _: s.to(other_device))
    assert str(moved.device) == other_device
    kind = dt.device(other_device).type
    with pytest.raises(RuntimeError, match=r"map_location"):
        read(dt, written(torch, torch.ones(2)), map_location=f"{kind}:99")
    for tensor in value.values():
        if tensor.is_leaf:
            assert copy.deepcopy(tensor).device is tensor.device
        again = pickle.loads(pickle.dumps(tensor))
        assert again.device is tensor.device and again.tolist() == tensor.tolist()


def test_wrong_map_location():
    data = written(dt, dt.ones(2))
    with pytest.raises(TypeError, match="map_location"):
        read(dt, data, map_location=3)
    with pytest.raises(TypeError, match="must return the storage"):
        read(dt, data, map_location=lambda s, place: "cpu")


# ---- files


def test_paths_and_files(tmp_path):
    for path in (tmp_path / "a.pt", str(tmp_path / "b.pt"), os.fsencode(tmp_path / "c.pt")):
        dt.save(dt.ones(2), os.fsdecode(path) if isinstance(path, bytes) else path)
        assert dt.load(os.fsdecode(path) if isinstance(path, bytes) else path).tolist() == [1, 1]
    with open(tmp_path / "d.pt", "wb") as file:
        dt.save(dt.ones(2), file)
    with open(tmp_path / "d.pt", "rb") as file:
        assert dt.load(file).tolist() == [1.0, 1.0]
    assert torch.load(tmp_path / "d.pt").tolist() == [1.0, 1.0]


class OnlyWrite:
    def __init__(self):
        self.parts = []

    def write(self, data):
        self.parts.append(bytes(data))


def test_a_file_needs_only_to_be_written_to():
    file = OnlyWrite()
    dt.save({"a": dt.ones(3)}, file)
    assert read(torch, b"".join(file.parts))["a"].tolist() == [1.0, 1.0, 1.0]


def test_wrong_files(tmp_path):
    with pytest.raises(RuntimeError, match=r"Parent directory .*nowhere does"):
        dt.save(1, tmp_path / "nowhere" / "a.pt")
    with pytest.raises(AttributeError, match="file-like object"):
        dt.save(1, 3)
    with pytest.raises(FileNotFoundError):
        dt.load(tmp_path / "nothing.pt")
    for wrong in (3, OnlyWrite()):
        with pytest.raises(AttributeError, match="seekable"):
            dt.load(wrong)


def test_an_interrupted_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.pt"
    dt.save(dt.ones(2), path)
    os.chmod(path, 0o640)
    with pytest.raises(Exception, match="pickle"):
        dt.save([dt.zeros(2), lambda: 0], path)
    assert dt.load(path).tolist() == [1.0, 1.0]
    assert os.listdir(tmp_path) == ["model.pt"]
    dt.save(dt.zeros(2), path)
    assert dt.load(path).tolist() == [0.0, 0.0]
    assert os.stat(path).st_mode & 0o777 == 0o640
    link = tmp_path / "latest.pt"
    link.symlink_to("model.pt")
    dt.save(dt.full((2,), 5.0), link)
    assert link.is_symlink() and dt.load(path).tolist() == [5.0, 5.0]


def test_mmap(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(
        {"x": torch.arange(1000.0), "b": torch.tensor([True, False]), "e": torch.ones(0)}, path
    )
    before = path.read_bytes()
    loaded = dt.load(path, mmap=True)
    assert loaded["x"].sum().item() == 499500.0
    assert loaded["b"].tolist() == [True, False]
    assert loaded["e"].tolist() == []
    loaded["x"].zero_()
    assert path.read_bytes() == before
    with pytest.raises(ValueError, match="must be a file path"):
        read(dt, before, mmap=True)
    torch.save(torch.ones(2), path, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="mmap can only be used"):
        dt.load(path, mmap=True)


def test_checksums_can_be_left_out():
    assert ser.get_crc32_options() is True
    ser.set_crc32_options(False)
    try:
        data = written(dt, dt.ones(2))
    finally:
        ser.set_crc32_options(True)
    assert read(dt, data).tolist() == read(torch, data).tolist() == [1.0, 1.0]
    torch.serialization.set_crc32_options(False)
    try:
        assert read(dt, written(torch, torch.ones(2))).tolist() == [1.0, 1.0]
    finally:
        torch.serialization.set_crc32_options(True)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_archives_that_were_packed_again(compression):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for key, content in records(written(torch, torch.arange(100.0))).items():
            archive.writestr(key, content)
    assert read(dt, file.getvalue()).tolist() == list(map(float, range(100)))


def test_files_of_the_other_byte_order():
    other = "big" if sys.byteorder == "little" else "little"
    arrays = [np.arange(3.0), np.arange(3, dtype="int16"), np.array([1 + 2j]), np.array([True])]
    data = records(written(torch, [torch.from_numpy(array) for array in arrays]))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for key, content in data.items():
            if key.endswith("byteorder"):
                content = other.encode()
            elif "/data/" in key:
                content = arrays[int(key.rpartition("/")[2])].byteswap().tobytes()
            archive.writestr(key, content)
    for ours, array in zip(read(dt, file.getvalue()), arrays, strict=True):
        assert ours.tolist() == array.tolist()


# ---- pickle and copy


@pytest.mark.parametrize("protocol", range(2, 6))
def test_pickle(protocol):
    for module in (torch, dt):
        x = module.arange(6.0).reshape(2, 3).T
        x.requires_grad_()
        x.grad = module.ones(3, 2)
        back = pickle.loads(pickle.dumps([x, x * 2, x[1], module.ones(2, 0)], protocol))
        assert [plain(t) for t in back[:1]] == [plain(x)]
        assert back[0].grad is None
        assert back[1].is_leaf and back[1].requires_grad  # quirk of PyTorch's, kept
        assert back[2].tolist() == [1.0, 4.0]
        assert tuple(back[3].shape) == (2, 0)
        with module.no_grad():
            back[0].zero_()


def test_pickle_out_of_band():
    x = dt.arange(1000.0)
    buffers = []
    data = pickle.dumps(ser.reduce_tensor(x, 5), protocol=5, buffer_callback=buffers.append)
    assert len(data) < 500 and len(buffers) == 1
    function, args = pickle.loads(data, buffers=[bytearray(buffers[0].raw())])
    assert function(*args).tolist() == x.tolist()


def test_pickle_of_few_rows_of_many():
    x = dt.zeros(1000, 1000)
    assert len(pickle.dumps(x[:2])) < 20_000
    assert len(pickle.dumps(x[:, :2])) < 20_000
    assert len(pickle.dumps(dt.ones(1).expand(1000, 1000))) < 1000


def test_pickle_of_dtypes_devices_sizes():
    for value in (dt.float32, dt.bool, dt.device("cpu")):
        assert pickle.loads(pickle.dumps(value)) is value
    size = pickle.loads(pickle.dumps(dt.Size([1, 2])))
    assert isinstance(size, dt.Size) and size == (1, 2)


def test_deepcopy_of_leaves():
    for module in (torch, dt):
        x = module.arange(6.0).reshape(2, 3).T
        x.requires_grad_()
        x.grad = module.ones(3, 2)
        twin = copy.deepcopy(x)
        assert plain(twin) == plain(x)
        assert twin.grad.tolist() == x.grad.tolist() and twin.grad is not x.grad
        with module.no_grad():
            twin.zero_()
        assert x.sum().item() == 15.0
        with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
            copy.deepcopy(x * 2)
        a, b = copy.deepcopy([x, x])
        assert a is b


def test_deepcopy_keeps_sharing():
    for module in (torch, dt):
        base = module.arange(6.0)
        a, b, c = copy.deepcopy([base, base[2:], base.reshape(2, 3)])
        a[2] = 100.0
        assert b[0].item() == 100.0 and c[0, 2].item() == 100.0
        assert base[2].item() == 2.0
        alone = copy.deepcopy(base[2:])
        assert alone.storage_offset() == 2


def test_deepcopy_in_inference_mode():
    with dt.inference_mode():
        x = dt.ones(2)
        assert copy.deepcopy(x).is_inference()
    assert not copy.deepcopy(x).is_inference()
    assert not pickle.loads(pickle.dumps(x)).is_inference()


def test_deepcopy_of_derived_classes_and_attributes():
    value = dt.Tensor._make_subclass(Marked, dt.ones(2), True)
    value.note = ["n"]
    twin = copy.deepcopy(value)
    assert type(twin) is Marked and twin.note == ["n"] and twin.note is not value.note
    assert twin.requires_grad
    back = pickle.loads(pickle.dumps(value))
    assert type(back) is Marked and back.note == ["n"] and back.requires_grad


def test_deepcopy_of_modules():
    net = Net()
    twin = copy.deepcopy(net)
    with dt.no_grad():
        twin.linear.weight.zero_()
    assert net.linear.weight.abs().sum().item() > 0
    assert type(twin.linear.weight) is nn.Parameter and twin.linear.weight.requires_grad


def test_values_may_be_left_out(tmp_path):
    path = tmp_path / "x.pt"
    with ser.skip_data():
        dt.save({"a": dt.ones(3), "b": 5}, path)
        with pytest.raises(RuntimeError, match="Cannot use skip_data=True with _use_new_zipfile"):
            dt.save(dt.ones(3), path, _use_new_zipfile_serialization=False)
    assert torch.load(path)["a"].shape == (3,) and dt.load(path)["b"] == 5
    dt.save(dt.ones(3), path)
    with ser.skip_data():
        assert dt.load(path).tolist() == [0, 0, 0]
    assert dt.load(path).tolist() == [1, 1, 1]


def test_files_may_be_mapped_to_be_written(tmp_path):
    path = tmp_path / "x.pt"
    dt.save(dt.ones(3), path)
    assert ser.get_default_mmap_options() == mmap.MAP_PRIVATE
    dt.load(path, mmap=True).zero_()
    assert dt.load(path).tolist() == [1, 1, 1]
    ser.set_crc32_options(False)
    try:
        dt.save(dt.ones(3), path)
    finally:
        ser.set_crc32_options(True)
    with ser.set_default_mmap_options(mmap.MAP_SHARED):
        dt.load(path, mmap=True).zero_()
    assert dt.load(path).tolist() == [0, 0, 0] == torch.load(path).tolist()
    with pytest.raises(ValueError, match="expected mmap"):
        ser.set_default_mmap_options(77)


def test_the_order_of_bytes_that_a_file_does_not_say():
    file = io.BytesIO()
    dt.save(dt.tensor([1], dtype=dt.int16), file, _disable_byteorder_record=True)
    assert ser.get_default_load_endianness() is None
    for order, value in ((ser.LoadEndianness.BIG, 256), (ser.LoadEndianness.LITTLE, 1), (None, 1)):
        ser.set_default_load_endianness(order)
        file.seek(0)
        assert dt.load(file).item() == value
    with pytest.raises(TypeError, match="Invalid argument type"):
        ser.set_default_load_endianness("big")


def test_places_of_ones_own(monkeypatch):
    monkeypatch.setattr(ser._options, "registered", found := [])
    monkeypatch.setattr(ser._read, "registered", found)
    ser.register_package(20, lambda s: None, lambda s, place: None)
    ser.register_package(5, lambda s: "shelf", lambda s, place: s if place == "shelf" else None)
    file = io.BytesIO()
    dt.save(dt.ones(2), file)
    file.seek(0)
    assert b"shelf" in file.getvalue() and ser._is_zipfile(file)
    assert dt.load(file).tolist() == [1, 1]
    assert ser.location_tag(dt.ones(1).untyped_storage()) == "shelf"
    found.clear()
    file.seek(0)
    with pytest.raises(RuntimeError, match="how to restore data location of"):
        dt.load(file)


def test_versions_are_compared():
    module = types.SimpleNamespace(__name__="some", __version__="1.10.2")
    compare = ser.check_module_version_greater_or_equal
    assert compare(module, (1, 9, 9)) and not compare(module, (2, 0, 0))
    module.__version__ = "one"
    with pytest.raises(RuntimeError, match="'some' module version string is malformed"):
        compare(module, (1, 0, 0))
    assert compare(module, (1, 0, 0), error_if_malformed=False)


def test_data_are_skipped_in_one_thread(tmp_path):
    path = tmp_path / "other.pt"
    with dt.serialization.skip_data():
        other = threading.Thread(target=lambda: dt.save(dt.ones(3), path))
        other.start()
        other.join()
    assert dt.load(path).tolist() == [1, 1, 1]
