"""The text of tensors is PyTorch's, to the letter."""

import numpy as np
import pytest

import devtensor as dt

torch = pytest.importorskip("torch")

DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64"]
DTYPES += ["float16", "bfloat16", "float32", "float64", "complex64", "complex128"]
SHAPES = [(), (1,), (3,), (7,), (30,), (0,), (0, 3), (2, 0, 3), (1, 1), (2, 3), (3, 1, 4)]
SHAPES += [(2, 2, 2, 2), (20, 9), (1001,), (1000,), (40, 40), (2, 600), (6, 200), (7, 150)]
SHAPES += [(5, 7, 40), (12, 11, 10), (1, 1, 1001), (8, 8, 8, 8)]
KINDS = ["plain", "whole", "wide", "tiny", "huge", "special", "zeros", "negative"]


@pytest.fixture(autouse=True)
def restore():
    yield
    for library in (dt, torch):
        library.set_printoptions(profile="default")
        library.set_default_dtype(library.float32)


def numbers(kind, shape, rng):
    x = rng.standard_normal(shape)
    if kind == "whole":
        return np.round(x * 50)
    if kind == "wide":
        return x * 10.0 ** rng.integers(-6, 6, shape)
    if kind == "tiny":
        return x * 1e-6
    if kind == "huge":
        return np.round(x * 1e9)
    if kind == "special":
        return np.where(
            rng.random(shape) < 0.5, x, rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0], shape)
        )
    if kind == "zeros":
        return x * 0
    return -abs(x) * 100 if kind == "negative" else x


def pair(kind, name, shape, seed):
    """The same values as a tensor of either library."""
    rng = np.random.default_rng(seed)
    x = numbers(kind, shape, rng)
    if name.startswith("complex"):
        x = x + 1j * numbers(kind, shape, rng)
    elif name == "bool":
        x = x > 0
    elif "float" not in name:
        with np.errstate(invalid="ignore"):
            x = np.clip(
                np.nan_to_num(np.abs(x) * 20 if name == "uint8" else x * 20), -100, 100
            ).astype("int64")
            x = np.asarray(x) * (10**7 if name == "int64" and kind == "huge" else 1)
    theirs = torch.tensor(np.asarray(x)).to(getattr(torch, name))
    ours = dt.tensor(np.asarray(x)).to(getattr(dt, name))
    return ours, theirs


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:overflow")
def test_repr(kind, name):
    for seed, shape in enumerate(SHAPES):
        ours, theirs = pair(kind, name, shape, seed)
        assert repr(ours) == repr(theirs), (shape, seed)


OPTIONS = [
    {"precision": 2},
    {"precision": 8},
    {"precision": 0},
    {"threshold": 5},
    {"threshold": 5, "edgeitems": 1},
    {"threshold": 5, "edgeitems": 0},
    {"edgeitems": 5},
    {"edgeitems": 2, "threshold": 10, "precision": 1},
    {"linewidth": 40},
    {"linewidth": 120},
    {"linewidth": 5},
    {"sci_mode": True},
    {"sci_mode": False},
    {"sci_mode": True, "precision": 2},
    {"profile": "short"},
    {"profile": "short", "precision": 6},
    {"profile": "full"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("name", ["bool", "int64", "float32", "complex64"])
def test_printoptions(name, options):
    for library in (dt, torch):
        library.set_printoptions(**options)
    for kind in ("plain", "whole", "wide", "special"):
        for shape in [(), (3,), (9, 4), (2, 3, 20), (40, 30)]:
            ours, theirs = pair(kind, name, shape, 3)
            assert repr(ours) == repr(theirs), (kind, shape)


def test_sci_mode_is_forgotten_by_the_next_call():
    dt.set_printoptions(sci_mode=True)
    dt.set_printoptions(precision=4)
    assert repr(dt.tensor([1.5])) == "tensor([1.5000])"


def test_unknown_profile():
    with pytest.raises(ValueError, match=r"'default', 'short', 'full'.*'ful'"):
        dt.set_printoptions(profile="ful")


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_default_dtype_is_not_mentioned(name):
    for library in (dt, torch):
        library.set_default_dtype(getattr(library, name))
    for kind in DTYPES:
        for shape in [(2,), (0,), (0, 2)]:
            ours, theirs = pair("plain", kind, shape, 1)
            assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(
    "make",
    [
        lambda lib: lib.ones(3, requires_grad=True),
        lambda lib: lib.ones(3, requires_grad=True) * 2,
        lambda lib: lib.ones(12, requires_grad=True, dtype=lib.float64).exp(),
        lambda lib: lib.ones(11, requires_grad=True, dtype=lib.float64),
        lambda lib: lib.ones(2, 2, 2, requires_grad=True).bmm(lib.ones(2, 2, 2)),
        lambda lib: lib.ones(2, 0, requires_grad=True),
        lambda lib: lib.ones(2, 0, requires_grad=True).sum(),
        lambda lib: lib.ones(40, 40, requires_grad=True).amax(1),
        lambda lib: lib.ones(2, requires_grad=True).detach(),
        lambda lib: lib.nn.Parameter(lib.ones(2, 3)),
        lambda lib: lib.nn.Parameter(lib.ones(2, 3), requires_grad=False),
        lambda lib: lib.nn.Parameter(lib.ones(2, 3)) + 1,
        lambda lib: lib.arange(12).reshape(3, 4).T,
        lambda lib: lib.arange(12).reshape(3, 4)[::2, 1:],
        lambda lib: lib.ones(3).expand(2, 3),
        lambda lib: lib.ones(3).flip(0),
        lambda lib: lib.arange(5000).reshape(50, 100).T,
    ],
)
def test_history_and_look(make):
    assert repr(make(dt)) == repr(make(torch)) == str(make(dt))


def test_function_is_named():
    def make(lib):
        class Double(lib.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x * 2

            @staticmethod
            def backward(ctx, g):
                return g * 2

        return Double.apply(lib.ones(2, requires_grad=True))

    assert repr(make(dt)) == repr(make(torch)) == "tensor([2., 2.], grad_fn=<DoubleBackward>)"


def test_own_subclass_is_named():
    class Named(dt.Tensor):
        pass

    assert repr(dt.ones(2).as_subclass(Named)) == "Named([1., 1.])"


def test_printing_records_nothing_and_works_in_every_mode():
    x = dt.ones(3, requires_grad=True)
    with dt.inference_mode():
        assert repr(x) == "tensor([1., 1., 1.], requires_grad=True)"
        assert repr(x * 2) == "tensor([2., 2., 2.])"
    with dt.no_grad():
        assert repr(x * 2) == "tensor([2., 2., 2.])"
    with dt.autograd.graph.saved_tensors_hooks(lambda t: pytest.fail("saved"), lambda t: t):
        repr(dt.ones(50, 50, requires_grad=True))


@pytest.mark.parametrize("value", [3.14159, 7, True, 2 + 3j])
@pytest.mark.parametrize("spec", ["", ".2f", ">10", "5d"])
def test_format_of_a_number(value, spec):
    def outcome(lib):
        try:
            return format(lib.tensor(value), spec)
        except (ValueError, TypeError) as error:
            return type(error)

    assert outcome(dt) == outcome(torch)


def test_format_of_several():
    assert f"{dt.tensor([1.0, 2.0])}" == "tensor([1., 2.])"
    with pytest.raises(TypeError, match=r"unsupported format string passed to Tensor.__format__"):
        format(dt.tensor([1.0, 2.0]), ".2f")
