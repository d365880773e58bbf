"""What is refused: the same as by PyTorch, in useful words, and before anything has changed.

Each example of each operation is called with one thing changed: a shape, a type, a device, an
index, a dimension. What PyTorch refuses must be refused with an error that the same ``except``
catches; what it computes must be computed alike.
"""

import inspect
import re
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import devtensor as dt
import samples
from devtensor.example import Sample
from samples import cases, law, leaves, on_torch, oracle

RANDOM = "devtensor.ops.random"

# PyTorch warns of what it will change; here the same may be no news.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def known(entry):
    own = entry.public or (entry.op is not None and entry.op.operator)
    here = "empty" not in entry.name and entry.function.__module__ != RANDOM
    return bool(own) and here and oracle(entry) is not None


KNOWN = cases(known)

# ---- one thing changed


def first(array):
    return array[0] if array.ndim and array.shape[0] else array.reshape(-1)[:1]


def longer(array):
    return np.concatenate([array, array[-1:]]) if array.ndim and array.size else wide(array, 2)


def wider(array):
    if array.ndim and array.size:
        return np.concatenate([array, array[..., -1:]], -1)
    return wide(array, 3)


def wide(array, count):
    return np.zeros((*array.shape, count), array.dtype)


def number(array):
    return array.reshape(-1)[0] if array.size else np.zeros((), array.dtype)


SHAPES = {
    "the first part": first,
    "one more dimension": lambda array: array[None],
    "longer": longer,
    "wider": wider,
    "empty": lambda array: np.zeros((0, *array.shape[1:]), array.dtype),
    "0-d": number,
}
VALUES = {"negative": lambda array: -array - 1, "large": lambda array: array + 100}
TYPES = ("float32", "float16", "int64", "int32", "uint8", "bool", "complex64")
INTEGERS = (-100, 100)
# PyTorch reads and writes beyond the memory for these.
UNCHECKED = {
    "linalg_ldl_solve", "lu_solve", "linalg_lu_solve", "lu_unpack", "ormqr", "orgqr",
    "linalg_householder_product",
}  # fmt: skip


def places(value, path):
    """The path to each tensor and integer in the arguments of a case, with what is there."""
    if isinstance(value, dict):
        parts = value.items()
    elif type(value) in (tuple, list) and len(value) < 6:
        parts = enumerate(value)
    else:
        yield path, value
        return
    for key, part in parts:
        yield from places(part, (*path, key))


def changes(case):
    """Every single change of a call, as the place, the kind of change and what is changed to."""
    listed = [*places(case.args, ("args",)), *places(case.kwargs, ("kwargs",))]
    for path, value in listed:
        if isinstance(value, Sample):
            yield from ((path, "shape", name) for name in SHAPES)
            yield from ((path, "type", name) for name in TYPES)
            if value.kind == "ints" and case.name not in UNCHECKED:
                yield from ((path, "value", name) for name in VALUES)
        elif type(value) is int:
            yield from ((path, "number", other) for other in INTEGERS)


def made(case, module, change):
    """The arguments of a call with one of them changed."""
    arrays = iter(case.arrays())
    place, kind, new = change
    tensors = []

    def build(value, path):
        if isinstance(value, Sample):
            array = next(arrays)
            if path == place and kind in ("shape", "value"):
                array = np.asarray({**SHAPES, **VALUES}[new](array))
            x = samples.tensor(array, module=module)
            if path == place and kind == "type":
                x = x.to(getattr(module, new))
            tensors.append(x)
            return x
        if path == place:
            return new
        if type(value) in (tuple, list):
            return type(value)([build(part, (*path, i)) for i, part in enumerate(value)])
        if isinstance(value, dict):
            return {key: build(part, (*path, key)) for key, part in value.items()}
        return on_torch(value) if module is torch else value

    return build(case.args, ("args",)), build(case.kwargs, ("kwargs",)), tensors


def outcome(function, args, kwargs):
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return error


# ---- what must hold

# What PyTorch says where a question that it asks on its way has no answer, and not what is wrong.
ACCIDENTS = re.compile(
    "Dimension specified as|Dimension out of range|INTERNAL ASSERT|setStorage|has no attribute|"
    "ArrayRef|Inconsistent configuration|select\\(\\): index|axis dim should be positive|"
    "DATA bounds|index out of range in self|unexpected error|TensorAccessor|tuple index|"
    "Einstein sum|Size of label|static_cast|slice\\(\\) cannot be applied"
)
# What PyTorch cannot do because of how it computes, and we can.
LIMITS = re.compile(
    "MKL FFT error|multiplication overflow|last dimension with stride 1|Dimension specified as|"
    # It writes into the memory of an operand, also where promotion asks for another type.
    "can't be cast to the desired output type|doesn't match the broadcast shape|"
    "could not infer output dtype|TensorAccessor|select\\(\\): index 0|repeat dims can not be|"
    "other non-zero dimensions|min\\(\\): Expected reduction dim"
)
REFUSALS = (RuntimeError, IndexError, TypeError, ValueError)
# NumPy's messages, and those of errors that nobody has thought of.
FOREIGN = re.compile(
    "operands could not|ufunc|ndarray|object has no attribute|not subscriptable|not iterable|"
    "along axis|for axis|unsupported operand|index out of range|not enough values|too many values|"
    "numpy|could not convert|cannot reshape array|shapes .* not aligned|missing 1 required"
)


def useful(error):
    """Whether a message says what happened, and in words of our own."""
    text = str(error)
    return len(text) > 15 and not FOREIGN.search(text.removesuffix("index out of range in self"))


def state(x):
    """What a refusal must leave as it is."""
    version = None if x.is_inference() else x._version
    return samples.numpy(x).tobytes(), x.dtype, x.shape, version, x.requires_grad, x.grad_fn


def caught_alike(ours, theirs):
    """Whether whoever catches PyTorch's error catches ours."""
    if ACCIDENTS.search(str(theirs)):
        return isinstance(ours, REFUSALS)
    return isinstance(ours, plain(type(theirs)))


def plain(cls):
    """The built-in class that an error of PyTorch's belongs to.

    A NotImplementedError is a RuntimeError, and PyTorch is of two minds which of them a type
    deserves that an operation does not take.
    """
    found = next(c for c in cls.__mro__ if c.__module__ == "builtins")
    return RuntimeError if found is NotImplementedError else found


# Equal elements come in any order, and vectors are unique but for their signs.
COMPARED = {
    "sort": lambda results: results[:1],
    "argsort": lambda results: [],
    "topk": lambda results: results[:1],
    "kthvalue": lambda results: results[:1],
    "linalg_svd": lambda results: [x.abs() for x in results],
    "linalg_eigh": lambda results: [x.abs() for x in results],
    "svd": lambda results: [x.abs() for x in results],
}


def differs(name, ours, theirs):
    """How two results differ; None if they do not."""
    compared = COMPARED.get(name, list)
    ours, theirs = compared(leaves(ours)), compared(leaves(theirs))
    if len(ours) != len(theirs):
        return f"{len(ours)} results for {len(theirs)}"
    for one, two in zip(ours, theirs, strict=True):
        if not isinstance(two, torch.Tensor):
            if one != two and one == one:
                return f"{one!r} for {two!r}"
            continue
        if not isinstance(one, dt.Tensor):
            return f"{one!r} for a tensor"
        if repr(one.dtype) != repr(two.dtype) or tuple(one.shape) != tuple(two.shape):
            return f"{one.dtype} {list(one.shape)} for {two.dtype} {list(two.shape)}"
        near = 2e-2 if two.dtype in (torch.float16, torch.bfloat16) else 1e-4
        if not np.allclose(samples.numpy(one), samples.numpy(two), near, near, equal_nan=True):
            return f"{one} for {two}"
    return None


def verdict(entry, case, change):
    """What is wrong with what happens after a change; None if nothing is."""
    args, kwargs, _ = made(case, torch, change)
    theirs = outcome(oracle(entry), args, kwargs)
    args, kwargs, tensors = made(case, dt, change)
    before = [state(x) for x in tensors]
    ours = outcome(entry.function, args, kwargs)
    if isinstance(ours, Exception):
        if [state(x) for x in tensors] != before:
            return f"refused with {ours!r}, but an operand has changed"
        if not isinstance(theirs, Exception):
            small = all(x.numel() < 2 for x in leaves(theirs) if isinstance(x, torch.Tensor))
            if small:
                return None  # PyTorch does not look at what is empty, nor at the type of a number
            return f"refused with {ours!r}, computed by PyTorch"
        if not caught_alike(ours, theirs):
            return f"refused with {ours!r}, by PyTorch with {theirs!r:.200}"
        if not useful(ours):
            return f"says no more than {ours!r}, PyTorch {theirs!r:.200}"
        return None
    if isinstance(theirs, Exception):
        if isinstance(theirs, NotImplementedError) or LIMITS.search(str(theirs)):
            return None  # PyTorch has no kernel for a type; here there may be one
        return f"computed, refused by PyTorch with {theirs!r:.200}"
    return differs(case.name, ours, theirs)


MORE_TYPES = "computed in more types here"
IN_PLACE = "PyTorch computes in the type of its first operand, whatever the others are"
STRICT = "PyTorch mixes types here without promoting them"
# Where we differ and mean it: the operation, what is changed, and why.
APART = {
    ("polygamma", "number"): "an overflow of 100 factorial",
    ("silu", "type"): "no complex kernel",
    ("logcumsumexp", "type"): "no complex kernel",
    ("view_as_complex", "type"): "there is no complex32",
    ("view_as_complex_copy", "type"): "there is no complex32",
    ("logaddexp", "type"): "no complex kernel",
    ("square", "type"): "PyTorch's squares of bools are bools that print as numbers",
    ("einsum", "type"): STRICT,
    ("linalg_solve_triangular", "type"): STRICT,
    ("conv_transpose1d", "type"): STRICT,
    ("conv_transpose2d", "type"): STRICT,
    ("conv_tbc", "type"): STRICT,
    ("linalg_cond", "shape"): "of a singular matrix it is any large number",
    ("linalg_lstsq", "shape"): "batches broadcast as they do in linalg.solve",
    ("linalg_matrix_exp", "type"): "PyTorch's overflows in float16",
    ("matrix_exp", "type"): "PyTorch's overflows in float16",
    ("norm", "shape"): "the nuclear norm of a batch of matrices is that of each",
    ("scaled_dot_product_attention", "shape"): "PyTorch ignores keys that have no values",
    ("take_along_dim", "value"): "PyTorch reads beyond the memory",
    ("segment_reduce", "shape"): "PyTorch reads beyond the memory",
    ("segment_reduce", "value"): "PyTorch reads beyond the memory",
    ("conv_tbc", "shape"): "PyTorch convolves with nothing",
    ("linear", "shape"): "PyTorch broadcasts a bias that is no vector",
    ("repeat_interleave", "shape"): "PyTorch forgets that a number has one dimension",
    ("index_fill_", "type"): "-1 becomes 255 in uint8, as everywhere",
    ("index_put_", "shape"): "PyTorch looks at the shape of the values first",
    ("index_copy", "shape"): "PyTorch looks at the shape of the values first",
    ("index_copy_", "shape"): "PyTorch looks at the shape of the values first",
    ("nll_loss", "type"): MORE_TYPES,
    ("poisson_nll_loss", "type"): MORE_TYPES,
    ("cross_entropy", "type"): MORE_TYPES,
    ("multi_margin_loss", "shape"): "a batch of one stays a batch",
    ("huber_loss", "type"): IN_PLACE,
    ("soft_margin_loss", "type"): IN_PLACE,
    ("hinge_embedding_loss", "type"): IN_PLACE,
    ("binary_cross_entropy_with_logits", "type"): IN_PLACE,
    ("gaussian_nll_loss", "shape"): "PyTorch finds out while it broadcasts",
    ("trapezoid", "shape"): "of nothing the area is a float 0",
    ("multilabel_soft_margin_loss", "type"): "no complex kernel",
    ("istft", "type"): "windows in half precision",
    ("addmv", "shape"): "PyTorch adds a matrix without rows to a number",
}


def apart(case, change):
    return (case.name, change[1]) in APART


def all_wrong(case):
    found = []
    for change in changes(case):
        if not apart(case, change):
            wrong = verdict(case.entry, case, change)
            if wrong:
                found.append(f"{change}: {wrong}"[:400])
    return found


@law(KNOWN)
def test_one_change(case):
    wrong = all_wrong(case)
    assert not wrong, "\n".join(wrong)


# ---- types that PyTorch refuses by a rule, or says that it has no kernel for

MATRICES = {
    "float16 int64": "cholesky det eigh eigvals inv qr svd",
    "bfloat16 bool": "cholesky_ex matrix_rank pinv slogdet svdvals",
}
TYPED = {
    **{
        f"linalg.{name}": (kinds, lambda m, x, name=name: getattr(m.linalg, name)(x))
        for kinds, names in MATRICES.items() for name in names.split()
    },
    "linalg.solve": ("float16 int64", lambda m, x: m.linalg.solve(x, x)),
    "linalg.vecdot": ("bool int64", lambda m, x: m.linalg.vecdot(x, x)),
    "histc": ("bool int64", lambda m, x: m.histc(x)),
    "round": ("int64 uint8", lambda m, x: m.round(x, decimals=2)),
    "div": ("bool", lambda m, x: m.div(x, x, rounding_mode="floor")),
    "searchsorted": ("bool complex64", lambda m, x: m.searchsorted(x, x)),
    "kthvalue": ("bool complex64", lambda m, x: m.kthvalue(x, 1)),
    "max": ("complex64", lambda m, x: m.max(x, 0)),
    "scatter_reduce": (
        "complex64",
        lambda m, x: x.scatter_reduce(0, m.zeros_like(x, dtype=m.int64), x, "amax"),
    ),
    "index_reduce": (
        "complex64", lambda m, x: x.index_reduce(0, m.tensor([0, 1]), x, "amin")
    ),
    "normal": ("complex64", lambda m, x: m.normal(x, x)),
    "normal into": ("float32", lambda m, x: m.normal(x, x, out=x.to(m.int64))),
    "bernoulli into": ("float32", lambda m, x: m.bernoulli(x, out=x.to(m.complex64))),
    "masked.var": ("bool", lambda m, x: m.masked.var(x, 0)),
    "hardtanh": ("bool", lambda m, x: m.nn.functional.hardtanh(x)),
    "relu6": ("bool", lambda m, x: m.nn.functional.relu6(x)),
    "pdist": ("complex64 int64", lambda m, x: m.nn.functional.pdist(x)),
    "mse_loss": ("int64 bool", lambda m, x: m.nn.functional.mse_loss(x, x)),
    "cross_entropy": ("int64", lambda m, x: m.nn.functional.cross_entropy(x, x)),
    "binary_cross_entropy_with_logits": (
        "int64", lambda m, x: m.nn.functional.binary_cross_entropy_with_logits(x, x)
    ),
    "embedding_bag": (
        "int64", lambda m, x: m.nn.functional.embedding_bag(m.tensor([[0]]), x)
    ),
    "scaled_dot_product_attention": (
        "complex64", lambda m, x: m.nn.functional.scaled_dot_product_attention(x, x, x)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TYPED)
def test_the_errors_for_types_are_pytorchs(name):
    kinds, call = TYPED[name]
    for kind in kinds.split():
        ours, theirs = (
            outcome(call, (m, m.ones(2, 2).to(getattr(m, kind))), {}) for m in (dt, torch)
        )
        assert type(ours) is type(theirs) and useful(ours), (kind, ours, theirs)


# ---- other things than tensors

OTHER = (None, "a word", object(), [0.5])
FREE = {
    "result_type", "can_cast", "is_tensor", "einsum", "where", "tensordot", "searchsorted", "stack",
    "new_tensor", "cartesian_prod", "block_diag", "atleast_1d", "atleast_2d", "atleast_3d",
}  # fmt: skip


@law([case for case in KNOWN if case.name not in FREE and case.samples()])
def test_what_is_no_tensor(case):
    wrong = []
    for path, value in [*places(case.args, ("args",)), *places(case.kwargs, ("kwargs",))]:
        if not isinstance(value, Sample):
            continue
        for other in OTHER:
            args, kwargs, _ = made(case, torch, (path, "other", other))
            theirs = outcome(oracle(case.entry), args, kwargs)
            args, kwargs, tensors = made(case, dt, (path, "other", other))
            before = list(map(state, tensors))
            ours = outcome(case.entry.function, args, kwargs)
            if not isinstance(theirs, Exception):
                continue
            if not isinstance(ours, Exception):
                wrong.append(f"{path} as {other!r}: computed, refused by PyTorch with {theirs!r}")
            elif not isinstance(ours, TypeError if isinstance(theirs, TypeError) else REFUSALS):
                wrong.append(f"{path} as {other!r}: refused with {ours!r}, not {theirs!r:.200}")
            elif not useful(ours):
                wrong.append(f"{path} as {other!r}: says {ours!r}, PyTorch {theirs!r:.200}")
            elif list(map(state, tensors)) != before:
                wrong.append(f"{path} as {other!r}: an operand has changed")
    assert not wrong, "\n".join(wrong)


# ---- writing in place


def methods(case):
    """The in-place form of a case on `Tensor`, here and on PyTorch; None if there is none."""
    entry = case.entry
    op = entry.op
    if op is None or not op.inplace or op.outputs is not None or not entry.public:
        return None
    name = f"{entry.name}_"
    found = [getattr(module.Tensor, name, None) for module in (dt, torch)]
    first = case.args[0] if case.args else None
    return found if all(found) and isinstance(first, Sample) else None


IN_PLACE = [case for case in KNOWN if case.op is not None and methods(case)]


def as_leaf(module, x):
    if not (x.is_floating_point() or x.is_complex()):
        return x.clone()
    return x.clone().requires_grad_()


def frozen(module, x):
    with module.inference_mode():
        return x.clone()


def expanded(module, x):
    return x[None].clone().expand(3, *x.shape)


def smaller(module, x):
    return x.reshape(-1)[0].clone() if x.numel() else x[None]


def view_of_leaf(module, x):
    return as_leaf(module, x)[...]


def seen_without_recording(module, x):
    with module.no_grad():
        return as_leaf(module, x)[...]


def one_of_several(module, x):
    """A view that its siblings were made together with."""
    base = as_leaf(module, module.stack([x, x])) * 1
    return base.unbind(0)[0] if base.requires_grad else x.clone()


TARGETS = {
    "a leaf": as_leaf,
    "an inference tensor": frozen,
    "expanded memory": expanded,
    "a smaller shape": smaller,
    "a view of a leaf": view_of_leaf,
    "a view made under no_grad": seen_without_recording,
    "one of several views": one_of_several,
    "integers": lambda module, x: x.to(module.int64),
    "bools": lambda module, x: x.to(module.bool),
    "half precision": lambda module, x: x.to(module.float16),
}


def written(case, module, function, make):
    """What an in-place call on a target of some kind gives, and whether it changed a tensor."""
    args, kwargs, tensors = made(case, module, (None, None, None))
    target = make(module, tensors[0])
    watched = [target, *tensors[1:]] if module is dt else []
    before = list(map(state, watched))
    result = outcome(function, (target, *args[1:]), kwargs)
    return result, before != list(map(state, watched))


# PyTorch writes these into expanded memory, keeps a type that it promotes otherwise, or writes over
# a leaf what has no gradient.
WRITTEN = {
    "a leaf": {"logical_not"},
    "a view of a leaf": {"logical_not"},
    "a view made under no_grad": {"logical_not"},
    "one of several views": {"logical_not"},
    "expanded memory": {"conj_physical", "nan_to_num", "tril", "triu", "masked_fill"},
    "bools": {"cumsum", "cumprod"},
    "a smaller shape": {"cumsum", "addbmm"},
    "half precision": {"cumsum"},
}


@law(IN_PLACE)
def test_writing_in_place(case):
    ours_of, theirs_of = methods(case)
    wrong = []
    for form, make in TARGETS.items():
        if case.name in WRITTEN.get(form, ()):
            continue
        theirs, _ = written(case, torch, theirs_of, make)
        ours, changed = written(case, dt, ours_of, make)
        if isinstance(ours, Exception):
            if changed:
                wrong.append(f"{form}: refused with {ours!r}, but something was written")
            elif not isinstance(theirs, Exception):
                wrong.append(f"{form}: refused with {ours!r}, written by PyTorch")
            elif not caught_alike(ours, theirs):
                wrong.append(f"{form}: refused with {ours!r}, by PyTorch with {theirs!r}")
            elif not useful(ours):
                wrong.append(f"{form}: says no more than {ours!r}")
        elif isinstance(theirs, NotImplementedError):
            continue
        elif isinstance(theirs, Exception):
            wrong.append(f"{form}: written, refused by PyTorch with {theirs!r}")
        else:
            found = differs(case.name, ours, theirs)
            if found:
                wrong.append(f"{form}: {found}")
    assert not wrong, "\n".join(wrong)


def flags(case):
    """The parameters of a composite that are True or False."""
    parameters = inspect.signature(case.entry.function).parameters.values()
    return [p.name for p in parameters if isinstance(p.default, bool)]


@law([case for case in KNOWN if case.op is None and case.number == 0 and flags(case)])
def test_what_is_neither_true_nor_false(case):
    listed = list(inspect.signature(case.entry.function).parameters)
    for name in flags(case):
        for value in ("a", 1.5, None, 2):
            found = []
            for module in (dt, torch):
                args, kwargs, _ = made(case, module, (None, None, None))
                args = list(args)
                if name in listed[: len(args)]:
                    args[listed.index(name)] = value
                else:
                    kwargs = {**kwargs, name: value}
                function = oracle(case.entry) if module is torch else case.entry.function
                found.append(outcome(function, args, kwargs))
            ours, theirs = found
            if isinstance(theirs, TypeError):
                assert isinstance(ours, TypeError), (name, value, ours)
                assert useful(ours)


NO_TENSORS = {
    "gather": lambda m: m.gather(m.ones(2), 0, 2),
    "masked_select": lambda m: m.masked_select(m.ones(2), 1.5),
    "searchsorted": lambda m: m.searchsorted([1.0], m.ones(2)),
    "index_add": lambda m: m.ones(2).index_add(0, m.tensor([0]), "a"),
    "layer_norm": lambda m: m.nn.functional.layer_norm(m.ones(2), (2,), "a"),
    "hstack": lambda m: m.hstack([1.5]),
    "hstack of a word": lambda m: m.hstack("a"),
    "block_diag": lambda m: m.block_diag(1.5),
    "equal": lambda m: m.equal(m.ones(2), 2),
    "dtype": lambda m: m.zeros_like(m.ones(2), dtype=()),
    "dtype of a word": lambda m: m.eye(2, dtype="float32"),
}


@pytest.mark.parametrize("name", NO_TENSORS)
def test_what_should_have_been_a_tensor(name):
    ours, theirs = (outcome(NO_TENSORS[name], (module,), {}) for module in (dt, torch))
    assert isinstance(theirs, TypeError), theirs
    assert isinstance(ours, TypeError), ours
    assert useful(ours)


# ---- out=


def result_of(case, module):
    """The result of a case if it is one tensor, else None."""
    args, kwargs, _ = made(case, module, (None, None, None))
    function = oracle(case.entry) if module is torch else case.entry.function
    result = outcome(function, args, kwargs)
    return result if isinstance(result, module.Tensor) else None


def takes_out(case):
    """Whether PyTorch writes the result of a case, one tensor, into `out`."""
    result = result_of(case, torch)
    if result is None or case.entry.oracle != "same":
        return False
    args, kwargs, _ = made(case, torch, (None, None, None))
    kwargs["out"] = torch.empty_like(result)
    return isinstance(outcome(oracle(case.entry), args, kwargs), torch.Tensor)


FITTING = {
    "its own": lambda module, x: module.zeros_like(x),
    "empty": lambda module, x: module.zeros(0, dtype=x.dtype),
    "strided": lambda module, x: module.zeros((*x.shape, 2), dtype=x.dtype)[..., 0],
}
UNFIT = {
    "integers": lambda x: dt.zeros(x.shape, dtype=dt.int64),
    "bools": lambda x: dt.zeros(x.shape, dtype=dt.bool),
    "complex": lambda x: dt.zeros(x.shape, dtype=dt.complex128),
    "float32": lambda x: dt.zeros(x.shape, dtype=dt.float32),
    "a leaf": lambda x: as_leaf(dt, x),
    "a frozen tensor": lambda x: frozen(dt, x),
    "expanded memory": lambda x: dt.zeros((), dtype=x.dtype).expand(x.shape),
    "another device": lambda x: dt.zeros(x.shape, dtype=x.dtype, device="strict"),
    "no tensor": lambda x: "a word",
}
# PyTorch overruns its memory for what does not suit its pooling.
WRITERS = [case for case in KNOWN if case.entry.home != "nn" and not case.name.endswith("_")]


def into(case, module, make):
    """The result of a case written into what is made for it."""
    args, kwargs, _ = made(case, module, (None, None, None))
    out = make(module, result_of(case, module))
    function = oracle(case.entry) if module is torch else case.entry.function
    return outcome(function, args, {**kwargs, "out": out}), out


@law([case for case in WRITERS if takes_out(case)])
def test_out_takes_the_result(case):
    for form, make in FITTING.items():
        if form == "strided" and case.name == "narrow_copy":
            continue  # PyTorch's writes as if the memory were in order
        theirs, _ = into(case, torch, make)
        ours, out = into(case, dt, make)
        if not isinstance(theirs, Exception):
            assert ours is out, (form, ours)
            assert not differs(case.name, ours, theirs), form


@law([case for case in WRITERS if takes_out(case)])
def test_out_that_does_not_suit_is_refused_or_cast_to(case):
    result = result_of(case, dt)
    for form, make in UNFIT.items():
        if form in ("another device", "no tensor") and not case.samples():
            continue  # what is made of nothing is made there
        args, kwargs, tensors = made(case, dt, (None, None, None))
        out = make(result)
        watched = [*tensors, out] if isinstance(out, dt.Tensor) else tensors
        before = list(map(state, watched))
        ours = outcome(case.entry.function, args, {**kwargs, "out": out})
        if isinstance(ours, Exception):
            joined = case.name.endswith(("cat", "stack")) and "cast" in str(ours)
            kinds = TypeError if form == "no tensor" or joined else RuntimeError
            if case.name == "arange" and form == "integers":
                kinds = (RuntimeError, ValueError)  # PyTorch's, for a step that is cut to 0
            assert isinstance(ours, kinds), (form, ours)
            assert useful(ours), (form, ours)
            assert list(map(state, watched)) == before, form
        else:
            assert ours is out, form
            leaf = out.requires_grad
            few = result.numel() < 2  # no memory that two elements share
            cast = form in ("integers", "bools", "complex", "float32")
            fine = cast or (form == "a leaf" and not leaf) or (form == "expanded memory" and few)
            assert fine, form
            wanted = result.to(out.dtype)
            if case.op is not None and "dtype" in case.op.params:  # PyTorch computes in it
                wanted = case.entry.function(*args, **{"dtype": out.dtype, **kwargs})
            assert np.allclose(
                samples.numpy(out), samples.numpy(wanted), 1e-4, 1e-4, equal_nan=True
            ), form


def numbers(module):
    return module.arange(6.0, dtype=module.float64)


def read_and_written(function):
    """A call whose result goes where it reads."""
    return lambda module: function(module, numbers(module))


OUTS = {
    "cat over its parts": read_and_written(lambda m, x: m.cat([x[:2], x[2:4]], out=x[:4])),
    "stack": read_and_written(lambda m, x: m.stack([x[:2], x[2:4]], out=x[:4].view(2, 2))),
    "add beside": read_and_written(lambda m, x: m.add(x[:3], 1, out=x[1:4])),
    "add over": read_and_written(lambda m, x: m.add(x, 1, out=x)),
    "add apart": read_and_written(lambda m, x: m.add(x[::2], 1, out=x[1::2])),
    "cumsum over": read_and_written(lambda m, x: m.cumsum(x, 0, out=x)),
    "index_select": read_and_written(lambda m, x: m.index_select(x, 0, m.tensor([1, 0]), out=x)),
    "cat cast": lambda m: m.cat([m.ones(2), m.ones(2)], out=m.ones(4, dtype=m.int64)),
    "hstack cast": lambda m: m.hstack([m.ones(2), m.ones(2)], out=m.ones(4, dtype=m.int64)),
    "cat wider": lambda m: m.cat([m.ones(2)], out=m.ones(2, dtype=m.float64)),
    "abs_": lambda m: m.tensor([1 + 2j]).abs_(),
    "absolute_": lambda m: m.tensor([-1.0]).absolute_(),
    "float_power_": lambda m: m.tensor([2.0]).float_power_(2),
    "float_power_ of doubles": lambda m: m.tensor([2.0], dtype=m.float64).float_power_(2),
    "linspace of vectors": lambda m: m.linspace(m.ones(2), 3, 4),
    **{
        f"{name} into {kind}": lambda m, name=name, kind=kind: getattr(m, name)(
            m.tensor([[1.5, 2.0]], dtype=m.float64), 1, out=m.zeros(0, dtype=getattr(m, kind))
        )
        for name in ("cumsum", "cumprod", "sum", "prod", "amax", "tril")
        for kind in ("int64", "float32", "float64", "complex128")
    },
    **{
        f"{name} asked for {asked}": lambda m, name=name, asked=asked, args=args: getattr(m, name)(
            *args, dtype=asked and getattr(m, asked), out=m.zeros(2, dtype=m.float64)
        )
        for name, args in {
            "zeros": (2,), "ones": (2,), "arange": (2,), "linspace": (0, 1, 2), "eye": (2,),
            "logspace": (0, 1, 2), "full": ((2,), 3), "range": (1, 2),
        }.items()
        for asked in (None, "float32", "float64")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", OUTS)
def test_results_that_are_written_somewhere(name):
    theirs = outcome(OUTS[name], (torch,), {})
    ours = outcome(OUTS[name], (dt,), {})
    if isinstance(theirs, Exception):
        assert isinstance(ours, type(theirs)), (ours, theirs)
        assert useful(ours)
    else:
        assert not differs("call", ours, theirs), (ours, theirs)


# ---- devices


def several(case):
    """Whether at least two tensors that are no numbers are among the arguments."""
    return sum(bool(x.ndim) for x in case.arrays()) > 1 and not any(case.held)


# These look at shapes alone, compare them first, or bring what they need.
ALONE = {
    "view_as", "reshape_as", "expand_as", "broadcast_tensors", "equal", "einsum", "index_put",
    "index_put_", "quantile", "nanquantile", "copy_",
}  # fmt: skip
SPREAD = [case for case in KNOWN if several(case) and case.name not in ALONE]


@law(SPREAD)
def test_tensors_on_two_devices(case):
    places = [i for i, x in enumerate(case.arrays()) if x.ndim]
    for away in places[:2]:
        xs = [
            x.to("strict") if i == away or (not x.ndim and away == 0) else x
            for i, x in enumerate(case.tensors())
        ]
        before = list(map(state, xs))
        with pytest.raises(RuntimeError) as caught:
            case.call(xs)
        assert re.search("same device|on the same|device", str(caught.value)), caught.value
        assert list(map(state, xs)) == before


@pytest.mark.parametrize("name", ["add_", "mul_", "copy_", "lerp_", "__setitem__", "__iadd__"])
def test_writing_what_is_on_another_device(name):
    extra = {"lerp_": (0.5,)}.get(name, ())
    for here, there in (("cpu", "strict:0"), ("strict:0", "strict:1")):
        x, y = dt.ones(2, device=here), dt.zeros(2, device=there)
        args = (slice(None), y) if name == "__setitem__" else (y, *extra)
        if name in ("copy_", "__setitem__"):  # these carry it over
            getattr(x, name)(*args)
            assert x.tolist() == [0, 0]
            continue
        with pytest.raises(RuntimeError, match="on the same device"):
            getattr(x, name)(*args)
        assert x.tolist() == [1, 1]


# ---- keys

NUMBERS = st.integers(-5, 5)
BOUNDS = st.none() | NUMBERS
PARTS = st.one_of(
    NUMBERS,
    st.none(),
    st.just(...),
    st.builds(slice, BOUNDS, BOUNDS, st.none() | st.integers(1, 3)),
    st.booleans(),
    st.sampled_from(["name", 1.5, 2j, slice(None, None, 0), slice(None, None, -1), slice(1.5)]),
    st.tuples(
        st.sampled_from(["int64", "int32", "uint8", "bool", "float32"]),
        st.sampled_from([(), (1,), (2,), (3,), (4,), (2, 3), (3, 4), (0,)]),
        st.integers(0, 99),
    ),
    st.lists(NUMBERS, max_size=3),
)
KEYS = st.lists(PARTS, max_size=4).map(tuple) | PARTS
KEYS = KEYS.filter(lambda key: type(key) is not tuple or [p is ... for p in key].count(True) < 2)
VALUES_TO_STORE = st.one_of(
    st.sampled_from([7, 1.5, True, 2j, None, "word", [1, 2]]),
    st.tuples(
        st.sampled_from(["int64", "float64", "bool", "complex128"]),
        st.sampled_from([(), (1,), (3,), (4,), (2, 1), (3, 4), (1, 1, 1), (5,), (0,)]),
        st.integers(0, 99),
    ),
)


def tensor_of(module, described):
    """A small tensor by type, shape and seed; what is no description stays as it is."""
    if not (type(described) is tuple and len(described) == 3 and described[0] in dir(torch)):
        return described
    kind, shape, seed = described
    array = np.random.default_rng(seed).integers(-4, 5, shape)
    return (
        module.tensor(array.tolist(), dtype=module.int64).reshape(shape).to(getattr(module, kind))
    )


def key_of(module, key):
    if type(key) is tuple and not (len(key) == 3 and isinstance(key[0], str) and key[0] != "name"):
        return tuple([tensor_of(module, part) for part in key])
    return tensor_of(module, key)


def agree(ours, theirs, x, before, alone):
    """Hold what reading or writing by a key does against PyTorch.

    Where no more than one thing is wrong, so `alone`, the errors must be of one type.
    """
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception), f"done, refused by PyTorch with {theirs!r}"
        assert caught_alike(ours, theirs) if alone else isinstance(ours, REFUSALS), (ours, theirs)
        assert useful(ours), ours
        assert state(x) == before
    elif isinstance(ours, Exception):  # PyTorch does not look at what is empty
        empty = theirs if isinstance(theirs, torch.Tensor) else x
        assert not empty.numel(), f"refused with {ours!r}, done by PyTorch"


@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(st.sampled_from([(3, 4), (4,), (), (2, 3, 4), (0, 3)]), KEYS)
def test_reading_by_any_key(shape, key):
    array = np.arange(np.prod(shape), dtype=float).reshape(shape)
    x, y = dt.tensor(array), torch.from_numpy(array.copy())
    before = state(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = outcome(lambda: y[key_of(torch, key)], (), {})
        ours = outcome(lambda: x[key_of(dt, key)], (), {})
    agree(ours, theirs, x, before, type(key) is not tuple)
    if not isinstance(theirs, Exception) and not isinstance(ours, Exception):
        assert not differs("", ours, theirs)


@settings(max_examples=600, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from([(3, 4), (4,), (), (2, 3, 4), (0, 3)]),
    st.sampled_from(["float64", "int64", "bool"]),
    KEYS,
    VALUES_TO_STORE,
)
def test_writing_by_any_key(shape, kind, key, value):
    array = np.arange(np.prod(shape)).reshape(shape)
    x = dt.tensor(array).to(getattr(dt, kind))
    y = torch.from_numpy(array.copy()).to(getattr(torch, kind))
    before = state(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = outcome(y.__setitem__, (key_of(torch, key), tensor_of(torch, value)), {})
        ours = outcome(x.__setitem__, (key_of(dt, key), tensor_of(dt, value)), {})
    agree(ours, theirs, x, before, type(value) in (int, float))
    if not isinstance(theirs, Exception) and not isinstance(ours, Exception):
        assert not differs("", x, y)


# ---- several things wrong at once: which one is said

CALLS = {
    "a flag's neighbour": lambda m: m.topk(m.tensor([1, 2]), m.tensor([1.0, 2.0])),
    "a count before numbers": lambda m: m.histc(m.ones(2), m.ones(2, 2)),
    "a number before types": lambda m: m.isclose(m.ones(2), m.ones(2).int(), m.ones(2, 3)),
    "a list before its type": lambda m: m.trapezoid([m.ones(2)]),
    "a shape of floats": lambda m: m.ones(m.tensor(2.0)),
    "a shape that is a tensor": lambda m: m.zeros(m.ones(2), -7),
    "one tensor to join": lambda m: m.vstack(m.ones(2, 2)),
    "a tensor of dimensions": lambda m: m.ones(2, 3).sum(m.tensor([0, 1])),
    "a tensor of one dimension too many": lambda m: m.ones(2, 3).amax(m.zeros(0, 3)),
    "numbers to join": lambda m: m.stack((0, 0)),
    "a number's operator": lambda m: m.Tensor.__radd__(2, m.ones(2)),
    "a number's sign": lambda m: m.Tensor.__neg__(2),
    "bits of floats": lambda m: ~m.ones(2),
    "bits of floats, by name": lambda m: m.bitwise_not(m.ones(2)),
    "a singular matrix": lambda m: m.lu(m.ones(2, 2))[0].shape,
    "bins that are not given": lambda m: m.histogram(m.ones(3)).hist.shape,
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_wrong_first_is_said(name):
    outcomes = []
    for module in (torch, dt):
        try:
            outcomes.append(tuple(CALLS[name](module)))
        except Exception as error:
            outcomes.append(type(error))
    assert outcomes[0] == outcomes[1]
