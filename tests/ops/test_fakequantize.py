"""Numbers of few bits, beside PyTorch's."""

import numpy as np
import pytest
import torch

import devtensor as dt

BOTH = pytest.mark.parametrize("t", [torch, dt], ids=["theirs", "ours"])
ROWS = np.array([[-3.0, -0.26, 0.25, 0.75, 9.0], [0.1, 1.3, -1.3, 7.6, -8.1]])


@pytest.mark.parametrize(
    "call",
    [
        lambda t, x: t.fake_quantize_per_tensor_affine(x, 0.5, 0, -4, 3),
        lambda t, x: t.fake_quantize_per_tensor_affine(x, 0.1, 100, 0, 255),
        lambda t, x: t.fake_quantize_per_tensor_affine(
            x, t.tensor(0.25), t.tensor(1, dtype=t.int32), -8, 7
        ),
        lambda t, x: t.fake_quantize_per_channel_affine(
            x, t.tensor([0.5, 2.0]), t.tensor([0, 1], dtype=t.int32), 0, -4, 3
        ),
        lambda t, x: t.fake_quantize_per_channel_affine(
            x, t.tensor([1.0, 0.5, 0.25, 2.0, 3.0]), t.zeros(5, dtype=t.int32), 1, -2, 1
        ),
    ],
)
def test_rounding_and_its_slope(call):
    found = []
    for t in (torch, dt):
        x = t.tensor(ROWS.tolist(), requires_grad=True)
        y = call(t, x)
        (y * t.arange(1.0, 11.0).reshape(2, 5)).sum().backward()
        found.append((y.tolist(), x.grad.tolist(), str(y.dtype)))
    assert found[1] == found[0]


@BOTH
def test_what_is_refused(t):
    x, one = t.ones(2, 3), t.ones(2)
    point = t.zeros(2, dtype=t.int32)
    with pytest.raises(RuntimeError, match="`zero_point` must be between `quant_min` and"):
        t.fake_quantize_per_tensor_affine(x, 0.1, 9, 0, 7)
    with pytest.raises(RuntimeError, match="should be less than or"):
        t.fake_quantize_per_tensor_affine(x, 0.1, 0, 3, 0)
    with pytest.raises(RuntimeError, match="not consistent with input tensor"):
        t.fake_quantize_per_channel_affine(x, one, point, 1, 0, 7)
    with pytest.raises(RuntimeError, match="`axis` must be between 0 and number of dimensions"):
        t.fake_quantize_per_channel_affine(x, t.ones(3), t.zeros(3, dtype=t.int32), -1, 0, 7)
    with pytest.raises(IndexError, match="Dimension out of range"):
        t.fake_quantize_per_channel_affine(x, one, point, 2, 0, 7)
