"""Operations on lists of tensors beside PyTorch's, each with every kind of second operand."""

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor.foreach import NAMES

DATA = [np.asarray(x, "float32") for x in ([0.25, 0.5], [[0.75]], 0.5)]
SQUARE = [np.asarray([[0.25, 0.5], [0.75, 1.0]], "float32")]
OPERANDS = {
    "number": lambda t, x: 2,
    "numbers": lambda t, x: [2, 0.5, 3],
    "tensors": lambda t, x: x,
    "scalar": lambda t, x: t.tensor(0.5, device=x[0].device),
}
KINDS = {
    "add": ["number", "numbers", "tensors", "scalar"], "sub": ["number", "numbers", "tensors"],
    "mul": ["number", "numbers", "tensors", "scalar"],
    "div": ["number", "numbers", "tensors", "scalar"],
    "pow": ["number", "numbers", "tensors"],
    **dict.fromkeys(["clamp_max", "clamp_min", "maximum", "minimum"], list(OPERANDS)[:3]),
    "lerp": list(OPERANDS)[:3], "copy": ["tensors"], "powsum": ["number"],
    "addcdiv": ["number", "numbers"], "addcmul": ["number", "numbers"],
}  # fmt: skip
EXTRA = {
    "add": {"alpha": 2}, "sub": {"alpha": 2}, "addcmul": {"value": 2}, "addcdiv": {"value": 2},
    "norm": {"ord": 1},
}  # fmt: skip


def lists(t, name, device=None):
    given = SQUARE if name == "mm" else DATA
    return [t.tensor(x, device=device) if device else t.tensor(x) for x in given]


def outcomes(t, name, device=None):
    """The results of one operation for each kind of operand."""
    plain = name.removesuffix("_")
    function = getattr(t, f"_foreach_{name}")

    def one(*operands, **options):
        x = lists(t, name, device)
        ways = {"lerp": 1, "addcdiv": 2, "addcmul": 2, "mm": 1}.get(plain, 0)
        before = [lists(t, name, device)] * ways
        made = function(x, *before, *(operand(t, x) for operand in operands), **options)
        assert (made is x) is name.endswith("_")
        return [y.cpu().numpy() for y in made]

    kinds = KINDS.get(plain)
    found = [one(OPERANDS[kind]) for kind in kinds] if kinds else [one()]
    if plain in EXTRA:
        operands = [OPERANDS["tensors"]] if plain in ("add", "sub") else []
        found.append(one(*operands, **EXTRA[plain]))
    return found


@pytest.mark.parametrize("name", sorted(NAMES))
def test_beside_pytorch(name, device):
    ours, theirs = outcomes(dt, name, device), outcomes(torch, name)
    for mine, other in zip(ours, theirs, strict=True):
        for x, y in zip(mine, other, strict=True):
            assert x.dtype == y.dtype
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


def test_all_of_pytorchs_are_there():
    assert {f"_foreach_{name}" for name in NAMES} == {
        name for name in dir(torch) if name.startswith("_foreach_")
    }


def test_gradients_go_through():
    leaves = [x.requires_grad_() for x in lists(dt, "mul")]
    total = sum(x.sum() for x in dt._foreach_mul(leaves, [2, 3, 4]))
    assert [x.tolist() for x in dt.autograd.grad(total, leaves)] == [[2, 2], [[3]], 4]


def test_a_number_has_an_exponent_of_each():
    for t in (dt, torch):
        made = t._foreach_pow(2.0, [t.tensor([1.0, 2.0]), t.tensor(3.0)])
        assert [x.tolist() for x in made] == [[2, 4], 8]


@pytest.mark.parametrize("t", [torch, dt], ids=["theirs", "ours"])
def test_lists_that_do_not_fit_are_refused_before_anything_is_written(t):
    x = [t.ones(2), t.ones(3)]
    with pytest.raises(RuntimeError, match="must have the same number of tensors, got 2 and 1"):
        t._foreach_add_(x, [t.ones(2)])
    with pytest.raises(RuntimeError, match="same number of elements as scalar list"):
        t._foreach_mul_(x, [2])
    with pytest.raises(RuntimeError, match="must have at least one tensor"):
        t._foreach_add_([], 1)
    with pytest.raises(RuntimeError, match="expected to be 0 dim but it has 1 dimensions"):
        t._foreach_add_(x, t.ones(2))
    with pytest.raises(TypeError, match="expected Tensor as element 1 in argument 0"):
        t._foreach_add_([x[0], 3], 1)
    with pytest.raises(TypeError, match="tuple of Tensors"):
        t._foreach_add(x[0], 1)
    assert x[0].tolist() == [1, 1]
