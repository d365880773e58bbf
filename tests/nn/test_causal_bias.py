"""Triangles of attention beside PyTorch's."""

import numpy as np
import pytest
import torch
import torch.nn.attention.bias

import devtensor as dt
from devtensor.nn.attention.bias import CausalBias, CausalVariant
from sides import SIDES


def bias(lib):
    return torch.nn.attention.bias if lib is torch else dt.nn.attention.bias


@pytest.mark.parametrize("name", ["causal_upper_left", "causal_lower_right"])
@pytest.mark.parametrize("queries", [3, 5])
def test_attention_under_a_triangle(name, queries):
    random, results = np.random.default_rng(0), []
    arrays = [random.standard_normal((2, 3, n, 4)).tolist() for n in (queries, 5, 5)]
    for lib in (dt, torch):
        q, k, v = (lib.tensor(x, requires_grad=True) for x in arrays)
        triangle = getattr(bias(lib), name)(queries, 5)
        attend = lib.nn.functional.scaled_dot_product_attention
        out = attend(q, k, v, triangle) + attend(q, k, v, attn_mask=triangle, scale=0.3)
        out.sum().backward()
        results.append([repr(triangle), *(x.detach().tolist() for x in (out, q.grad, k.grad))])
    assert results[0][0] == results[1][0]
    for one, two in zip(*results, strict=True):
        if not isinstance(one, str):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


@SIDES
def test_what_is_no_triangle_is_refused(lib):
    module, x = bias(lib), lib.ones(1, 2, 3)
    triangle = module.causal_upper_left(2, 2)
    with pytest.raises(ValueError, match="should not be used with causal=True"):
        lib.nn.functional.scaled_dot_product_attention(x, x, x, triangle, is_causal=True)
    with pytest.raises(AssertionError, match="only supports 2D"):
        module.causal_lower_right(2)
    with pytest.raises(AssertionError, match="must be a CausalVariant"):
        module.CausalBias(2, 2, 2)
    with pytest.warns(UserWarning, match="will produce NaNs"):
        module.causal_lower_right(3, 2)


def test_a_triangle_takes_no_memory():
    triangle = CausalBias(CausalVariant.LOWER_RIGHT, 10**6, 10**6)
    assert triangle.untyped_storage().nbytes() == 0
