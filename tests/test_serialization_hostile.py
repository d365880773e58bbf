"""Files that are damaged, cut off, or made to do harm: a clear error, and nothing is run."""

import io
import os
import pickle
import struct
import tarfile
import tracemalloc
import zipfile
import zlib

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import devtensor as dt

REFUSALS = (pickle.UnpicklingError, RuntimeError, EOFError, ValueError)


def good(module=torch, legacy=False):
    value = {"w": module.arange(6.0), "n": [1, 2.5, "text", None], "v": module.ones(2, 3).T}
    file = io.BytesIO()
    module.save(value, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def load(data, **options):
    return dt.load(io.BytesIO(data), **options)


def changed(data, change, compression=zipfile.ZIP_STORED):
    """The archive with records replaced by what `change(name, content)` gives; None leaves out."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", compression) as new:
        for entry in old.infolist():
            name = entry.filename.partition("/")[2]
            content = change(name, old.read(entry))
            if content is not None:
                new.writestr(entry.filename, content)
    return file.getvalue()


def with_pickle(code):
    """A sound archive around any pickle."""
    return changed(good(), lambda name, content: code if name == "data.pkl" else content)


def tensor_pickle(offset=0, size=(6,), stride=(1,), count=6, key="0", kind="FloatStorage"):
    """The pickle of one tensor, with any numbers in it."""

    class Storage:
        pass

    class Call:
        def __reduce__(self):
            return print, (Storage(), offset, size, stride, False, {})

    file = io.BytesIO()

    class Pickler(pickle._Pickler):
        def persistent_id(self, value):
            if isinstance(value, Storage):
                return ("storage", len, key, "cpu", count)
            return None

        def save_global(self, value, name=None):
            known = {print: "torch._utils\n_rebuild_tensor_v2", len: f"torch\n{kind}"}[value]
            self.write(b"c" + known.encode() + b"\n")

    Pickler.dispatch = {**pickle._Pickler.dispatch, type(print): Pickler.save_global}
    Pickler(file, 2).dump(Call())
    return file.getvalue()


# ---- damage


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize(
    ("data", "error", "text"),
    [
        (b"", EOFError, "empty"),
        (b"hello world\n", pickle.UnpicklingError, "no checkpoint"),
        (b"{'a': 1}", pickle.UnpicklingError, "no checkpoint"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), pickle.UnpicklingError, "no checkpoint"),
        (b"PK\3\4", RuntimeError, "failed reading zip archive"),
        (b"PK\3\4" + bytes(1000), RuntimeError, "failed reading zip archive"),
        (pickle.dumps({"a": 1}), RuntimeError, "Invalid magic number"),
    ],
)
def test_what_is_no_checkpoint(data, error, text, weights_only):
    with pytest.raises(error, match=text):
        load(data, weights_only=weights_only)


@pytest.mark.parametrize("legacy", [False, True])
def test_every_cut_is_noticed(legacy):
    data = good(legacy=legacy)
    for length in range(0, len(data), 7):
        with pytest.raises(REFUSALS) as error:
            load(data[:length])
        assert str(error.value), length


@pytest.mark.parametrize("legacy", [False, True])
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_never_crash(legacy, flips):
    data = bytearray(good(legacy=legacy))
    for place, bit in flips:
        data[place % len(data)] ^= 1 << bit
    try:
        result = load(bytes(data))
    except REFUSALS as error:
        assert str(error)
        return
    # Nothing was noticed: only bytes that no reader looks at, or values of the old format.
    assert not callable(result)


@settings(max_examples=300, deadline=None)
@given(code=st.binary(max_size=60))
def test_any_bytes_as_a_pickle(code):
    try:
        result = load(with_pickle(b"\x80\x02" + code))
    except REFUSALS as error:
        assert str(error)
        return
    assert result is None or isinstance(
        result, (int, float, str, bytes, tuple, list, dict, set, frozenset, bytearray)
    )


OPCODES = [
    value
    for name, value in vars(pickle).items()
    if name.isupper() and isinstance(value, bytes) and len(value) == 1
]
NAMES = [b"ctorch\nFloatStorage\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"cos\nsystem\n",
         b"ccollections\nOrderedDict\n", b"cbuiltins\nset\n", b"cbuiltins\nbytearray\n",
         b"ctorch\nSize\n", b"ctorch\ndevice\n", b"ctorch.nn.parameter\nParameter\n",
         b"ctorch\nTensor\n", b"ctorch\nfloat32\n", b"X\1\0\0\0a", b"K\5", b"X\7\0\0\0storage",
         b"X\1\0\0\0000", b"X\3\0\0\0cpu"]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(parts=st.lists(st.sampled_from(OPCODES + NAMES), max_size=25))
def test_any_operations_as_a_pickle(parts):
    try:
        load(with_pickle(b"\x80\x02" + b"".join(parts) + b"."))
    except REFUSALS as error:
        assert str(error)


def test_a_changed_value_is_noticed():
    data = bytearray(good())
    place = data.index(struct.pack("<f", 5.0))
    data[place] ^= 1
    with pytest.raises(RuntimeError, match="data/0: its checksum does not fit"):
        load(bytes(data))


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        (lambda n, c: None if n == "data.pkl" else c, RuntimeError, "locating file data.pkl"),
        (lambda n, c: None if n == "data/0" else c, RuntimeError, "locating file data/0"),
        (lambda n, c: c[:8] if n == "data/0" else c, RuntimeError, r"record size \(8 bytes\)"),
        (lambda n, c: c * 2 if n == "data/0" else c, RuntimeError, r"record size \(48 bytes\)"),
        (lambda n, c: b"middle" if n == "byteorder" else c, ValueError, "endianness"),
        (lambda n, c: c[:-9] if n == "data.pkl" else c, EOFError, "cut off"),
        (lambda n, c: c.replace(b"cpu", b"foo"), RuntimeError, "tagged with foo"),
        (lambda n, c: c.replace(b"q\x02((", b"q\x02(("[::-1]), REFUSALS, "."),
    ],
)
def test_damaged_records(change, error, text):
    with pytest.raises(error, match=text):
        load(changed(good(), change))


def test_torchscript_archives_are_told_apart(tmp_path):
    path = tmp_path / "script.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path)
    with pytest.raises(RuntimeError, match="TorchScript"):
        dt.load(path)


# ---- tensors that reach beyond their memory


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ({"size": (7,)}, "out of bounds for storage of size 24"),
        ({"offset": 1}, "out of bounds"),
        ({"offset": 6, "size": (1,)}, "out of bounds"),
        ({"offset": 10**15, "size": (1,)}, "out of bounds"),
        ({"size": (2, 2), "stride": (5, 1)}, "out of bounds"),
        ({"offset": -1}, "impossible tensor"),
        ({"size": (-1,)}, "impossible tensor"),
        ({"stride": (-1,)}, "impossible tensor"),
        ({"size": (2, 3)}, "impossible tensor"),
        ({"size": (2.0,)}, "impossible tensor"),
        ({"size": (True,), "stride": (1,)}, "impossible tensor"),
        ({"size": (2**40, 2**40), "stride": (0, 0)}, "impossible tensor"),
        ({"size": (0, 2**62, 2**62), "stride": (1, 1, 1)}, "impossible tensor"),
        ({"size": (1,) * 65, "stride": (1,) * 65}, "65 dimensions"),
        ({"count": 7}, "does not match expected size"),
        ({"count": -6}, "unknown"),
        ({"count": 10**30}, "does not match expected size"),
        ({"kind": "DoubleStorage"}, "does not match expected size"),
        ({"key": "9"}, "locating file"),
        ({"key": "../data/0"}, "locating file"),
    ],
)
def test_out_of_bounds(numbers, text, weights_only):
    with pytest.raises(RuntimeError, match=text):
        load(with_pickle(tensor_pickle(**numbers)), weights_only=weights_only)


def test_the_same_pickle_within_bounds():
    code = tensor_pickle(offset=1, size=(2, 2), stride=(2, 1))
    assert load(with_pickle(code)).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_legacy_storages_that_are_not_there():
    data = good(legacy=True)
    with pytest.raises(EOFError, match="cut off within its storages"):
        load(data[:-1])
    place = data.rindex(struct.pack("<q", 6))
    with pytest.raises(RuntimeError, match="7 elements where 6 were announced"):
        load(data[:place] + struct.pack("<q", 7) + data[place + 8 :])
    huge = data.replace(b"K\x06NtQ", b"J\xff\xff\xff\x7fNtQ").replace(
        b"K\x06Nt", b"J\xff\xff\xff\x7fNt"
    )
    assert huge != data
    with pytest.raises(RuntimeError, match="ends before its storages do"):
        load(huge)


# ---- pickles that would do something


class Evil:
    def __init__(self, function, *args):
        self.call = function, args

    def __reduce__(self):
        return self.call


def opened(path):
    open(path, "w").close()


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("legacy", [False, True])
def test_nothing_is_run(tmp_path, legacy, protocol):
    target = tmp_path / "run"
    for call in ((os.mkdir, str(target)), (eval, f"open({str(target)!r}, 'w')"),
                 (exec, "import os"), (opened, str(target)), (getattr, "a", "upper"),
                 (__import__, "os"), (print, "x")):  # fmt: skip
        file = io.BytesIO()
        torch.save({"w": Evil(*call)}, file, pickle_protocol=protocol,
                   _use_new_zipfile_serialization=not legacy)  # fmt: skip
        with pytest.raises(pickle.UnpicklingError, match=r"Weights only load failed|no checkpoint"):
            load(file.getvalue())
    assert not target.exists()


@pytest.mark.parametrize(
    "code",
    [
        b"cos\nsystem\nX\x02\0\0\0idR.",
        b"(cos\nsystem\nX\x02\0\0\0ido.",
        b"(X\x02\0\0\0idios\nsystem\n.",
        b"cbuiltins\neval\nX\x01\0\0\x0001\x85R.",
        b"\x8c\x02os\x8c\x06system\x93X\x02\0\0\0id\x85R.",
        b"c__builtin__\neval\n.",
        b"\x82\x01.",  # the extension registry
        b"ctorch._utils\n_rebuild_tensor_v2.__globals__\n.",
        b"ctorch\nsave\n.",
        b"ctorch.storage\n_load_from_bytes\n.",
        b"ctorch.serialization\nload\n.",
        b"cdevtensor.serialization\nload\n.",
        b"cdevtensor.nn.parameter\nrebuild\n.",
    ],
)
def test_names_that_are_not_allowed(code):
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        load(with_pickle(b"\x80\x04" + code))


def test_blocked_modules_stay_blocked():
    with (
        dt.serialization.safe_globals([(os.system, "os.system"), (os.system, "posix.system")]),
        pytest.raises(pickle.UnpicklingError, match="blocked"),
    ):
        load(with_pickle(b"\x80\x02cos\nsystem\n."))


@pytest.mark.parametrize(
    "code",
    [
        # State for a class, a function, a dtype, a tensor's class: none is an object of ours.
        b"ctorch.nn.parameter\nParameter\nN}X\x08\0\0\0__init__K\x01s\x86b.",
        b"ctorch._utils\n_rebuild_tensor_v2\n}X\x01\0\0\0aK\x01sb.",
        b"ctorch\nfloat32\n}X\x04\0\0\0nameK\x01sb.",
        b"ctorch\nTensor\n}X\x04\0\0\0itemK\x01sb.",
        b"ccollections\nOrderedDict\n}X\x04\0\0\0itemK\x01sb.",
        # Items for what is no container of the pickle's own.
        b"ctorch\nTensor\nK\x01K\x01s.",
        b"ctorch\nTensor\nK\x01a.",
        b"ctorch\nTensor\n(K\x01\x90.",
        # Calls of what may be named and not called.
        b"ctorch._tensor\n_rebuild_from_type_v2\n(cbuiltins\nbytearray\nctorch\nTensor\n"
        b"J\xff\xff\xff\x7f\x85NtR.",
        b"ctorch._tensor\n_rebuild_from_type_v2\n(ctorch\nTensor\nctorch\nTensor\nK\x05\x85NtR.",
        b"ctorch\nTensor\nK\x05\x85R.",
        b"ctorch\nfloat32\n)R.",
        b"ctorch\nFloatStorage\nK\x05\x85R.",
        b"ctorch\nTensor\n)\x81.",
        b"]\x85R.",
        b"ccollections\nOrderedDict\n]R.",
    ],
)
def test_state_items_and_calls_of_what_is_not_the_file_s(code):
    with pytest.raises(pickle.UnpicklingError):
        load(with_pickle(b"\x80\x02" + code))
    assert isinstance(dt.nn.Parameter.__init__, type(object.__init__))
    assert not hasattr(dt.serialization._rebuild._rebuild_tensor_v2, "a")
    assert dt.float32.name == "float32"


def test_attributes_of_tensors_cannot_be_replaced():
    for attribute in ("__class__", "requires_grad", "backward", "_array"):
        code = (
            b"ctorch._utils\n_rebuild_parameter_with_state\n("
            + tensor_pickle()[2:-1]
            + b"\x88)}X" + struct.pack("<I", len(attribute)) + attribute.encode() + b"K\x01stR."
        )  # fmt: skip
        with pytest.raises(pickle.UnpicklingError, match=attribute):
            load(with_pickle(b"\x80\x02" + code))


# ---- memory


def peak(call):
    """The most memory that a call has taken, in bytes; its error is swallowed."""
    tracemalloc.start()
    try:
        with pytest.raises(REFUSALS):
            call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "code",
    [
        b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
        b"X\xff\xff\xff\x7fa.",
        b"B\xff\xff\xff\x7fa.",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\x7fa.",
        b"\x96\xff\xff\xff\xff\xff\0\0\0a.",
        b"\x8b\xff\xff\xff\x7fa.",
        b"K\x01r\xff\xff\xff\x7f0h\x01.",
        b"c" + b"a" * 100_000,
    ],
)
def test_announced_sizes_take_no_memory(code):
    data = with_pickle(b"\x80\x05" + code)
    assert peak(lambda: load(data)) < 3_000_000


def test_zip_bombs():
    bomb = changed(
        good(),
        lambda name, content: bytes(1 << 29) if name == "data/0" else content,
        zipfile.ZIP_DEFLATED,
    )
    assert len(bomb) < 1_000_000
    assert peak(lambda: load(bomb)) < 3_000_000
    with pytest.raises(RuntimeError, match="zip bomb"):
        load(bomb)


def test_records_that_lie_about_their_size():
    packed = changed(good(), lambda name, content: content, zipfile.ZIP_DEFLATED)
    place = packed.rindex(struct.pack("<L", zlib.crc32(struct.pack("<6f", *range(6))))) + 8
    assert struct.unpack_from("<L", packed, place)[0] == 24
    lying = packed[:place] + struct.pack("<L", 20) + packed[place + 4 :]
    with pytest.raises(RuntimeError):
        load(lying)


def test_records_on_top_of_each_other():
    data = bytearray(good())
    start = data.index(b"PK\1\2")
    offsets = []
    for _ in range(4):
        offsets.append(start + 42)
        start += 46 + struct.unpack_from("<H", data, start + 28)[0]
    data[offsets[1] : offsets[1] + 4] = data[offsets[0] : offsets[0] + 4]
    with pytest.raises(RuntimeError, match="overlap"):
        load(bytes(data))


def test_two_records_of_one_name():
    file = io.BytesIO(good())
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(file, "a") as archive,
    ):
        archive.writestr("archive/data.pkl", b"\x80\x02K\x01.")
    with pytest.raises(RuntimeError, match="same name"):
        load(file.getvalue())


def test_deep_nesting_does_not_end_the_process():
    deep = b"\x80\x02" + b")" + b"\x85" * 200_000
    load(with_pickle(deep + b"."))  # just a tuple
    with pytest.raises(pickle.UnpicklingError, match="nested too deeply"):
        load(with_pickle(b"\x80\x02}" + deep[2:] + b"K\x01s."))
    for name in (b"set", b"frozenset"):
        with pytest.raises(pickle.UnpicklingError, match="nested too deeply"):
            load(with_pickle(b"\x80\x02cbuiltins\n" + name + b"\n]" + deep[2:] + b"a\x85R."))


# ---- the first format of all


def tar(weights):
    """A file as PyTorch wrote it before 2017."""
    members = {}
    storages = io.BytesIO()
    pickle.dump(1, storages, 2)
    storages.write(b"\x80\x02K\x01X\3\0\0\0cpuctorch\nFloatStorage\n\x87.")
    storages.write(struct.pack("<q", len(weights)) + struct.pack(f"<{len(weights)}f", *weights))
    pickle.dump([], storages, 2)
    members["storages"] = storages
    tensors = io.BytesIO()
    pickle.dump(1, tensors, 2)
    tensors.write(b"\x80\x02K\x02K\x01ctorch\nFloatTensor\n\x87.")
    tensors.write(struct.pack("<i4x2q2qq", 2, 2, 2, 2, 1, 1))
    members["tensors"] = tensors
    members["pickle"] = io.BytesIO(b"\x80\x02}X\x01\0\0\0wX\x01\0\0\x002Qs.")
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content.getvalue())
            archive.addfile(info, io.BytesIO(content.getvalue()))
    return file.getvalue()


def test_tar_files(tmp_path):
    path = tmp_path / "old.pt"
    path.write_bytes(tar([0, 1, 2, 3, 4]))
    for module in (torch, dt):
        with pytest.raises(RuntimeError, match=r"legacy \.tar format"):
            module.load(path)
        loaded = module.load(path, weights_only=False)
        assert loaded["w"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    with pytest.raises(RuntimeError, match="out of bounds"):
        load(tar([0, 1, 2]), weights_only=False)
    with pytest.raises(EOFError, match="cut off"):
        load(tar([0, 1, 2]).replace(struct.pack("<q", 3), struct.pack("<q", 30)),
             weights_only=False)  # fmt: skip
