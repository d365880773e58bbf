"""Operations by their names in PyTorch's dispatcher, beside PyTorch's."""

import copy
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

import devtensor as dt
import samples


def grid(*shape, start=-1.0, step=0.37):
    """Numbers of which none is another's, as an array."""
    count = int(np.prod(shape))
    return (start + step * (np.arange(count) * 7 % (count + 3))).reshape(shape)


ONE, TWO = grid(2, 3), grid(2, 3, start=0.3)
IMAGES, LABELS, UNIT = (
    grid(1, 2, 4, 6, step=0.11),
    np.array([2, 0]),
    grid(2, 3, start=0.1, step=0.1),
)
CALLS = {
    "gelu_backward": [(ONE, TWO), (ONE, TWO, {"approximate": "tanh"})],
    "silu_backward": [(ONE, TWO)],
    "mish_backward": [(ONE, TWO)],
    "hardswish_backward": [(ONE, TWO)],
    "hardsigmoid_backward": [(ONE, TWO)],
    "hardtanh_backward": [(ONE, TWO, -0.5, 0.9)],
    "softplus_backward": [(ONE, TWO, 2.0, 3.0)],
    "softshrink_backward": [(ONE, TWO, 0.6)],
    "hardshrink_backward": [(ONE, TWO, 0.6)],
    "logit_backward": [(ONE, UNIT, 0.2)],
    "glu_backward": [(ONE, grid(2, 6), 1)],
    "threshold_backward": [(ONE, TWO, 0.5)],
    "leaky_relu_backward": [(ONE, TWO - 1, 0.2, False)],
    "elu_backward": [(ONE, 1.5, 1.1, 0.7, False, TWO - 1), (ONE, 1.5, 1.1, 0.7, True, TWO - 1)],
    "sigmoid_backward": [(ONE, UNIT)],
    "tanh_backward": [(ONE, UNIT)],
    "native_dropout_backward": [(ONE, ONE > 0, 2.0)],
    "native_layer_norm_backward": [
        (ONE, TWO, [3], TWO.mean(-1, keepdims=True),
         1 / np.sqrt(TWO.var(-1, keepdims=True) + 1e-5), grid(3), grid(3), [True, True, True]),
    ],
    "embedding_dense_backward": [(grid(4, 3), np.array([1, 0, 1, 2]), 5, *rest)
                                 for rest in ((-1, False), (1, False), (-1, True))],
    "_softmax": [(ONE, 1, False)],
    "_log_softmax": [(ONE, 0, False)],
    "_safe_softmax": [(ONE, 1), (np.full((2, 2), -np.inf), 1)],
    "_softmax_backward_data": [(ONE, UNIT, 1, "float64")],
    "_log_softmax_backward_data": [(ONE, -TWO, 1, "float64")],
    "mse_loss": [(ONE, TWO), (ONE, TWO, 0), (ONE, TWO, 2)],
    "mse_loss_backward": [(ONE, ONE, TWO, 0), (np.array(2.0), ONE, TWO, 1)],
    "smooth_l1_loss": [(ONE, TWO, 2, 0.5)],
    "smooth_l1_loss_backward": [(ONE, ONE, TWO, 0, 0.5)],
    "huber_loss_backward": [(ONE, ONE, TWO, 0, 0.5)],
    "nll_loss": [(ONE, LABELS), (ONE, LABELS, grid(3), 2, 0)],
    "nll_loss_forward": [(ONE, LABELS, None, 1, -100), (ONE, LABELS, grid(3), 2, 0),
                         (ONE, LABELS, grid(3), 0, 0)],
    "cross_entropy_loss": [(ONE, LABELS, None, 1, -100, 0.1)],
    "binary_cross_entropy": [(UNIT, UNIT, None, 0)],
    "binary_cross_entropy_backward": [(ONE, UNIT, UNIT, None, 0)],
    "reflection_pad1d": [(ONE, [1, 2])],
    "reflection_pad2d": [(IMAGES, [1, 2, 0, 1])],
    "reflection_pad2d_backward": [(grid(1, 2, 5, 9), IMAGES, [1, 2, 0, 1])],
    "replication_pad1d_backward": [(grid(2, 6), ONE, [1, 2])],
    "avg_pool2d_backward": [(grid(1, 2, 2, 3), IMAGES, [2, 2], [2, 2], [0, 0], False, True, None)],
    "_adaptive_avg_pool2d": [(IMAGES, [2, 3])],
    "_adaptive_avg_pool2d_backward": [(grid(1, 2, 2, 3), IMAGES)],
    "upsample_nearest1d": [(IMAGES[0], [9]), (IMAGES[0], [9], 1.5)],
    "upsample_nearest2d": [(IMAGES, [8, 3]), (IMAGES, None, [2.0, 0.5])],
    "upsample_bilinear2d": [(IMAGES, [8, 9], False), (IMAGES, [8, 9], True)],
    "upsample_bicubic2d": [(IMAGES, [8, 9], False)],
    "_upsample_bilinear2d_aa": [(IMAGES, [2, 3], False)],
    "im2col": [(IMAGES, [2, 2], [1, 1], [0, 0], [2, 2])],
    "col2im": [(grid(1, 8, 6), [4, 6], [2, 2], [1, 1], [0, 0], [2, 2])],
    "select_backward": [(grid(3), [2, 3], 0, 1)],
    "slice_backward": [(grid(2, 2), [2, 5], 1, 1, 4, 2)],
    "diagonal_backward": [(grid(2), [2, 3], 1, 0, 1)],
    "index_select_backward": [(grid(2, 3), [4, 3], 0, np.array([1, 1]))],
    "unfold_backward": [(grid(2, 3), [5], 0, 3, 2)],
    "trace_backward": [(np.array(2.0), [2, 3])],
    "_convolution": [(IMAGES, grid(3, 2, 2, 2), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
                      False, False, True, True)],
    "convolution_backward": [
        (grid(1, 3, 3, 5), IMAGES, grid(3, 2, 2, 2), [3], [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
         [True, True, True]),
        (grid(1, 3, 5, 7), IMAGES, grid(2, 3, 2, 2), [3], [1, 1], [0, 0], [1, 1], True, [0, 0], 1,
         [True, True, False]),
    ],
    "linalg_vector_norm": [(ONE, 1)],
    "linalg_inv": [(grid(3, 3) + 3 * np.eye(3),)],
    "special_xlog1py": [(ONE, TWO)],
    "fft_rfft": [(ONE, 4)],
    "_stack": [([ONE, TWO], 1)],
    "_unsafe_view": [(ONE, [3, 2])],
    "_unsafe_index": [(ONE, [None, np.array([2, 0])])],
    "_local_scalar_dense": [(np.array([2.5]),)],
    "lift_fresh": [(ONE,)],
    "zero": [(ONE,)],
    "copy": [(ONE, TWO)],
    "fill": [(ONE, 2.0)],
    "is_leaf": [(ONE,)],
    "sym_size": [(ONE,), (ONE, 1)],
    "numpy_T": [(ONE,)],
    "gelu_": [(ONE,)],
    "hardswish_": [(ONE,)],
    "log_sigmoid": [(ONE,)],
    "hash_tensor": [(ONE,), (ONE, 1)],
}  # fmt: skip


def called(lib, name, arguments, device="cpu"):
    def given(value):
        if isinstance(value, np.ndarray):
            return lib.tensor(value.copy(), device=device)
        if isinstance(value, list):
            return [given(x) for x in value]
        return getattr(lib, value) if value == "float64" else value

    *args, options = (*arguments, {}) if not isinstance(arguments[-1], dict) else arguments
    found = getattr(lib.ops.aten, name)(*map(given, args), **options)
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("name", CALLS)
def test_an_operation_does_what_pytorchs_does(name, device):
    for arguments in CALLS[name]:
        found, wanted = called(dt, name, arguments, device), called(torch, name, arguments)
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            if isinstance(other, torch.Tensor):
                assert str(one.dtype) == str(other.dtype) and one.device == dt.device(device)
                rtol = 1e-7 if "hardsigmoid" in name else 1e-10  # PyTorch has 1/6 in float32
                assert_allclose(samples.numpy(one), other.numpy(), rtol=rtol, atol=1e-12)
            else:
                assert one == other


def test_what_writes_in_place_is_made_of_what_does_not_and_back():
    aten, x = dt.ops.aten, dt.tensor([-1.0, 2.0])
    assert aten.silu_(x) is x and x[1] > 1.7
    before = x.tolist()
    drawn = aten.uniform.default(x, 3.0, 4.0)
    assert 3 <= drawn.min() <= drawn.max() <= 4 and x.tolist() == before
    assert aten.normal_functional(x, 100.0, 0.0).tolist() == [100.0, 100.0]
    assert aten.exponential(x).shape == aten.random(x).shape == (2,)


def test_a_way_back_can_be_differentiated():
    g, x = (dt.tensor(v, dtype=dt.float64, requires_grad=True) for v in (ONE, TWO))
    for name in ("gelu_backward", "silu_backward", "sigmoid_backward"):
        assert dt.autograd.gradcheck(getattr(dt.ops.aten, name), (g, x))


def test_forms_have_names_and_belong_to_an_operation():
    for lib in (torch, dt):
        packet = lib.ops.aten.add
        assert packet is lib.ops.aten.add and packet.Tensor is packet.Tensor
        assert str(packet) == "aten.add" and repr(packet) == "<OpOverloadPacket(op='aten.add')>"
        assert (
            str(packet.Tensor) == "aten.add.Tensor" and packet.Tensor.name() == "aten::add.Tensor"
        )
        assert repr(packet.Tensor) == "<OpOverload(op='aten.add', overload='Tensor')>"
        assert packet.Tensor._overloadpacket is packet is packet.Tensor.overloadpacket
        assert lib.ops.aten.mm.default.name() == "aten::mm" and packet.__name__ == "add"
        assert packet.Tensor.namespace == "aten"
    for form in (dt.ops.aten.add, dt.ops.aten.add.Tensor):
        assert copy.deepcopy(form) is form is pickle.loads(pickle.dumps(form))
