"""Subclasses of Tensor, classes with ``__torch_function__``, and modes of functions."""

import inspect

import pytest

import devtensor as dt

torch = pytest.importorskip("torch", reason="PyTorch is the reference")


def world(lib):
    """A subclass, one that notes calls, a class that acts as a tensor, and one that refuses."""

    class Sub(lib.Tensor):
        pass

    class Noting(lib.Tensor):
        calls = []  # noqa: RUF012

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            cls.calls.append(func.__name__)
            return super().__torch_function__(func, types, args, kwargs or {})

    class Acting:
        def __init__(self, value):
            self.value = value

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            args = [one.value if isinstance(one, Acting) else one for one in args]
            return Acting(func(*args, **(kwargs or {})))

    class Refusing:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    return Sub, Noting, Acting, Refusing


CASES = {
    "operator": lambda lib, x: x + 1,
    "reflected": lambda lib, x: 2 - x,
    "other operand": lambda lib, x: lib.ones(2, 3) * x,
    "method": lambda lib, x: x.sin(),
    "function": lambda lib, x: lib.exp(x),
    "item": lambda lib, x: x[0],
    "mask": lambda lib, x: x[x > 2],
    "reduction": lambda lib, x: x.sum(),
    "several results": lambda lib, x: x.max(1)[0],
    "list of results": lambda lib, x: x.split(1)[1],
    "list of operands": lambda lib, x: lib.cat([lib.zeros(2, 3), x]),
    "view": lambda lib, x: x.view(-1),
    "detached": lambda lib, x: x.detach(),
    "copy": lambda lib, x: x.clone(),
    "type": lambda lib, x: x.to(lib.float64),
    "composite": lambda lib, x: lib.nn.functional.softmax(x, -1),
    "like": lambda lib, x: lib.zeros_like(x),
    "in place": lambda lib, x: x.mul_(2),
    "transposed": lambda lib, x: x @ x.T,
    "where": lambda lib, x: lib.where(x > 1, x, 0.0),
    "plain again": lambda lib, x: x.as_subclass(lib.Tensor),
    "parameter": lambda lib, x: lib.nn.Parameter(lib.ones(2)) * 2,
    "layer": lambda lib, x: lib.nn.Linear(3, 2)(x),
}


@pytest.mark.parametrize("name", CASES)
def test_results_are_of_the_subclass(name):
    seen, values = [], []
    for lib in (torch, dt):
        sub, *_ = world(lib)
        x = lib.arange(6.0).reshape(2, 3).as_subclass(sub)
        result = CASES[name](lib, x)
        seen.append((type(result).__name__, tuple(result.shape), str(result.dtype)))
        values.append(result.flatten().tolist())
    assert seen[0] == seen[1]
    if name != "layer":
        assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_a_class_sees_every_call():
    calls = []
    for lib in (torch, dt):
        _, noting, *_ = world(lib)
        x = lib.ones(3).as_subclass(noting)
        y = x * 2 + lib.ones(3)
        y.sum(dim=0)
        lib.nn.functional.relu(x)
        x[0]
        lib.add(x, x, alpha=2)
        lib.stack([x, y])
        x.add_(1)
        calls.append(noting.calls)
    assert calls[0] == calls[1]


def test_a_class_sees_what_is_read_and_asked():
    calls, kinds = [], []
    for lib in (torch, dt):
        sub, noting, *_ = world(lib)
        x = lib.tensor([[1.0, 2.0]]).as_subclass(noting)
        noting.calls.clear()
        assert (x.shape, x.dtype, x.ndim, x.is_leaf) == ((1, 2), lib.float32, 2, True)
        assert x.requires_grad is False and x.T.shape == (2, 1) and x.grad is None
        x.requires_grad_()
        x.grad = lib.ones(1, 2)
        assert x.numel() == 2 and x.size(1) == 2 and x.stride() == (2, 1) and x.is_contiguous()
        z = x.detach()
        assert len(z) == 1 and float(z[0, 1]) == 2 and int(z[0, 0]) == 1 and bool(z[0, 0] > 0)
        assert x.detach().numpy().tolist() == x.tolist() == [[1, 2]]
        calls.append([name.replace("numpy_T", "__get__") for name in noting.calls])
        with lib._C.DisableTorchFunctionSubclass():
            noting.calls.clear()
            assert x.ndim == 2 and type(x.data) is lib.Tensor
        assert noting.calls == []
        reads = lib.overrides.is_tensor_method_or_property
        assert reads(lib.Tensor.shape.__get__) and not reads(lib.Tensor.grad.__set__)
        y = lib.ones(1, 2).as_subclass(sub).requires_grad_()
        y.sum().backward()
        kinds.append([type(one).__name__ for one in (y.data, y.grad, y.T, y.real, y.view(2).data)])
    assert calls[0] == calls[1]
    assert kinds[0] == kinds[1] == ["Sub", "Tensor", "Sub", "Sub", "Sub"]


def test_a_mixin_keeps_its_own_members():
    class Shaped:
        @property
        def shape(self):
            return "mine"

        def numel(self):
            return -1

    class Both(Shaped, dt.Tensor):
        @property
        def device(self):
            return "there"

    x = dt.ones(2).as_subclass(Both)
    assert (x.shape, x.numel(), x.device, x.ndim) == ("mine", -1, "there", 1)


def test_a_class_that_is_no_tensor_acts_as_one():
    for lib in (torch, dt):
        *_, acting, _ = world(lib)
        x = acting(lib.ones(2))
        for made in (
            lib.add(lib.ones(2), x),
            lib.ones(2) * x,
            lib.sum(x),
            lib.nn.functional.softmax(x, 0),
        ):
            assert type(made) is acting
        assert lib.add(lib.ones(2), x).value.tolist() == [2, 2]


def test_nobody_answers():
    for lib in (torch, dt):
        *_, refusing = world(lib)
        with pytest.raises(TypeError, match=r"Multiple dispatch failed for 'torch\.add'"):
            lib.add(lib.ones(1), refusing())


def test_gradients_are_plain_and_flow():
    sub, noting, *_ = world(dt)
    x = dt.ones(3).as_subclass(sub).requires_grad_()
    y = (x * x).sum()
    assert type(y) is sub
    (g,) = dt.autograd.grad(y, x, create_graph=True)
    assert g.tolist() == [2, 2, 2]
    y.backward()
    assert x.grad.tolist() == [2, 2, 2]
    w = dt.ones(2).as_subclass(noting).requires_grad_()
    z = (w * 3).sum()
    noting.calls.clear()
    z.backward()
    assert "mul" not in noting.calls  # rules are not functions that a class is asked about


def test_a_mode_is_asked_first_and_not_about_itself():
    seen = []
    for lib in (torch, dt):

        class Noting(lib.overrides.TorchFunctionMode):
            def __init__(self):
                super().__init__()
                self.calls = []

            def __torch_function__(self, func, types, args=(), kwargs=None):
                self.calls.append(func.__name__)
                return func(*args, **(kwargs or {}))

        class Doubling(Noting):
            def __torch_function__(self, func, types, args=(), kwargs=None):
                result = super().__torch_function__(func, types, args, kwargs)
                return result * 2 if func.__name__ == "add" else result

        with Noting() as outer:
            a = lib.ones(2)
            with Doubling() as inner:
                b = a + 1
            c = lib.nn.functional.relu(b)
        a + 1
        seen.append((outer.calls, inner.calls, c.tolist()))
    assert seen[0] == seen[1]


def test_a_block_without_classes():
    sub, *_ = world(dt)
    x = dt.ones(2).as_subclass(sub)
    with dt.overrides.DisableTorchFunctionSubclass():
        assert type(x + 1) is dt.Tensor
    assert type(x + 1) is sub


def test_a_function_of_ones_own_asks():
    *_, acting, _ = world(dt)

    @dt.overrides.wrap_torch_function(lambda x, y: (x, y))
    def both(x, y):
        return x + y

    assert both(dt.ones(1), dt.ones(1)).tolist() == [2]
    made = both(acting(dt.ones(1)), dt.ones(1))
    assert type(made) is acting
    assert made.value.tolist() == [2]
    assert dt.overrides.has_torch_function((made,))
    assert not dt.overrides.has_torch_function((dt.ones(1), 2))
    assert dt.overrides.is_tensor_like(made)


@pytest.mark.parametrize("t", [torch, dt], ids=["theirs", "ours"])
def test_a_method_that_libraries_tell_from_the_function(t):
    """MONAI splits a batch's notes where `unbind` is a method, and calls the function for it."""
    seen = []

    class Noted(t.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            if getattr(func, "__name__", "") == "unbind":
                seen.append((func == t.unbind, func == t.Tensor.unbind))
            return super().__torch_function__(func, types, args, kwargs or {})

    x = t.arange(6.0).reshape(2, 3).as_subclass(Noted)
    for parts in (t.unbind(x), x.unbind(), x.unbind(dim=0), [*x]):
        assert [part.tolist() for part in parts] == [[0, 1, 2], [3, 4, 5]]
        assert all(type(part) is Noted for part in parts)
    assert seen == [(True, False), *[(False, True)] * 3]


NAMED = {"weight", "target", "targets", "key", "value", "input2", "x2", "other", "indices"}


FUNCTIONS = sorted(set(dt.nn.functional.__all__) & set(dir(torch.nn.functional)))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_of_networks_asks(name):
    class Answer:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return func.__name__

    function = getattr(dt.nn.functional, name)
    needed = [
        p.name for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]  # fmt: skip
    args = [Answer() if not i or one in NAMED else 1 for i, one in enumerate(needed)]
    if name.startswith("threshold"):  # whose forms do not show their numbers
        args = [Answer(), 1, 2]
    assert isinstance(function(*args or [Answer()]), str)


MIXED = {
    "ours first": lambda ours, theirs: ours + theirs,
    "theirs first": lambda ours, theirs: theirs @ ours,
    "our function": lambda ours, theirs: dt.cat([theirs, ours]),
    "their function": lambda ours, theirs: torch.cat([ours, ours]),
    "our layer": lambda ours, theirs: dt.nn.Linear(2, 2)(theirs),
    "their layer": lambda ours, theirs: torch.nn.Linear(2, 2)(ours),
    "in place": lambda ours, theirs: ours.copy_(theirs),
}


@pytest.mark.parametrize("parameters", [False, True])
@pytest.mark.parametrize("name", MIXED)
def test_tensors_of_the_two_libraries_do_not_mix(name, parameters):
    ours, theirs = dt.ones(2), torch.ones(2)
    if parameters:
        ours, theirs = dt.nn.Parameter(ours), torch.nn.Parameter(theirs)
    with pytest.raises(TypeError, match="PyTorch's own"), dt.no_grad():
        MIXED[name](ours, theirs)
    assert ours.tolist() == [1, 1]


def test_tensors_of_pytorch_are_taken_like_arrays():
    theirs = torch.arange(3.0)
    shared, copied = dt.as_tensor(theirs), dt.tensor(theirs)
    assert dt.asarray(theirs, copy=False).data_ptr() == shared.data_ptr() == theirs.data_ptr()
    shared[0] = 5
    assert theirs.tolist() == [5, 1, 2]
    assert copied.tolist() == [0, 1, 2]
    assert dt.tensor(theirs, dtype=dt.int64).dtype is dt.int64
    with pytest.raises(BufferError, match="detach"):
        dt.as_tensor(torch.ones(2, requires_grad=True))
