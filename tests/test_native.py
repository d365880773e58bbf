"""Functions that PyTorch has at its top with arguments of their own."""

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor.later import HOMES

RNG = np.random.default_rng(0)


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


X, W, B = floats(3, 4), floats(4), floats(4)
IMAGE, GRID = floats(2, 4, 3, 3), RNG.uniform(-1, 1, size=(2, 2, 2, 2)).astype("float32")
POSITIVE = np.abs(floats(4)) + 0.5
SIGNS = np.array([1.0, -1.0, 1.0], "float32")
CELL = [floats(3, 2), floats(3, 2), floats(8, 2), floats(8, 2), floats(8), floats(8)]
SMALL = [a[:2] if a.ndim < 3 and len(a) == 8 else a for a in CELL]
GRU = [a[:6] if len(a) == 8 else a for a in CELL]
ROWS, STARTS = np.array([0, 2, 1, 2, 0]), np.array([0, 2, 2, 3])
LOG = np.log(np.full((4, 2, 3), 1 / 3, "float32"))

CALLS = {
    "layer_norm": [(X, (4,)), (X, (4,), W, B, 1e-3, False)],
    "rms_norm": [(X, (4,)), (X, (4,), W, 1e-3)],
    "group_norm": [(IMAGE, 2), (IMAGE, 2, W, B, 1e-3)],
    "batch_norm": [(IMAGE, W, B, W, POSITIVE, False, 0.1, 1e-5, True),
                   (IMAGE, None, None, None, None, True, 0.1, 1e-5, False)],
    "instance_norm": [(IMAGE, W, B, None, None, True, 0.1, 1e-5, True)],
    "binary_cross_entropy_with_logits": [(X, np.abs(X)), (X, np.abs(X), W, POSITIVE, 2),
                                         (X, np.abs(X), None, None, 0)],
    "cosine_embedding_loss": [(X, X[::-1].copy(), SIGNS), (X, X * 2, SIGNS, 0.5, 2)],
    "ctc_loss": [(LOG, np.array([[1, 2], [2, 1]]), np.array([4, 4]), np.array([2, 1]), 0, 2)],
    "hinge_embedding_loss": [(SIGNS * 0.3, SIGNS), (SIGNS, SIGNS, 2.0, 0)],
    "kl_div": [(X, np.abs(X)), (X, np.abs(X), 2), (X, np.abs(X), 0)],
    "margin_ranking_loss": [(W[:3], B[:3], SIGNS), (W[:3], B[:3], SIGNS, 0.4, 2)],
    "poisson_nll_loss": [(X, np.abs(X), True, False, 1e-8, 1), (X, np.abs(X), True, True, 1e-8, 0)],
    "triplet_margin_loss": [(X, X + 0.1, X[::-1].copy()), (X, X * 2, X + 1, 2.0, 1, 1e-6, True, 0)],
    "lstm_cell": [(CELL[0], CELL[:2], *CELL[2:]), (CELL[0], CELL[:2], *CELL[2:4])],
    "gru_cell": [(*GRU,), (*GRU[:4],)],
    "rnn_tanh_cell": [(*SMALL,), (*SMALL[:4],)],
    "rnn_relu_cell": [(*SMALL,)],
    "lstm": [(floats(5, 3, 2), [floats(1, 3, 2)] * 2, CELL[2:], True, 1, 0.0, False, False, False),
             (floats(3, 5, 2), [floats(2, 3, 2)] * 2, CELL[2:4] * 2, False, 1, 0.0, True, True,
              True)],
    "gru": [(floats(5, 3, 2), floats(2, 3, 2), GRU[2:] * 2, True, 2, 0.0, False, False, False)],
    "rnn_tanh": [(floats(5, 3, 2), floats(1, 3, 2), SMALL[2:], True, 1, 0.0, False, False, False)],
    "rnn_relu": [(floats(5, 3, 2), floats(1, 3, 2), SMALL[2:], True, 1, 0.0, False, False, False)],
    "embedding": [(X, np.array([0, 2])), (X, np.array([[1]]), 1, True)],
    "alpha_dropout": [(X, 0.5, False)],
    "feature_alpha_dropout": [(IMAGE, 0.5, False)],
    "adaptive_max_pool1d": [(X[None], 2)],
    "affine_grid_generator": [(floats(2, 2, 3), (2, 1, 3, 4), True)],
    "grid_sampler": [(IMAGE, GRID, 0, 0, True), (IMAGE, GRID, 1, 1, False),
                     (IMAGE, GRID, 2, 2, False)],
    "grid_sampler_2d": [(IMAGE, GRID, 0, 0, False)],
    "grid_sampler_3d": [(IMAGE[:, :, None], floats(2, 1, 2, 2, 3), 0, 0, False)],
    "norm_except_dim": [(X,), (X, 2, 1), (X, 2, -1)],
    "nuclear_norm": [(X,), (X, (0, 1), True)],
    "frobenius_norm": [(X, (0,)), (X, (1,), True)],
    "bilinear": [(X, X, floats(2, 4, 4), B[:2])],
    "channel_shuffle": [(IMAGE, 2)],
    "cosine_similarity": [(X, X + 1), (X, X * 2 + 1, 0)],
    "pairwise_distance": [(X, X * 2), (X, X + 1, 1.0, 1e-6, True)],
    "pdist": [(X,), (X, 1.0)],
    "pixel_shuffle": [(IMAGE, 2)],
    "rrelu_": [(X,), (X, 0.25, 0.5)],
    "pixel_unshuffle": [(IMAGE[..., :2, :2].copy(), 2)],
    "spmm": [(X, X.T.copy())],
    "native_layer_norm": [(X, (4,), W, B, 1e-3)],
    "native_group_norm": [(IMAGE, W, B, 2, 4, 9, 2, 1e-3)],
    "native_batch_norm": [(IMAGE, W, B, W, POSITIVE, True, 0.1, 1e-3)],
    "native_dropout": [(X, 0.0, True), (X, 0.5, False)],
    "dropout_": [(X, 0.0, True), (X, 0.5, False)],
    "alpha_dropout_": [(X, 0.0, True), (X, 0.5, False)],
    "convolution": [(IMAGE, floats(2, 4, 2, 2), B[:2], [2, 1], [1, 0], [1, 1], False, [0, 0], 1),
                    (IMAGE, floats(4, 1, 2, 2), None, [2, 2], [0, 1], [1, 1], True, [1, 0], 2),
                    (X[None], floats(4, 1, 3)[:3], None, [1], [1], [1], False, [0], 3)],
    "embedding_bag": [
        (X, ROWS, STARTS), (X, ROWS, STARTS, False, 0, False, None, False, 2),
        (X, ROWS, STARTS, False, 1), (X, ROWS, np.array([0, 2, 2, 5]), False, 1, False, None, True),
        (X, ROWS, STARTS, False, 2), (X, ROWS, STARTS, False, 2, False, None, False, 2),
        (X, ROWS, STARTS, False, 0, False, floats(5)),
    ],
}  # fmt: skip


def made(t, value):
    if isinstance(value, np.ndarray):
        return t.tensor(value.tolist(), dtype=t.float32 if value.dtype.kind == "f" else t.int64)
    return [made(t, one) for one in value] if isinstance(value, list) else value


def flat(value):
    parts = value if isinstance(value, (tuple, list)) else [value]
    return [part.detach().numpy() for part in parts]


@pytest.mark.filterwarnings("ignore:at.*norm is deprecated:UserWarning")
@pytest.mark.parametrize("name", CALLS)
def test_values_are_pytorchs(name):
    for call in CALLS[name]:
        theirs = getattr(torch, name)(*(made(torch, x) for x in call))
        ours = getattr(dt, name)(*(made(dt, x) for x in call))
        for one, two in zip(flat(ours), flat(theirs), strict=True):
            assert one.dtype == two.dtype
            np.testing.assert_allclose(one, two, rtol=2e-5, atol=2e-6)


def test_all_that_the_table_promises_is_called_here():
    names = {
        name for home in ("native", "dispatched", "nn.functional") for name in HOMES[home].split()
    }
    assert names <= {*CALLS}


def test_reductions_have_three_numbers():
    with pytest.raises(ValueError, match="3 is not a valid value for reduction"):
        dt.kl_div(dt.ones(2), dt.ones(2), 3)
