"""Memory behind tensors, several results that have names, shapes: beside PyTorch's."""

import copy
import pickle

import pytest
import torch

import devtensor as dt

pytestmark = pytest.mark.filterwarnings("ignore:TypedStorage is deprecated", "ignore:.*storage")
BOTH = pytest.mark.parametrize("t", [torch, dt], ids=["theirs", "ours"])


@BOTH
def test_memory_has_elements(t):
    x = t.arange(6.0)
    memory = x[2:4].storage()
    assert len(memory) == memory.size() == 6 and memory.nbytes() == 24
    assert memory.dtype is t.float32 and memory.element_size() == 4
    assert memory.tolist() == list(memory) == [0, 1, 2, 3, 4, 5] and memory[4] == 4
    assert memory.data_ptr() == x.data_ptr() == memory.untyped().data_ptr()
    assert len(memory.untyped()) == 24 and memory.untyped()[3] == 0
    memory[1] = 7
    assert x[1] == 7
    twin = memory.clone()
    twin.fill_(3)
    assert x[0] == 0 and twin.tolist() == [3] * 6
    memory.copy_(twin)
    assert x.tolist() == [3] * 6
    assert memory.device == t.device("cpu") and memory.cpu().tolist() == x.tolist()
    assert t.is_storage(memory) and t.is_storage(memory.untyped()) and not t.is_storage(x)


@BOTH
def test_identity_is_asked_by_number(t):
    x, y = t.ones(2), t.ones(2)
    assert x._cdata == x._cdata and len({x._cdata, x.data._cdata, y._cdata}) == 3
    memory = x.untyped_storage()._cdata
    assert memory == x[1:].untyped_storage()._cdata != y.untyped_storage()._cdata


@BOTH
def test_memory_is_made_by_its_classes(t):
    for name, kind in (("Float", t.float32), ("Long", t.int64), ("ComplexDouble", t.complex128)):
        made = getattr(t, f"{name}Storage")([1, 2, 3])
        assert made.dtype is kind and made.tolist() == [1, 2, 3]
        assert isinstance(made, getattr(t, f"{name}Storage")) and len(made) == 3
        assert not isinstance(made, t.HalfStorage) and isinstance(made, t.TypedStorage)
        assert repr(made).endswith(f"(dtype={kind}, device=cpu) of size 3]")
    assert len(t.UntypedStorage(4)) == 4 and t.UntypedStorage([1, 2]).tolist() == [1, 2]
    assert t.TypedStorage([1.5, 2]).dtype is t.float32
    assert len(t.TypedStorage([1], dtype=t.int16).untyped()) == 2
    with pytest.raises(AttributeError):
        t.ShineStorage  # noqa: B018


@BOTH
def test_results_that_have_names(t):
    found = t.tensor([[1.0, 3.0], [2.0, 0.0]]).max(0)
    assert isinstance(found, t.return_types.max) and type(found).__name__ == "max"
    assert type(found).__module__ == "torch.return_types"
    assert (found.n_fields, found.n_sequence_fields, found.n_unnamed_fields) == (2, 2, 0)
    for twin in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
        assert type(twin) is type(found) and twin.values.tolist() == [2, 3]
        assert twin.indices.tolist() == [1, 0]
    assert isinstance(t.linalg.svd(t.eye(2)), t.return_types.linalg_svd)
    assert not hasattr(t.return_types, "shine")


@pytest.mark.filterwarnings("ignore:.*deprecated")
@pytest.mark.parametrize(
    "call",
    [
        lambda t, x: t.linalg.lu(x),
        lambda t, x: t.linalg.lu_factor(x),
        lambda t, x: t.linalg.lu_factor_ex(x),
        lambda t, x: t.lu_unpack(*t.linalg.lu_factor(x)),
        lambda t, x: t.linalg.ldl_factor(x),
        lambda t, x: t.linalg.ldl_factor_ex(x),
        lambda t, x: t.linalg.inv_ex(x),
        lambda t, x: t.linalg.solve_ex(x, x),
        lambda t, x: t.linalg.cholesky_ex(x),
        lambda t, x: t.linalg.lstsq(x, x[:, :1]),
        lambda t, x: t.triangular_solve(x, x),
        lambda t, x: t.geqrf(x),
        lambda t, x: t.svd(x),
        lambda t, x: t.slogdet(x),
        lambda t, x: x.slogdet(),
    ],
)
def test_factors_have_the_classes_of_their_functions(call):
    theirs, ours = (call(t, t.eye(2)) for t in (torch, dt))
    assert str(type(ours)) == str(type(theirs))
    shown = [
        [line.partition("=")[0] for line in repr(x).split("\n") if "=" in line]
        for x in (ours, theirs)
    ]
    assert shown[0] == shown[1] and repr(ours).partition("(")[0] == repr(theirs).partition("(")[0]
    assert getattr(dt.return_types, type(theirs).__name__) is type(ours)
    again = pickle.loads(pickle.dumps(ours))
    assert type(again) is type(ours) and again[0].tolist() == ours[0].tolist()


@BOTH
def test_shapes_are_of_whole_numbers(t):
    assert t.Size([t.tensor(2), 3]) == (2, 3) == t.Size(iter((2, 3)))
    for wrong, kind in (([1, "a"], "str"), ([1, 2.5], "float")):
        with pytest.raises(TypeError, match=rf"takes an iterable of 'int' \(item 1 is '{kind}'\)"):
            t.Size(wrong)
    with pytest.raises(TypeError):
        t.Size(3)


@BOTH
def test_parts_of_complex_numbers_are_set(t):
    x = t.tensor([1 + 2j, 3 - 1j])
    x.imag = 5
    x.real += 1
    x.real[1] = 0
    assert x.tolist() == [2 + 5j, 5j]
    x.real = t.tensor([1.0, 2.0])
    assert x.tolist() == [1 + 5j, 2 + 5j]
    y = t.zeros(2, requires_grad=True) * 1
    y.real = t.ones(2)
    assert y.tolist() == [1, 1]
    with pytest.raises(RuntimeError):
        y.imag = 1
    assert t.typename("a") == "str" and t.typename(x) == "torch.ComplexFloatTensor"


@BOTH
def test_what_is_tracked_is_not_handed_out(t):
    x = t.ones(2, requires_grad=True)
    for give in (t.from_dlpack, lambda x: x.__dlpack__()):
        with pytest.raises(BufferError, match="Can't export tensors that require gradient"):
            give(x)
    with pytest.raises(ValueError, match=r"invalid type: 'torch\.ShineTensor'"):
        x.type("torch.ShineTensor")


@BOTH
def test_files_of_derivatives(t):
    assert t.autograd.grad_mode.no_grad is t.no_grad
    assert t.autograd.variable.Variable is t.autograd.Variable
    assert t.autograd.anomaly_mode.detect_anomaly is t.autograd.detect_anomaly
    x = t.ones(2, requires_grad=True)
    with t.autograd.set_multithreading_enabled(False):
        x.sum().backward()
    assert x.grad.tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="to be a function that has non-empty output"):
        t.func.vjp(lambda x: [], t.ones(2))


@BOTH
def test_copies_share_their_memory(t):
    x = t.tensor([1.0, 2.0], requires_grad=True)
    x.note = 3
    twin = copy.copy(x)
    assert twin is not x and twin.data_ptr() == x.data_ptr() and twin.note == 3
    assert twin.requires_grad and twin.is_leaf and copy.copy(x * 2).is_leaf
    kinds = (t.arange(2), t.nn.Parameter(t.ones(2)), t.ones(2, 3).t())
    for y in kinds:
        twin = copy.copy(y)
        assert type(twin) is type(y) and twin.requires_grad == y.requires_grad
        assert twin.data_ptr() == y.data_ptr() and twin.stride() == y.stride()
    with pytest.raises(RuntimeError):
        t.ones(2).resize_(-1)
    assert t.get_device_module("cpu") is t.cpu
