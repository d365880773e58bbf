"""Tensors and the host: what numbers, lists, arrays and buffers become, and what tensors become.

Each call runs here and on PyTorch, and what it gives or refuses must be the same.
"""

import array
import copy
import datetime
import decimal
import fractions
import operator
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import devtensor as dt

MODULES = (dt, torch)

# PyTorch warns of memory that may not be written.
pytestmark = pytest.mark.filterwarnings(
    "ignore::UserWarning", "ignore::DeprecationWarning", "ignore::numpy.exceptions.ComplexWarning"
)


def facts(module, x):
    """What a result says of itself."""
    if isinstance(x, module.Tensor):
        return repr(x.dtype), tuple(x.shape), repr(x.tolist()), x.requires_grad
    if isinstance(x, (tuple, list)):
        return [facts(module, part) for part in x]
    return type(x), repr(x)


def both(call):
    """Hold a call against PyTorch: the same facts, or errors of one type; ours must say more."""
    found = []
    for module in MODULES:
        try:
            found.append(facts(module, call(module)))
        except Exception as error:
            found.append(error)
    ours, theirs = found
    if isinstance(theirs, Exception):
        assert type(ours) is type(theirs), (ours, theirs)
        text = str(ours)
        assert len(text) > 12, text
        assert "object has no attribute" not in text, text
    else:
        assert ours == theirs, (ours, theirs)


class Counted:
    """A sequence that is no list."""

    def __len__(self):
        return 2

    def __getitem__(self, place):
        if place > 1:
            raise IndexError
        return place + 1


class Index:
    def __index__(self):
        return 5


class Real:
    def __float__(self):
        return 2.5


class Arrayed:
    def __array__(self, dtype=None, copy=None):
        return np.array([1.0, 2.0], dtype=np.float32)


NUMBERS = {
    "int": 3,
    "float": 2.5,
    "bool": True,
    "complex": 1 + 2j,
    "not finite": [float("nan"), float("inf")],
    "the least": -(2**63),
    "too large": 2**63,
    "far too large": 2**64,
    "too small": -(2**63) - 1,
    "too large in a list": [2**63, 1],
    "infinite by its digits": float("1e400"),
    "float64": np.float64(1.5),
    "float32": np.float32(1.5),
    "int8": np.int8(3),
    "bool of NumPy": np.bool_(True),
    "complex64": np.complex64(1j),
    "0-d": np.array(3),
}
NESTED = {
    "list": [1, 2, 3],
    "lists": [[1, 2], [3, 4]],
    "floats": [1.0, 2],
    "mixed": [1, 2.5, True],
    "bools and ints": [True, 2],
    "complex numbers": [1, 2j],
    "empty": [],
    "empty within": [[], []],
    "empty deep": [[[]]],
    "tuple": (1, 2),
    "range": range(4),
    "sequence": Counted(),
    "deep": [[[[[[[1]]]]]]],
    "bytearray": bytearray(b"ab"),
    "array.array": array.array("f", [1, 2]),
    "array of ints": array.array("i", [1, 2]),
    "memoryview": memoryview(b"ab"),
    "scalars of NumPy": [np.float32(1.5), 2],
    "small integers of NumPy": [np.int8(1), np.int8(2)],
    "bools of NumPy": [np.bool_(True)],
    "arrays": [np.array([1.0, 2.0]), np.array([3.0, 4.0])],
    "small arrays": [np.array([1, 2], dtype=np.float32)],
    "arrays in tuples": (np.array([[1, 2]]), np.array([[3, 4]])),
}
WRONG = {
    "ragged": [[1, 2], [3]],
    "a list for a number": [1, [2]],
    "a number for a list": [[1], 2],
    "ragged deep": [[[1], [2]], [[1, 2], [3]]],
    "ragged arrays": [np.array([1.0]), np.array([1.0, 2.0])],
    "word": "abc",
    "words": ["a", "b"],
    "bytes": b"ab",
    "None": None,
    "None in a list": [None, 1],
    "dict": {"a": 1},
    "set": {1, 2},
    "object": object(),
    "class": int,
    "function": len,
    "Decimal": decimal.Decimal("1.5"),
    "Fraction": fractions.Fraction(1, 2),
    "date": datetime.date(2020, 1, 1),
    "index": Index(),
    "indices": [Index()],
    "real": Real(),
    "reals": [Real()],
    "word of NumPy": np.str_("a"),
    "dtype": [np.float32],
}
READ_ONLY = np.arange(3.0)
READ_ONLY.flags.writeable = False
ARRAYS = {
    "int16": np.array([[1, 2]], dtype=np.int16),
    "float16": np.array([1, 2], dtype=np.float16),
    "uint16": np.array([1, 2], dtype=np.uint16),
    "uint64": np.array([2**63], dtype=np.uint64),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "every second": np.arange(6.0)[::2],
    "empty": np.zeros((0, 3)),
    "read only": READ_ONLY,
    "masked": np.ma.array([1, 2], mask=[0, 1]),
}
NO_ARRAYS = {
    "the other byte order": np.array([1.0, 2.0], dtype=">f8"),
    "objects": np.array([1, 2], dtype=object),
    "any objects": np.array([1, "a", None], dtype=object),
    "structures": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "words": np.array(["a", "b"]),
    "dates": np.array(["2020-01-01"], dtype="M8[D]"),
    "long doubles": np.array([1.0], dtype=np.longdouble),
}
DATA = {**NUMBERS, **NESTED, **WRONG}
DATA |= {f"an array: {name}": data for name, data in {**ARRAYS, **NO_ARRAYS}.items()}
MAKERS = ("tensor", "as_tensor", "asarray")
# PyTorch's asarray reads the bytes of whatever is a buffer as float32.
BUFFERS = ("bytes", "bytearray", "memoryview", "array of ints", "array.array")


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("name", DATA)
def test_data(maker, name):
    if maker == "asarray" and name in BUFFERS:
        return
    both(lambda module: getattr(module, maker)(copy.copy(DATA[name])))


TYPES = ("float32", "float16", "int64", "uint8", "int8", "bool", "complex64")


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("name", [*NUMBERS, *NESTED, *WRONG])
def test_data_of_a_type(kind, name):
    scalars = ("complex64", "float32", "scalars of NumPy", "small arrays")
    bools = ("bool of NumPy", "bools of NumPy")
    if name in (*scalars, *bools) and kind in ("int64", "uint8", "int8", "bool"):
        return  # PyTorch takes such arrays, and refuses their elements
    both(lambda module: module.tensor(DATA[name], dtype=getattr(module, kind)))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize(
    "number", [-1, 256, 128, -129, 2**31, 1.7, -1.7, -0.5, 1e10, True, 65536, 70000.0]
)
def test_numbers_that_may_not_fit(kind, number):
    both(lambda module: module.tensor([number], dtype=getattr(module, kind)))
    both(lambda module: module.tensor(number, dtype=getattr(module, kind)))


# ---- tensors among the data

AMONG = {
    "a tensor": lambda m: m.tensor(m.tensor([1.0, 2.0])),
    "numbers": lambda m: m.tensor([m.tensor(1), m.tensor(2)]),
    "numbers and others": lambda m: m.tensor([m.tensor(1.5), 2]),
    "of one element": lambda m: m.tensor([m.tensor([1]), m.tensor([2])]),
    "of several elements": lambda m: m.tensor([m.tensor([1.0, 2.0]), m.tensor([3.0, 4.0])]),
    "of several integers": lambda m: m.tensor([m.tensor([1, 2]), m.tensor([1])]),
    "tracked": lambda m: m.tensor([m.tensor(1.0, requires_grad=True), 2.0]),
    "a tracked one": lambda m: m.tensor(m.tensor([1.0], requires_grad=True)),
    "as it is": lambda m: m.as_tensor(m.tensor([1.0], requires_grad=True)),
    "in another type": lambda m: m.as_tensor(m.tensor([1.5]), dtype=m.int64),
    "a size": lambda m: m.tensor(m.Size([2, 3])),
    "asarray": lambda m: m.asarray(m.tensor([1.0]), requires_grad=True),
    "a dtype": lambda m: m.tensor([m.float32]),
}


@pytest.mark.parametrize("name", AMONG)
def test_tensors_among_the_data(name):
    both(AMONG[name])


KEYWORDS = {
    "gradients": lambda m: m.tensor([1.0], requires_grad=True),
    "gradients of integers": lambda m: m.tensor([1], requires_grad=True),
    "gradients of bools": lambda m: m.tensor(True, requires_grad=True),
    "gradients of complex numbers": lambda m: m.tensor([1j], requires_grad=True),
    "a word for a type": lambda m: m.tensor([1], dtype="float32"),
    "a number for a type": lambda m: m.tensor([1], dtype=3),
    "type of Python": lambda m: m.tensor([1], dtype=float),
    "unknown device": lambda m: m.tensor([1], device="nowhere"),
    "unknown keyword": lambda m: m.tensor([1], size=3),
    "two positions": lambda m: m.tensor([1], m.float32),
    "nothing": lambda m: m.tensor(),
    "alias of a list": lambda m: m.asarray([1.0], copy=False),
    "alias in another type": lambda m: m.asarray(m.tensor([1.0]), dtype=m.int64, copy=False),
}


@pytest.mark.parametrize("name", KEYWORDS)
def test_keywords(name):
    both(KEYWORDS[name])


@pytest.mark.parametrize("kept", [None, True, False])
@pytest.mark.parametrize("leaf", [True, False])
@pytest.mark.parametrize("options", [{}, {"copy": True}, {"copy": False}, {"dtype": "float64"}])
@pytest.mark.filterwarnings("ignore:torch.asarray")  # PyTorch's default is new
def test_asarray_of_what_is_tracked(options, leaf, kept):
    found = []
    for m in (dt, torch):
        x = m.ones(2, requires_grad=True)
        x = x if leaf else x * 2
        given = {k: getattr(m, v) if k == "dtype" else v for k, v in options.items()}
        given |= {} if kept is None else {"requires_grad": kept}
        made = m.asarray(x, **given)
        found.append((made.requires_grad, made.grad_fn is None, kept is False or made is x))
    assert found[0] == found[1]  # but that in PyTorch `x` itself may stop requiring gradients


SIZES = {
    "nothing": lambda m: m.Tensor(),
    "a list": lambda m: m.Tensor([1, 2]),
    "an array": lambda m: m.Tensor(np.arange(3)),
    "a tensor": lambda m: m.Tensor(m.tensor([1.5, 2])),
    "a size": lambda m: m.Tensor(m.Size([2, 3])).shape == (2, 3),
    "sizes": lambda m: m.Tensor(2, 3).shape == (2, 3),
    "a small integer": lambda m: m.Tensor(np.int8(3)).shape == (3,),
    "a float": lambda m: m.Tensor(2.5),
    "a bool": lambda m: m.Tensor(True),
    "complex": lambda m: m.Tensor(1j),
    "None": lambda m: m.Tensor(None),
    "a word": lambda m: m.Tensor("a"),
    "bytes": lambda m: m.Tensor(b"a"),
    "a dict": lambda m: m.Tensor({}),
    "words": lambda m: m.Tensor(["a"]),
    "complex numbers": lambda m: m.Tensor([1j]),
    "None in a list": lambda m: m.Tensor([None]),
    "objects": lambda m: m.Tensor(np.array([1], dtype=object)),
    "too large": lambda m: m.Tensor(2**63),
    "negative": lambda m: m.Tensor(-1),
    "of a type": lambda m: m.LongTensor([1, 2]),
    "of a type, wrong": lambda m: m.LongTensor([1j]),
}


@pytest.mark.parametrize("name", SIZES)
def test_the_class_as_a_maker(name):
    both(SIZES[name])


# ---- memory


@pytest.mark.parametrize("name", [name for name in ARRAYS if name != "masked"])
@pytest.mark.parametrize("maker", ["from_numpy", "as_tensor", "asarray"])
def test_arrays_share_their_memory(maker, name):
    ours, theirs = [getattr(m, maker)(ARRAYS[name].copy("K")) for m in MODULES]
    assert facts(dt, ours) == facts(torch, theirs)
    assert ours.stride() == theirs.stride() or not theirs.numel()
    data = ARRAYS[name].copy("K")
    made = getattr(dt, maker)(data)
    if data.size:
        data[...] = 1
        assert (made == 1).all()
        made.fill_(0)
        assert not data.any()


FIRST = """
import sys
sys.path.insert(0, "tests")
import numpy as np
import devtensor_strict
import devtensor as dt
array = np.ones(2)
"""


@pytest.mark.parametrize(
    "line",
    [
        "assert dt.asarray(array, device='strict:0').tolist() == [1, 1]",
        "assert dt.tensor([array, array], device='strict:0').shape == (2, 2)",
        "assert dt.tensor(np.float32(2), device='strict:0').dtype is dt.float32",
        "dt.as_tensor(array)[0] = 5; assert array[0] == 5",
        "dt.asarray(array, copy=False)[0] = 5; assert array[0] == 5",
    ],
)
def test_arrays_are_known_in_the_first_call(line):
    root = Path(__file__).parent.parent
    subprocess.run([sys.executable, "-c", FIRST + line], check=True, cwd=root)


def test_copies_do_not_share():
    data = np.zeros(3)
    for x in (dt.tensor(data), dt.asarray(data, copy=True), dt.as_tensor(data, dtype=dt.float32)):
        x.fill_(1)
        assert not data.any()


def test_copies_are_converted_once():
    def asked(function):
        class Row(list):
            times = 0

            def __iter__(self):
                Row.times += 1
                return super().__iter__()

        assert function(Row([1, 2])).tolist() == [1, 2]
        return Row.times

    assert asked(lambda row: dt.asarray(row, copy=True)) == asked(dt.tensor) > 0


@pytest.mark.parametrize("name", NO_ARRAYS)
def test_arrays_without_a_type(name):
    both(lambda module: module.from_numpy(NO_ARRAYS[name]))


@pytest.mark.parametrize("data", [3, [1], None, "a", b"a"])
def test_from_numpy_takes_arrays_alone(data):
    both(lambda module: module.from_numpy(data))


def test_arrays_backwards():
    back = np.arange(6.0).reshape(2, 3)[:, ::-1]
    both(lambda module: module.from_numpy(back))
    # PyTorch refuses these everywhere; what copies anyway can do it.
    assert dt.tensor(back).tolist() == back.tolist()
    assert dt.as_tensor(back).tolist() == back.tolist()


BUFFER = bytearray(b"abcdefgh")
BUFFER_CALLS = {
    "bytes": lambda m: m.frombuffer(BUFFER, dtype=m.uint8),
    "integers": lambda m: m.frombuffer(BUFFER, dtype=m.int32),
    "some": lambda m: m.frombuffer(BUFFER, dtype=m.uint8, count=2, offset=1),
    "an array": lambda m: m.frombuffer(array.array("f", [1, 2]), dtype=m.float32),
    "gradients": lambda m: m.frombuffer(array.array("f", [1]), dtype=m.float32, requires_grad=True),
    "not whole": lambda m: m.frombuffer(BUFFER, dtype=m.int32, offset=2),
    "too many": lambda m: m.frombuffer(BUFFER, dtype=m.uint8, count=9),
    "none": lambda m: m.frombuffer(BUFFER, dtype=m.uint8, count=0),
    "before": lambda m: m.frombuffer(BUFFER, dtype=m.uint8, offset=-1),
    "behind": lambda m: m.frombuffer(BUFFER, dtype=m.uint8, offset=8),
    "empty": lambda m: m.frombuffer(b"", dtype=m.uint8),
    "a number": lambda m: m.frombuffer(3, dtype=m.uint8),
    "a list": lambda m: m.frombuffer([1], dtype=m.uint8),
    "a word": lambda m: m.frombuffer("abc", dtype=m.uint8),
    "no type": lambda m: m.frombuffer(BUFFER),
    "a word for a type": lambda m: m.frombuffer(BUFFER, dtype="a"),
}


@pytest.mark.parametrize("name", BUFFER_CALLS)
def test_buffers(name):
    both(BUFFER_CALLS[name])


def test_buffers_share_their_memory():
    data = bytearray(4)
    dt.frombuffer(data, dtype=dt.uint8).fill_(7)
    assert data == b"\x07" * 4


# ---- DLPack


@pytest.mark.parametrize("kind", ["float32", "int64", "bool", "complex64", "uint8", "float16"])
def test_dlpack_both_ways(kind):
    ours, theirs = [m.arange(6).reshape(2, 3).to(getattr(m, kind)) for m in MODULES]
    assert facts(dt, dt.from_dlpack(theirs)) == facts(dt, ours)
    assert facts(torch, torch.from_dlpack(ours)) == facts(torch, theirs)
    np.testing.assert_array_equal(np.from_dlpack(ours), theirs.numpy())
    assert tuple(map(int, ours.__dlpack_device__())) == tuple(map(int, theirs.__dlpack_device__()))


def test_dlpack_shares_memory():
    theirs = torch.zeros(3)
    dt.from_dlpack(theirs).fill_(1)
    assert theirs.tolist() == [1, 1, 1]
    ours = dt.zeros(3)
    torch.from_dlpack(ours).fill_(2)
    assert ours.tolist() == [2, 2, 2]
    assert dt.from_dlpack(ours.T[::2]).tolist() == [2, 2]


@pytest.mark.parametrize("data", [3, [1], None, "a"])
def test_dlpack_of_nothing(data):
    both(lambda module: module.from_dlpack(data))


@pytest.mark.parametrize("options", [{}, {"max_version": (1, 0)}], ids=["old", "versioned"])
@pytest.mark.parametrize("make", [torch.tensor, np.array, dt.tensor], ids=["torch", "numpy", "dt"])
def test_bare_capsules(make, options):
    source = make([[1.0, 2.0], [3.0, 4.0]])
    capsule = source.__dlpack__(**options)
    taken = dt.from_dlpack(capsule)
    assert taken.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    source[0, 0] = 7.0
    assert taken[0, 0].item() == 7.0
    with pytest.raises(RuntimeError, match="consumed only once"):
        dt.from_dlpack(capsule)


@pytest.mark.parametrize("lib", MODULES, ids=["dt", "torch"])
def test_dlpack_to_a_device_and_copied(lib):
    source = np.ones(2)
    assert lib.from_dlpack(source, device="cpu").device.type == "cpu"
    copied, shared = lib.from_dlpack(source, copy=True), lib.from_dlpack(source, copy=False)
    source[0] = 5
    assert copied.tolist() == [1, 1]
    assert shared.tolist() == [5, 1]


def test_dlpack_to_another_device():
    source = np.ones(2)
    assert dt.from_dlpack(source, device="strict:0").device == dt.device("strict:0")
    with pytest.raises(ValueError, match="without copying"):
        dt.from_dlpack(source, device="strict:0", copy=False)


def test_dlpack_of_what_requires_gradients():
    for module in MODULES:
        with pytest.raises((RuntimeError, BufferError), match="require"):
            module.ones(2, requires_grad=True).__dlpack__()


# ---- tensors as arrays, numbers and lists

SAMPLES = {
    "float": lambda m: m.tensor(2.5),
    "whole float": lambda m: m.tensor([3.0]),
    "int": lambda m: m.tensor(3),
    "ints of one": lambda m: m.tensor([[4]]),
    "bool": lambda m: m.tensor(True),
    "complex": lambda m: m.tensor(1 + 2j),
    "real complex": lambda m: m.tensor(1 + 0j),
    "several": lambda m: m.tensor([1, 2, 3]),
    "floats": lambda m: m.tensor([[1.5, 2.0], [3.0, 4.0]]),
    "bools": lambda m: m.tensor([True, False]),
    "empty": lambda m: m.zeros(0),
    "no rows": lambda m: m.zeros(0, 3),
    "tracked": lambda m: m.tensor(1.5, requires_grad=True),
    "tracked several": lambda m: m.tensor([1.5, 2.0], requires_grad=True),
    "half": lambda m: m.tensor(1.5, dtype=m.float16),
    "bfloat16": lambda m: m.tensor(1.5, dtype=m.bfloat16),
    "uint8": lambda m: m.tensor(200, dtype=m.uint8),
    "nan": lambda m: m.tensor(float("nan")),
    "infinity": lambda m: m.tensor(float("inf")),
}
USES = {
    "item": lambda x: x.item(),
    "tolist": lambda x: x.tolist(),
    "bool": bool,
    "int": int,
    "float": float,
    "complex": complex,
    "index": operator.index,
    "list index": lambda x: [10, 11, 12, 13, 14][x],
    "range": lambda x: list(range(x)),
    "repeated": lambda x: [0] * x,
    "len": len,
    "iteration": lambda x: [part.tolist() for part in x],
    "reversed": lambda x: list(reversed(x)) if x.ndim else reversed(x).tolist(),
    "truth of not": lambda x: not x,
    "contains a number": lambda x: 2 in x,
    "contains a float": lambda x: 1.5 in x,
    "contains a word": lambda x: "a" in x,
    "contains None": lambda x: None in x,
    "contains a list": lambda x: [1] in x,
    "format": format,
    "format of digits": lambda x: f"{x:.3f}",
    "format of width": lambda x: f"{x:>8}",
    "format of an integer": lambda x: f"{x:d}",
    "format of text": lambda x: f"{x!s}",
    "numpy": lambda x: x.numpy().tolist() if x.dtype.itemsize != 2 else None,
    "numpy by force": lambda x: x.numpy(force=True).dtype.name if x.dtype.itemsize != 2 else None,
    "array": lambda x: np.asarray(x).tolist() if x.dtype.itemsize != 2 else None,
    "array of a type": lambda x: np.asarray(x, dtype="complex128").tolist(),
    "unpacked": lambda x: [part.item() for part in [*x]],
    "round": lambda x: round(x),
    "hash": lambda x: hash(x) == id(x),
    "max of Python": lambda x: max(x).item(),
    "sum of Python": lambda x: sum(x) if len(x) == 0 else sum(x).tolist(),
    "math": lambda x: __import__("math").sqrt(x),
    "divmod": lambda x: [part.tolist() for part in divmod(x, 2)],
    "pow of three": lambda x: pow(x, 2).tolist(),
    "slice by it": lambda x: [1, 2, 3, 4][x:],
    "key": lambda x: {x: 1}[x],
    "copy": lambda x: copy.copy(x).tolist(),
    "deepcopy": lambda x: copy.deepcopy(x).tolist(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", SAMPLES)
def test_uses(name, use):
    if use in ("numpy", "array", "array of a type") and name == "bfloat16":
        return  # NumPy knows it here, by ml_dtypes
    both(lambda module: USES[use](SAMPLES[name](module)))


def test_numpy_shares_memory():
    x = dt.zeros(3)
    x.numpy()[:] = 1
    assert x.tolist() == [1, 1, 1]
    y = x[::2]
    y.numpy()[:] = 2
    assert x.tolist() == [2, 1, 2]
    np.asarray(x)[0] = 5
    assert x[0] == 5
    assert np.array(x) is not x.numpy()
    with pytest.raises(ValueError, match="copy"):
        x.__array__(np.float64, copy=False)


def test_numpy_of_another_device():
    x = dt.ones(2, device="strict")
    for call in (x.numpy, x.__array__):
        with pytest.raises(
            TypeError, match=r"strict:0 device type tensor to numpy.*Tensor.cpu\(\)"
        ):
            call()
    assert x.numpy(force=True).tolist() == [1, 1]
    assert x.tolist() == [1, 1] and x.sum().item() == 2 and bool(x[0]) and int(x[0]) == 1


SCALARS = {
    "full": lambda m, number: m.full((2,), number),
    "full_like": lambda m, number: m.full_like(m.ones(2), number),
    "arange": lambda m, number: m.arange(number),
    "linspace": lambda m, number: m.linspace(0, number, 3),
    "fill": lambda m, number: m.ones(2).fill_(number),
    "masked_fill": lambda m, number: m.ones(2).masked_fill(m.tensor([True, False]), number),
    "add": lambda m, number: m.ones(2) + number,
    "where": lambda m, number: m.where(m.tensor([True, False]), m.ones(2), number),
    "clamp": lambda m, number: m.ones(2).clamp(min=number),
    "pow": lambda m, number: m.ones(2) ** number,
    "tensor": lambda m, number: m.tensor(number),
}


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, np.int8, np.bool_])
@pytest.mark.parametrize("name", SCALARS)
def test_scalars_of_the_host_are_numbers(name, kind):
    if kind is np.bool_ and name in ("full", "arange"):
        return  # of one bool of NumPy PyTorch makes a float, of another an int
    both(lambda module: SCALARS[name](module, kind(3)))


def test_arrays_without_dimensions_are_numbers():
    assert dt.tensor([np.array(1.0), np.array(2.0)]).tolist() == [1, 2]


def test_operators_beside_arrays():
    x, y = dt.tensor([1.0, 2.0]), np.array([3.0, 4.0])
    assert isinstance(x + y, dt.Tensor)
    assert (x + y).tolist() == [4, 6]
    assert np.add(x.numpy(), y).tolist() == [4, 6]
    assert (np.float64(2) * x).tolist() == [2, 4]


NESTED = {
    "integers": list(range(50_000)),
    "numbers": [0.5 * i for i in range(50_000)],
    "matrix": [list(range(i, i + 50)) for i in range(1000)],
    "pairs": [(i, i + 0.5) for i in range(25_000)],
    "scalars of the host": list(np.arange(50_000)),
}


@pytest.mark.parametrize("name", NESTED)
def test_long_lists_take_about_as_long_as_in_numpy(name):
    def took(call):
        times = []
        for _ in range(5):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
        return min(times)

    data = NESTED[name]
    assert dt.tensor(data).tolist() == torch.tensor(data).tolist()
    # Once read by us and once by NumPy; it was more than thirty times as long.
    assert took(lambda: dt.tensor(data)) < 15 * took(lambda: np.array(data))
