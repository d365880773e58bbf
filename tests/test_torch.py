"""The examples of every operation beside PyTorch: values, types, gradients, what is refused."""

import re
from itertools import product

import numpy as np
import pytest
import torch

import devtensor as dt
import samples
from devtensor.op import catalogue
from samples import Case, call_torch, cases, cotangents, law, leaves, oracle, tensors

# PyTorch has these under another name only, or calls them otherwise.
UNSET = (
    "empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided",
    "unset", "unset_strided",
)  # fmt: skip


def known(entry):
    return oracle(entry) is not None and not entry.name.endswith("_") and entry.name not in UNSET


KNOWN = cases(known)

# PyTorch warns of what it will change; here the same may be no news.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def compare(ours, theirs, rtol=1e-6, atol=1e-7, what=""):
    """Hold a result against PyTorch's."""
    if not isinstance(theirs, torch.Tensor):
        assert ours == (tuple(theirs) if isinstance(theirs, torch.Size) else theirs), what
        return
    assert isinstance(ours, dt.Tensor), what
    assert repr(ours.dtype) == repr(theirs.dtype), what
    assert tuple(ours.shape) == tuple(theirs.shape), what
    if theirs.dtype in (torch.float32, torch.complex64):
        rtol, atol = max(rtol, 1e-5), max(atol, 1e-6)
    np.testing.assert_allclose(
        samples.numpy(ours), samples.numpy(theirs), rtol=rtol, atol=atol, err_msg=what
    )


def both(case, arrays, module):
    """Results, gradients and second gradients."""
    xs = [
        samples.tensor(array, None, not held, module)
        for array, held in zip(arrays, case.held, strict=True)
    ]
    outs = leaves(call_torch(case, xs) if module is torch else case.call(xs))
    wanted = [x for x in xs if x.requires_grad]
    carrying = [x for x in outs if isinstance(x, module.Tensor) and x.requires_grad]
    if not carrying:
        return outs, [], []
    leads = cotangents(carrying, module)
    for lead in leads:
        lead.requires_grad_()
    grads = module.autograd.grad(carrying, wanted, leads, create_graph=True, allow_unused=True)
    loose = [(g, x) for g, x in zip(grads, wanted, strict=True) if g is not None]
    loose = [(g, x) for g, x in loose if g.requires_grad]
    if not loose:
        return outs, grads, [None] * (len(wanted) + len(leads))
    second = module.autograd.grad(
        [g for g, _ in loose],
        [*wanted, *leads],
        cotangents([x for _, x in loose], module),
        allow_unused=True,
    )
    return outs, grads, second


def compare_gradients(case, ours, theirs, what):
    kinds = [s.kind for s, h in zip(case.samples(), case.held, strict=True) if not h]
    assert len(ours) == len(theirs) or not theirs or not ours
    for number, (one, two) in enumerate(zip(ours, theirs, strict=False)):
        if one is None or two is None:
            rest = one if two is None else two
            assert rest is None or not rest.any(), f"{what} {number}"
            continue
        if number < len(kinds) and kinds[number] == "spd":
            one, two = one + one.mT, two + two.mT
        compare(one, two, 1e-5, 1e-7, f"{what} {number}")


# PyTorch's own limits: there the forward alone is compared, and the laws of the catalogue hold the
# gradients.
NO_GRADIENT = re.compile(
    "not implemented|not differentiable|invalid gradient|modified by an inplace|out of DATA bounds"
)
# Where both are right and differ, or PyTorch is not.
APART = {
    "linalg_svd": "singular vectors are unique but for their signs",
    "svd": "singular vectors are unique but for their signs",
    "sinc-1": "PyTorch's second slope at 0 is NaN",
    "linalg_lstsq": "residuals of one driver",
    "linalg_matrix_power-1": "the power 0 does not depend on the matrix",
    "poisson_nll_loss": "PyTorch's gradient for the target is NaN where it leaves out a term",
}


def apart(case):
    return case.name in APART or case.id in APART


@law([case for case in KNOWN if not apart(case)])
def test_values_and_gradients(case):
    arrays = case.arrays()
    try:
        theirs, their_grads, their_second = both(case, arrays, torch)
    except (RuntimeError, NotImplementedError) as error:
        if not NO_GRADIENT.search(str(error)):
            raise
        theirs = leaves(call_torch(case, tensors(arrays, module=torch)))
        ours = leaves(case.call(tensors(arrays)))
        their_grads = their_second = our_grads = our_second = []
    else:
        ours, our_grads, our_second = both(case, arrays, dt)
    assert len(ours) == len(theirs)
    for number, (one, two) in enumerate(zip(ours, theirs, strict=True)):
        compare(one, two, what=f"result {number}")
        if isinstance(two, torch.Tensor) and two.numel():
            assert one.requires_grad == two.requires_grad
    compare_gradients(case, our_grads, their_grads, "gradient")
    if not any(sample.kind == "spd" for sample in case.samples()):
        # A gradient for symmetric matrices may have any antisymmetric part.
        compare_gradients(case, our_second, their_second, "second gradient")


# ---- other types

TYPES = ("float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool", "complex128")


def retyped(arrays, name, module):
    """Tensors of a type, from floating data."""
    made = []
    for array in arrays:
        if array.dtype.kind != "f":
            made.append(samples.tensor(array, module=module))
            continue
        if name == "complex128":
            array = array + 0.5j * np.flip(array)
        elif name == "bool":
            array = array > 0.6
        elif name == "uint8":
            array = np.abs(array * 3)
        elif "int" in name:
            array = array * 3
        x = torch.from_numpy(np.asarray(array).copy()).to(getattr(torch, name))
        if module is dt:
            back = samples.numpy(x)
            x = dt.tensor(back).to(getattr(dt, name))
        made.append(x)
    return made


def had_here(names):
    """Those of the types that tensors can have on the default device."""
    known = dt.get_default_device().backend.native
    return [name for name in names if getattr(dt, name) in known]


REFUSALS = (RuntimeError, NotImplementedError, TypeError, IndexError, ValueError, OverflowError)
# Types that PyTorch takes and we do not.
MISSING = {
    "complex": ["float16"],
    "cummax": ["complex128"],  # of no more than a number
    "cummin": ["complex128"],
    "einsum": ["int32", "uint8", "bool"],  # PyTorch's type is now one, now the other
    "linalg_matrix_exp": ["float16", "bfloat16"],  # PyTorch's overflows
    "matrix_exp": ["float16", "bfloat16"],
    "mode": ["complex128"],
    "silu": ["complex128"],
    "soft_margin_loss": ["complex128"],
    "view_as_complex": ["float16"],
    "view_as_complex_copy": ["float16"],
    # Equal elements come in another order.
    "argsort": ["bool", "int64", "int32", "uint8"],
    "histc": ["bfloat16"],
    "sort": ["bool", "int64", "int32", "uint8"],
    "topk": ["bool", "int64", "int32", "uint8"],
}
GAUGE = ("linalg_svd", "linalg_eigh", "linalg_qr", "qr", "svd")

REAL = [case for case in KNOWN if any(x.dtype.kind == "f" for x in case.arrays())]
LIMITS = {
    "float32": (1e-5, 1e-6),
    "float16": (4e-3, 4e-3),
    "bfloat16": (3e-2, 3e-2),
}


@law(REAL)
def test_other_types(case):
    arrays = case.arrays()
    if case.name in GAUGE or not all(x.size for x in arrays):
        return  # PyTorch refuses no type where there are no elements
    wrong = []
    for name in had_here(TYPES):
        if name in MISSING.get(case.name, ()):
            continue
        if name == "complex128" and any(sample.kind == "spd" for sample in case.samples()):
            continue  # the triangles would not belong together
        try:
            theirs = leaves(call_torch(case, retyped(arrays, name, torch)))
        except REFUSALS:
            continue  # what PyTorch refuses may be had here
        try:
            ours = leaves(case.call(retyped(arrays, name, dt)))
            rtol, atol = LIMITS.get(name, (1e-6, 1e-8))
            for number, (one, two) in enumerate(zip(ours, theirs, strict=True)):
                compare(one, two, rtol, atol, f"result {number} of {name}")
        except (*REFUSALS, AssertionError) as error:
            wrong.append(f"{name}: {error}"[:300])
    assert not wrong, "\n".join(wrong)


# ---- types that meet

NAMES = [t.name for t in dt.dtype.ALL] if hasattr(dt.dtype, "ALL") else [
    "bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
    "float64", "complex64", "complex128",
]  # fmt: skip
BINARY = [
    e
    for e in catalogue.values()
    if e.op is not None and e.op.elementwise and len(e.op.inputs) == 2 and oracle(e) is not None
    and e.op.star is None
]  # fmt: skip


def outcome(function, *args):
    try:
        return function(*args)
    except (RuntimeError, NotImplementedError, TypeError) as error:
        return error


def operands(module, name, form):
    x = module.tensor([1, 2], dtype=getattr(module, name))
    return {"array": x, "number": x[0]}.get(form)


SCALARS = {"bool": True, "int": 2, "float": 1.5, "complex": 1 + 2j}


@pytest.mark.parametrize("name", [e.name for e in BINARY if e.name != "logaddexp"])
def test_types_that_meet(name):
    entry = catalogue[name]
    theirs_of, ours_of = oracle(entry), entry.function
    wrong, names = [], had_here(NAMES)
    for one, two in product(names, names):
        for forms in (("array", "array"), ("array", "number"), ("number", "array")):
            made = [
                [operands(m, t, f) for t, f in zip((one, two), forms, strict=True)]
                for m in (torch, dt)
            ]
            check(wrong, theirs_of, ours_of, made, (one, two, forms))
    for one, (kind, value) in product(names, SCALARS.items()):
        for form in ("array", "number"):
            made = [[operands(m, one, form), value] for m in (torch, dt)]
            check(wrong, theirs_of, ours_of, made, (one, form, kind))
            check(wrong, theirs_of, ours_of, [x[::-1] for x in made], (kind, one, form))
    assert not wrong, (len(wrong), wrong[:8])


def check(wrong, theirs_of, ours_of, made, what):
    theirs = outcome(theirs_of, *made[0])
    if isinstance(theirs, Exception):
        return  # what PyTorch refuses may be had here
    ours = outcome(ours_of, *made[1])
    if isinstance(ours, Exception):
        wrong.append((what, f"{theirs!r:.90}", f"{ours!r:.90}"))
        return
    if theirs.dtype is torch.complex32:
        return
    if repr(theirs.dtype) != repr(ours.dtype):
        wrong.append((what, theirs.dtype, ours.dtype))
    elif not np.allclose(samples.numpy(theirs), samples.numpy(ours), 1e-2, 1e-2, equal_nan=True):
        wrong.append((what, theirs.tolist(), ours.tolist()))


# ---- shapes

ELEMENTWISE = [case for case in KNOWN if case.op is not None and case.op.elementwise]


def shaped(array, form):
    return {
        "0-d": lambda: array.reshape(-1)[:1].reshape(()),
        "empty": lambda: np.zeros((0, 3), array.dtype),
        "broadcast": lambda: array.reshape(-1)[:1].reshape(1, 1),
    }[form]()


@law([case for case in ELEMENTWISE if all(x.size for x in case.arrays()) and not apart(case)])
def test_shapes(case):
    arrays = case.arrays()
    for form in ("0-d", "empty", "broadcast"):
        for place in range(len(arrays)):
            if form == "broadcast" and place == 0 and len(arrays) > 1 and not case.op.elementwise:
                continue
            moved = [
                shaped(x, form) if i == place or form == "empty" else x
                for i, x in enumerate(arrays)
            ]
            try:
                theirs, their_grads, their_second = both(case, moved, torch)
            except (RuntimeError, NotImplementedError):
                continue
            ours, our_grads, our_second = both(case, moved, dt)
            for one, two in zip(ours, theirs, strict=True):
                compare(one, two, what=f"{form} {place}")
            compare_gradients(case, our_grads, their_grads, f"gradient of {form} {place}")
            compare_gradients(case, our_second, their_second, f"second of {form} {place}")


_ = (Case, tensors)


# ---- the order of memory


def turned(array, module, device=None):
    """A tensor whose memory has the dimensions the other way round."""
    made = np.ascontiguousarray(np.transpose(array)) if array.ndim > 1 else array
    x = torch.from_numpy(np.array(made)) if module is torch else dt.tensor(made, device=device)
    return x.permute(tuple(reversed(range(array.ndim))))


def lie_in_order(outs, module):
    return [x.is_contiguous() for x in leaves(outs) if isinstance(x, module.Tensor)]


COMPUTED = [
    case
    for case in KNOWN
    if case.op is not None
    and case.op.inputs
    and not (case.op.view or (case.op.elementwise and not case.op.ordered))
]


@law(COMPUTED)
def test_results_lie_in_order_where_pytorchs_do(case, device):
    """Else ``view()`` of them would fail."""
    arrays = case.arrays()
    theirs = lie_in_order(call_torch(case, [turned(x, torch) for x in arrays]), torch)
    with dt.device(device):
        ours = lie_in_order(case.call([turned(x, dt, device) for x in arrays]), dt)
    assert all(one >= two for one, two in zip(ours, theirs, strict=True)), (ours, theirs)


REDUCTIONS = ("sum", "mean", "amax", "amin", "prod", "all", "any", "std", "var", "logsumexp",
              "argmax", "max", "median", "nansum", "count_nonzero", "norm")  # fmt: skip


@pytest.mark.parametrize("name", REDUCTIONS)
def test_what_is_left_of_three_dimensions_lies_in_order(name):
    array = np.arange(24.0).reshape(2, 3, 4) % 7
    for dim in range(3):
        found = getattr(turned(array, dt), name)(dim=dim)
        assert all(lie_in_order(found, dt)), dim
        compare(leaves(found)[0], leaves(getattr(turned(array, torch), name)(dim=dim))[0])


# ---- names of nodes

# Operations that are one step here and several there, or the other way round, and so have the name
# of another step; the rest bear PyTorch's.
NAMED_APART = {
    "remainder", "square", "special_ndtr", "relu6", "rrelu", "matmul", "inner", "einsum",
    "linalg_svdvals", "linalg_eigvalsh", "scaled_dot_product_attention", "split_with_sizes",
    "linalg_ldl_solve", "linear", "bilinear", "rms_norm", "atleast_2d", "atleast_3d", "celu",
    "minus",
}  # fmt: skip


def last_step(outs):
    """The name of the step that made the first result, without the number of its form."""
    return outs[0].grad_fn.name().rstrip("0123456789") if outs and outs[0].grad_fn else None


@law([case for case in KNOWN if case.op is not None and case.name not in NAMED_APART])
def test_names_of_nodes(case):
    arrays = case.arrays()
    ours = last_step(samples.tracked(case.call(case.tensors(grad=True))))
    xs = [
        samples.tensor(x, None, not held, torch) for x, held in zip(arrays, case.held, strict=True)
    ]
    try:
        theirs = last_step(samples.tracked(call_torch(case, xs)))
    except (RuntimeError, NotImplementedError):
        return
    if ours and theirs:
        assert ours == theirs
