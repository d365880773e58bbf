"""Every layer against PyTorch's with equal weights: state, text, output, gradients."""

import typing

import numpy as np
import pytest

import devtensor as dt
from devtensor import nn
from samples import numpy as array

torch = pytest.importorskip("torch")
torch.set_num_threads(1)


def floats(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def positive(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0.1, 0.9, shape).astype("float32")


def ints(*shape, high=4, seed=0):
    return np.random.default_rng(seed).integers(0, high, shape)


def signs(*shape, seed=0):
    return np.where(np.random.default_rng(seed).random(shape) < 0.5, -1.0, 1.0).astype("float32")


LINE, IMAGE, VOLUME = (2, 4, 9), (2, 4, 7, 6), (2, 4, 5, 6, 5)

# name, arguments, keywords, inputs
CASES = [
    ("Identity", (), {}, [floats(2, 3)]),
    ("Linear", (3, 4), {}, [floats(2, 3)]),
    ("Linear", (3, 4), {"bias": False}, [floats(2, 5, 3)]),
    ("Linear", (3, 4), {}, [floats(3)]),
    ("Bilinear", (3, 4, 5), {}, [floats(2, 3), floats(2, 4, seed=1)]),
    ("Bilinear", (3, 4, 5), {"bias": False}, [floats(2, 6, 3), floats(2, 6, 4, seed=1)]),
    # convolutions
    ("Conv1d", (4, 6, 3), {}, [floats(*LINE)]),
    ("Conv1d", (4, 6, 3), {"padding": "same", "dilation": 2, "groups": 2}, [floats(*LINE)]),
    ("Conv1d", (4, 6, 2), {"padding": 1, "padding_mode": "circular"}, [floats(*LINE)]),
    ("Conv2d", (4, 6, 3), {}, [floats(*IMAGE)]),
    ("Conv2d", (4, 6, 3), {"stride": 2, "padding": 1, "bias": False}, [floats(*IMAGE)]),
    ("Conv2d", (4, 4, (3, 2)), {"stride": (2, 1), "groups": 4}, [floats(*IMAGE)]),
    ("Conv2d", (4, 6, 3), {"padding": 1, "padding_mode": "reflect"}, [floats(*IMAGE)]),
    ("Conv2d", (4, 6, 3), {"padding": "same", "padding_mode": "replicate"}, [floats(*IMAGE)]),
    ("Conv2d", (4, 6, 3), {"padding": "valid"}, [floats(4, 7, 6)]),
    ("Conv3d", (4, 6, 3), {"padding": 1}, [floats(*VOLUME)]),
    ("ConvTranspose1d", (4, 6, 3), {"stride": 2, "output_padding": 1}, [floats(*LINE)]),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "padding": 1}, [floats(*IMAGE)]),
    ("ConvTranspose2d", (4, 6, 3), {"groups": 2, "dilation": 2, "bias": False}, [floats(*IMAGE)]),
    ("ConvTranspose3d", (4, 2, 2), {"stride": 2}, [floats(*VOLUME)]),
    # pools
    ("MaxPool1d", (3,), {}, [floats(*LINE)]),
    ("MaxPool2d", (2,), {}, [floats(*IMAGE)]),
    ("MaxPool2d", (3, 2), {"padding": 1, "ceil_mode": True}, [floats(*IMAGE)]),
    ("MaxPool3d", (2,), {"stride": 1}, [floats(*VOLUME)]),
    ("AvgPool1d", (3,), {"stride": 2}, [floats(*LINE)]),
    ("AvgPool2d", (2,), {}, [floats(*IMAGE)]),
    ("AvgPool2d", (3, 2, 1), {"count_include_pad": False}, [floats(*IMAGE)]),
    ("AvgPool3d", (2,), {}, [floats(*VOLUME)]),
    ("AdaptiveAvgPool1d", (4,), {}, [floats(*LINE)]),
    ("AdaptiveAvgPool2d", ((3, None),), {}, [floats(*IMAGE)]),
    ("AdaptiveAvgPool2d", (1,), {}, [floats(*IMAGE)]),
    ("AdaptiveAvgPool3d", (2,), {}, [floats(*VOLUME)]),
    ("AdaptiveMaxPool1d", (4,), {}, [floats(*LINE)]),
    ("AdaptiveMaxPool2d", ((3, 2),), {}, [floats(*IMAGE)]),
    ("AdaptiveMaxPool3d", (2,), {}, [floats(*VOLUME)]),
    ("LPPool1d", (2, 3), {}, [floats(*LINE)]),
    ("LPPool2d", (3, 2), {"stride": 1}, [positive(*IMAGE)]),
    ("LPPool3d", (2, 2), {}, [positive(*VOLUME)]),
    # activations
    *[
        (name, (), {}, [floats(3, 4)])
        for name in [
            "CELU",
            "ELU",
            "GELU",
            "Hardshrink",
            "Hardsigmoid",
            "Hardswish",
            "Hardtanh",
            "LeakyReLU",
            "LogSigmoid",
            "Mish",
            "PReLU",
            "ReLU",
            "ReLU6",
            "SELU",
            "SiLU",
            "Sigmoid",
            "Softplus",
            "Softshrink",
            "Softsign",
            "Tanh",
            "Tanhshrink",
            "GLU",
        ]
    ],
    ("GELU", ("tanh",), {}, [floats(3, 4)]),
    ("ELU", (0.7,), {}, [floats(3, 4)]),
    ("Hardtanh", (-2, 0.5), {}, [floats(3, 4)]),
    ("LeakyReLU", (0.2,), {}, [floats(3, 4)]),
    ("PReLU", (4,), {}, [floats(2, 4, 3)]),
    ("Softplus", (2, 1), {}, [floats(3, 4)]),
    ("Threshold", (0.1, 20), {}, [floats(3, 4)]),
    ("Softmax", (-1,), {}, [floats(3, 4)]),
    ("Softmin", (0,), {}, [floats(3, 4)]),
    ("LogSoftmax", (1,), {}, [floats(3, 4)]),
    ("Softmax2d", (), {}, [floats(*IMAGE)]),
    # normalization
    ("BatchNorm1d", (4,), {}, [floats(*LINE)]),
    ("BatchNorm1d", (4,), {"momentum": None}, [floats(5, 4)]),
    ("BatchNorm2d", (4,), {}, [floats(*IMAGE)]),
    ("BatchNorm2d", (4,), {"affine": False}, [floats(*IMAGE)]),
    ("BatchNorm2d", (4,), {"track_running_stats": False}, [floats(*IMAGE)]),
    ("BatchNorm3d", (4,), {"eps": 1e-3, "momentum": 0.3}, [floats(*VOLUME)]),
    ("InstanceNorm1d", (4,), {}, [floats(*LINE)]),
    ("InstanceNorm2d", (4,), {"affine": True}, [floats(*IMAGE)]),
    ("InstanceNorm2d", (4,), {"track_running_stats": True}, [floats(*IMAGE)]),
    ("InstanceNorm3d", (4,), {}, [floats(4, 5, 6, 5)]),
    ("LayerNorm", (6,), {}, [floats(*IMAGE)]),
    ("LayerNorm", ([7, 6],), {"bias": False}, [floats(*IMAGE)]),
    ("LayerNorm", (6,), {"elementwise_affine": False}, [floats(*IMAGE)]),
    ("RMSNorm", (6,), {}, [floats(*IMAGE)]),
    ("RMSNorm", ([7, 6],), {"eps": 1e-3, "elementwise_affine": False}, [floats(*IMAGE)]),
    ("GroupNorm", (2, 4), {}, [floats(*IMAGE)]),
    ("GroupNorm", (2, 4), {"affine": False}, [floats(*LINE)]),
    ("LocalResponseNorm", (3,), {"alpha": 0.1}, [floats(*IMAGE)]),
    ("LocalResponseNorm", (2,), {}, [floats(*LINE)]),
    ("CrossMapLRN2d", (3,), {}, None),
    # dropout: with nothing left out
    *[
        (name, (0.0,), {}, [floats(*IMAGE)])
        for name in ("Dropout", "Dropout2d", "AlphaDropout", "FeatureAlphaDropout")
    ],
    ("Dropout1d", (0.0,), {}, [floats(*LINE)]),
    ("Dropout3d", (0.0, True), {}, None),
    ("Dropout", (0.3,), {}, None),
    # tables
    ("Embedding", (4, 3), {}, [ints(2, 5)]),
    ("Embedding", (4, 3), {"padding_idx": 1}, [ints(2, 5)]),
    ("Embedding", (4, 3), {"scale_grad_by_freq": True}, [ints(2, 5)]),
    ("Embedding", (4, 3), {"max_norm": 0.5, "norm_type": 1}, [ints(2, 5)]),
    ("EmbeddingBag", (4, 3), {}, [ints(2, 5)]),
    ("EmbeddingBag", (4, 3), {"mode": "sum"}, [ints(7), np.array([0, 3, 3])]),
    ("EmbeddingBag", (4, 3), {"mode": "max"}, [ints(7), np.array([0, 3, 3])]),
    ("EmbeddingBag", (4, 3), {"mode": "mean", "padding_idx": 1}, [ints(2, 5)]),
    (
        "EmbeddingBag",
        (4, 3),
        {"mode": "sum", "include_last_offset": True},
        [ints(7), np.array([0, 3, 7]), floats(7)],
    ),
    # padding
    *[
        (f"{kind}Pad{dims}d", (*pad, *((1.5,) * (kind == "Constant"))), {}, [floats(*shape)])
        for kind in ("Constant", "Zero", "Reflection", "Replication", "Circular")
        for dims, pad, shape in (
            (1, (2,), LINE),
            (1, ((1, 2),), LINE),
            (2, (1,), IMAGE),
            (2, ((0, 2, 3, 1),), IMAGE),
            (3, ((1, 0, 2, 1, 0, 3),), VOLUME),
        )
    ],
    ("ZeroPad2d", ((-1, 2, 0, -2),), {}, [floats(*IMAGE)]),
    ("ReflectionPad2d", ((-1, 2, 0, -2),), {}, [floats(*IMAGE)]),
    # shapes
    ("Flatten", (), {}, [floats(*IMAGE)]),
    ("Flatten", (0, 2), {}, [floats(*IMAGE)]),
    ("Unflatten", (1, (2, 2)), {}, [floats(*IMAGE)]),
    ("Unfold", (3,), {}, [floats(*IMAGE)]),
    ("Unfold", ((2, 3),), {"dilation": 2, "padding": 1, "stride": (1, 2)}, [floats(*IMAGE)]),
    ("Fold", ((5, 6), 2), {}, [floats(2, 12, 20)]),
    ("Fold", ((5, 6), (2, 3)), {"dilation": 1, "padding": 1, "stride": 2}, [floats(2, 12, 9)]),
    ("PixelShuffle", (2,), {}, [floats(2, 8, 3, 4)]),
    ("PixelUnshuffle", (2,), {}, [floats(2, 3, 6, 4)]),
    ("ChannelShuffle", (2,), {}, [floats(*IMAGE)]),
    ("Upsample", (), {"scale_factor": 2}, [floats(*IMAGE)]),
    ("Upsample", ((5, 9),), {"mode": "bilinear"}, [floats(*IMAGE)]),
    ("Upsample", (), {"scale_factor": 1.7, "mode": "linear"}, [floats(*LINE)]),
    (
        "Upsample",
        (),
        {"scale_factor": (2.0, 0.6), "mode": "bicubic", "align_corners": True},
        [floats(*IMAGE)],
    ),
    ("Upsample", ((3, 7, 8),), {"mode": "trilinear"}, [floats(*VOLUME)]),
    ("UpsamplingNearest2d", (), {"size": (3, 10)}, [floats(*IMAGE)]),
    ("UpsamplingBilinear2d", (), {"scale_factor": 2}, [floats(*IMAGE)]),
    ("CosineSimilarity", (), {}, [floats(3, 4), floats(3, 4, seed=1)]),
    ("PairwiseDistance", (), {}, [floats(3, 4), floats(3, 4, seed=1)]),
    ("PairwiseDistance", (1, 0.1, True), {}, [floats(3, 4), floats(3, 4, seed=1)]),
    # recurrence
    ("RNN", (3, 5), {}, [floats(4, 2, 3)]),
    ("RNN", (3, 5, 2, "relu"), {"bidirectional": True}, [floats(4, 2, 3), floats(4, 2, 5)]),
    ("LSTM", (3, 5), {}, [floats(4, 2, 3)]),
    ("LSTM", (3, 5, 2), {"batch_first": True, "bidirectional": True}, [floats(4, 2, 3)]),
    ("LSTM", (3, 5), {"proj_size": 2, "bias": False, "num_layers": 2}, [floats(4, 3)]),
    ("GRU", (3, 5, 2), {"batch_first": True}, [floats(4, 2, 3), floats(2, 4, 5)]),
    ("GRU", (3, 5), {"bidirectional": True, "bias": False}, [floats(4, 3)]),
    ("RNNCell", (3, 5), {"nonlinearity": "relu"}, [floats(2, 3)]),
    ("LSTMCell", (3, 5), {}, [floats(2, 3)]),
    ("GRUCell", (3, 5), {"bias": False}, [floats(3), floats(5)]),
    # attention
    ("MultiheadAttention", (6, 2), {}, [floats(4, 2, 6), floats(5, 2, 6), floats(5, 2, 6, seed=1)]),
    ("MultiheadAttention", (6, 2), {"bias": False}, [floats(4, 6)] * 3),
    (
        "MultiheadAttention",
        (6, 3),
        {"kdim": 4, "vdim": 5, "batch_first": True, "add_bias_kv": True, "add_zero_attn": True},
        [floats(2, 4, 6), floats(2, 5, 4), floats(2, 5, 5)],
    ),
    ("TransformerEncoderLayer", (6, 2, 8, 0.0), {}, [floats(4, 2, 6)]),
    (
        "TransformerEncoderLayer",
        (6, 2, 8, 0.0, "gelu"),
        {"batch_first": True, "norm_first": True, "bias": False},
        [floats(4, 2, 6)],
    ),
    ("TransformerDecoderLayer", (6, 2, 8, 0.0), {}, [floats(4, 2, 6), floats(3, 2, 6)]),
    ("Transformer", (6, 2, 2, 2, 8, 0.0), {}, [floats(4, 2, 6), floats(3, 2, 6)]),
    # losses
    *[
        (name, (), {"reduction": reduction}, [floats(3, 4), floats(3, 4, seed=1)])
        for name in ("L1Loss", "MSELoss", "SmoothL1Loss", "HuberLoss")
        for reduction in ("mean", "sum", "none")
    ],
    ("SmoothL1Loss", (), {"beta": 0.3}, [floats(3, 4), floats(3, 4, seed=1)]),
    ("HuberLoss", (), {"delta": 0.3}, [floats(3, 4), floats(3, 4, seed=1)]),
    ("CrossEntropyLoss", (), {}, [floats(3, 4), ints(3)]),
    (
        "CrossEntropyLoss",
        (),
        {"label_smoothing": 0.1, "ignore_index": 2, "reduction": "sum"},
        [floats(2, 4, 5), ints(2, 5)],
    ),
    ("CrossEntropyLoss", (), {}, [floats(3, 4), positive(3, 4)]),
    ("NLLLoss", (), {"ignore_index": 1}, [floats(3, 4), ints(3)]),
    ("BCELoss", (), {}, [positive(3, 4), positive(3, 4, seed=1)]),
    ("BCEWithLogitsLoss", (), {}, [floats(3, 4), positive(3, 4, seed=1)]),
    ("KLDivLoss", (), {"reduction": "batchmean"}, [floats(3, 4), positive(3, 4)]),
    (
        "KLDivLoss",
        (),
        {"reduction": "sum", "log_target": True},
        [floats(3, 4), floats(3, 4, seed=1)],
    ),
    ("PoissonNLLLoss", (), {"full": True}, [floats(3, 4), positive(3, 4) * 5]),
    ("PoissonNLLLoss", (False,), {"reduction": "none"}, [positive(3, 4), positive(3, 4)]),
    ("GaussianNLLLoss", (), {"full": True}, [floats(3, 4), floats(3, 4, seed=1), positive(3, 4)]),
    ("GaussianNLLLoss", (), {}, [floats(3, 4), floats(3, 4, seed=1), positive(3, 1)]),
    ("HingeEmbeddingLoss", (0.8,), {}, [floats(3, 4), signs(3, 4)]),
    ("CosineEmbeddingLoss", (0.1,), {}, [floats(3, 4), floats(3, 4, seed=1), signs(3)]),
    ("MarginRankingLoss", (0.2,), {}, [floats(3), floats(3, seed=1), signs(3)]),
    ("MultiMarginLoss", (), {}, [floats(3, 4), ints(3)]),
    ("MultiMarginLoss", (2, 0.5), {"reduction": "none"}, [floats(3, 4), ints(3)]),
    (
        "MultiLabelMarginLoss",
        (),
        {},
        [floats(2, 4), np.array([[3, 0, -1, 1], [1, -1, 0, 2]])],
    ),
    ("MultiLabelMarginLoss", (), {"reduction": "sum"}, [floats(4), np.array([3, 0, -1, 1])]),
    ("MultiLabelSoftMarginLoss", (), {}, [floats(3, 4), ints(3, 4, high=2).astype("float32")]),
    ("SoftMarginLoss", (), {}, [floats(3, 4), signs(3, 4)]),
    ("TripletMarginLoss", (), {}, [floats(3, 4, seed=i) for i in range(3)]),
    ("TripletMarginLoss", (0.5, 1), {"swap": True}, [floats(3, 4, seed=i) for i in range(3)]),
    ("TripletMarginWithDistanceLoss", (), {}, [floats(3, 4, seed=i) for i in range(3)]),
]


def label(case):
    name, args, kwargs, inputs = case
    shapes = "" if inputs is None else " ".join("x".join(map(str, x.shape)) for x in inputs)
    return f"{name}{args}{kwargs}{shapes}".replace(" ", "")


def flat(result):
    """All tensors of a result, in order."""
    if isinstance(result, tuple | list):
        return [tensor for part in result for tensor in flat(part)]
    return [] if result is None else [result]


def copy_state(ours, theirs):
    ours.load_state_dict({name: dt.tensor(array(x)) for name, x in theirs.state_dict().items()})


def close(ours, theirs, what=""):
    np.testing.assert_allclose(array(ours), array(theirs), rtol=2e-4, atol=2e-5, err_msg=what)


@pytest.mark.filterwarnings("ignore:LSTM with projections")  # PyTorch's own
@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@pytest.mark.parametrize("case", CASES, ids=label)
def test_layer(case):
    name, args, kwargs, inputs = case
    theirs = getattr(torch.nn, name)(*args, **kwargs)
    ours = getattr(nn, name)(*args, **kwargs)

    if name != "CrossMapLRN2d":
        assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    for key, value in theirs.state_dict().items():
        assert tuple(ours.state_dict()[key].shape) == tuple(value.shape)
        assert str(ours.state_dict()[key].dtype) == str(value.dtype)
    if inputs is None:
        return

    copy_state(ours, theirs)
    for mode in (True, False):
        theirs.train(mode)
        ours.train(mode)
        theirs.zero_grad()
        ours.zero_grad()
        run_both(ours, theirs, inputs)
        for (key, mine), value in zip(
            ours.state_dict().items(), theirs.state_dict().values(), strict=True
        ):
            close(mine, value, f"{key} afterwards")


def run_both(ours, theirs, inputs):
    targets = isinstance(theirs, torch.nn.modules.loss._Loss)
    mine, its = [], []
    for place, x in enumerate(inputs):
        grad = x.dtype.kind == "f" and not (targets and place > 0)
        mine.append(dt.tensor(x, requires_grad=grad))
        its.append(torch.tensor(x, requires_grad=grad))
    if isinstance(theirs, torch.nn.Embedding) and theirs.max_norm is not None:
        copy_state(ours, theirs)
    if isinstance(theirs, torch.nn.EmbeddingBag) and len(mine) == 3:
        mine, its = [*mine[:2]], [*its[:2]]
    expected, found = flat(theirs(*its)), flat(ours(*mine))
    assert len(found) == len(expected)
    total_ours, total_theirs = 0, 0
    for number, (result, value) in enumerate(zip(found, expected, strict=True)):
        assert tuple(result.shape) == tuple(value.shape)
        assert str(result.dtype) == str(value.dtype)
        close(result, value, f"output {number}")
        weights = floats(*value.shape, seed=number + 5)
        total_ours = total_ours + (result * dt.tensor(weights)).sum()
        total_theirs = total_theirs + (value * torch.tensor(weights)).sum()
    if not total_theirs.requires_grad:
        return
    total_theirs.backward()
    total_ours.backward()
    for number, (x, y) in enumerate(zip(mine, its, strict=True)):
        if y.grad is not None:
            close(x.grad, y.grad, f"gradient of input {number}")
    for (key, x), y in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if y.grad is not None:
            close(x.grad, y.grad, f"gradient of {key}")


def pair(value):
    """The same array for us and for them."""
    return dt.tensor(value), torch.tensor(value)


LAZY = [
    ("LazyLinear", (4,), {}, floats(2, 3)),
    ("LazyConv1d", (4, 3), {}, floats(*LINE)),
    ("LazyConv2d", (4, 3, 2), {"padding": 1, "groups": 2, "bias": False}, floats(*IMAGE)),
    ("LazyConv3d", (4, 2), {}, floats(*VOLUME)),
    ("LazyConvTranspose1d", (4, 3), {}, floats(*LINE)),
    ("LazyConvTranspose2d", (4, 3), {"stride": 2}, floats(*IMAGE)),
    ("LazyConvTranspose3d", (4, 2), {}, floats(*VOLUME)),
    ("LazyBatchNorm1d", (), {}, floats(5, 4)),
    ("LazyBatchNorm2d", (), {}, floats(*IMAGE)),
    ("LazyBatchNorm3d", (), {"affine": False}, floats(*VOLUME)),
    ("LazyInstanceNorm2d", (), {}, floats(*IMAGE)),
]


@pytest.mark.filterwarnings("ignore:Lazy modules")
@pytest.mark.parametrize("name, args, kwargs, x", LAZY, ids=[case[0] for case in LAZY])
def test_lazy_layer_takes_its_size_from_the_first_input(name, args, kwargs, x):
    theirs = getattr(torch.nn, name)(*args, **kwargs)
    ours = getattr(nn, name)(*args, **kwargs)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert ours.has_uninitialized_params() == theirs.has_uninitialized_params()
    mine, its = pair(x)
    theirs(its)
    ours(mine)
    assert type(ours).__name__ == type(theirs).__name__
    assert repr(ours) == repr(theirs)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert tuple(p.shape) == tuple(q.shape)
        assert type(p) is nn.Parameter
    copy_state(ours, theirs)
    close(ours(mine), theirs(its))


def test_lazy_layer_can_load_a_state():
    whole = nn.Linear(3, 4)
    lazy = nn.LazyLinear(4)
    lazy.load_state_dict(whole.state_dict())
    assert tuple(lazy.weight.shape) == (4, 3)
    x = dt.tensor(floats(2, 3))
    close(lazy(x), whole(x))


def test_attention_masks():
    theirs, ours = torch.nn.MultiheadAttention(6, 2), nn.MultiheadAttention(6, 2)
    copy_state(ours, theirs)
    (q, tq), (k, tk) = pair(floats(4, 3, 6)), pair(floats(5, 3, 6, seed=1))
    padding = np.array([[False] * 5, [False] * 3 + [True] * 2, [False] * 4 + [True]])
    mask = np.triu(np.ones((4, 5), dtype=bool), 2)
    numbers = np.where(mask, -1.5, 0.5).astype("float32")
    by_head = floats(6, 4, 5)
    for attn in (mask, numbers, by_head, None):
        for pad in (padding, None):
            if attn is not None and attn.dtype != bool and pad is not None:
                pad = np.where(pad, -np.inf, 0).astype("float32")
            for weights, average in ((True, True), (True, False), (False, True)):
                kwargs = {"need_weights": weights, "average_attn_weights": average}
                masks = {"attn_mask": attn, "key_padding_mask": pad}
                masks = {name: m for name, m in masks.items() if m is not None}
                found = ours(q, k, k, **kwargs, **{n: dt.tensor(m) for n, m in masks.items()})
                wanted = theirs(
                    tq, tk, tk, **kwargs, **{n: torch.tensor(m) for n, m in masks.items()}
                )
                for x, y in zip(flat(found), flat(wanted), strict=True):
                    close(x, y)


def test_transformer_with_masks():
    args = (6, 2, 1, 1, 8, 0.0)
    theirs = torch.nn.Transformer(*args, batch_first=True)
    ours = nn.Transformer(*args, batch_first=True)
    copy_state(ours, theirs)
    (src, tsrc), (tgt, ttgt) = pair(floats(2, 4, 6)), pair(floats(2, 3, 6, seed=1))
    mask = ours.generate_square_subsequent_mask(3)
    tmask = theirs.generate_square_subsequent_mask(3)
    close(mask, tmask)
    padding, tpadding = pair(np.array([[0.0] * 4, [0.0, 0.0, 0.0, -np.inf]], dtype="float32"))
    close(
        ours(src, tgt, tgt_mask=mask, src_key_padding_mask=padding, tgt_is_causal=True),
        theirs(tsrc, ttgt, tgt_mask=tmask, src_key_padding_mask=tpadding, tgt_is_causal=True),
    )


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_packed_sequences(name, is_sorted):
    kwargs = {"num_layers": 2, "bidirectional": True}
    theirs, ours = getattr(torch.nn, name)(3, 5, **kwargs), getattr(nn, name)(3, 5, **kwargs)
    copy_state(ours, theirs)
    lengths = [4, 3, 1] if is_sorted else [1, 4, 3]
    x, tx = pair(floats(4, 3, 3))
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=is_sorted)
    tpacked = torch.nn.utils.rnn.pack_padded_sequence(tx, lengths, enforce_sorted=is_sorted)
    close(packed.data, tpacked.data)
    h = floats(4, 3, 5, seed=2)
    given, tgiven = pair(h)
    if name == "LSTM":
        given, tgiven = (given, given), (tgiven, tgiven)
    for start, tstart in ((None, None), (given, tgiven)):
        out, final = ours(packed, start)
        tout, tfinal = theirs(tpacked, tstart)
        close(out.data, tout.data)
        for a, b in zip(flat(final), flat(tfinal), strict=True):
            close(a, b)
        padded, sizes = nn.utils.rnn.pad_packed_sequence(out)
        tpadded, tsizes = torch.nn.utils.rnn.pad_packed_sequence(tout)
        close(padded, tpadded)
        assert sizes.tolist() == tsizes.tolist()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "LSTM, projected", "GRU"])
def test_recurrent_layers_can_be_differentiated_twice(name, bias):
    kwargs = {"bidirectional": True, "bias": bias}
    if name.endswith("projected"):
        kwargs["proj_size"] = 2
    kind = name.split(",")[0]
    theirs = getattr(torch.nn, kind)(3, 4, dtype=torch.float64, **kwargs)
    ours = getattr(nn, kind)(3, 4, dtype=dt.float64, **kwargs)
    copy_state(ours, theirs)
    x = np.random.default_rng(1).standard_normal((4, 3, 3))
    for lengths in (None, [4, 2, 3]):
        found = []
        for lib, layer in ((torch, theirs), (dt, ours)):
            given = lib.tensor(x, requires_grad=True)
            wanted = [given, *layer.parameters()]
            rnn = lib.nn.utils.rnn
            if lengths is None:
                out, final = layer(given)
            else:
                packed = rnn.pack_padded_sequence(given, lengths, enforce_sorted=False)
                out, final = layer(packed)
                out = rnn.pad_packed_sequence(out)[0]
            loss = out.sin().sum() + sum((state * state).sum() for state in flat(final))
            first = lib.autograd.grad(loss, wanted, create_graph=True)
            second = lib.autograd.grad(sum((g * g).sum() for g in first), wanted, allow_unused=True)
            found.append([out, *flat(final), *first, *second])
        for b, a in zip(*found, strict=True):
            if a is None or b is None:
                assert a is b
            else:
                np.testing.assert_allclose(array(a), b.detach().numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_recurrent_layers_of_numbers_of_two_bytes(name, dtype):
    if getattr(dt, dtype) not in dt.ones(1).device.backend.native:
        pytest.skip(f"no {dtype} there")
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name)(3, 4).to(getattr(torch, dtype)).double()
    x = torch.tensor(floats(2, 3) if name.endswith("Cell") else floats(5, 2, 3))
    kind = getattr(dt, dtype)
    ours = getattr(nn, name)(3, 4)
    copy_state(ours, theirs)
    ours.to(kind)
    mine = dt.tensor(x.to(getattr(torch, dtype)).float().numpy()).to(kind).requires_grad_()
    wide = x.to(getattr(torch, dtype)).double().requires_grad_()
    results, exact = flat(ours(mine)), flat(theirs(wide))
    for loss in (results, exact):
        sum(part.sum() for part in loss).backward()
    slopes = [p.grad for p in (mine, *ours.parameters())]
    for a, b in zip(
        [*results, *slopes],
        [*exact, *[p.grad for p in (wide, *theirs.parameters())]],
        strict=True,
    ):
        assert a.dtype is kind
        np.testing.assert_allclose(array(a.float()), b.detach().numpy(), rtol=2e-2, atol=2e-2)


KEPT = {
    "RNN_TANH": ("RNN", {}, {"weight_hh_l0": 1}, 0.02),
    "RNN_RELU": ("RNN", {"nonlinearity": "relu"}, {"weight_ih_l0": 1, "weight_hh_l0": 1}, 1),
    "GRU": ("GRU", {}, {"bias_ih_l0": [0, 8.3125, 20]}, 0),
    "LSTM": ("LSTM", {}, {"weight_ih_l0": [0, 0, 1, 0], "bias_hh_l0": [20, 20, 0, 0]}, 1),
    "projected": ("LSTM", {"proj_size": 1}, {"weight_ih_l0": [0, 0, 1, 0], "weight_hr_l0": 1,
                                             "bias_hh_l0": [20, 20, 0, 0]}, 1),
}  # fmt: skip
"""Layers whose state changes in a step by less than what half precision can tell apart."""


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", KEPT)
def test_long_sequences_of_numbers_of_two_bytes_are_computed_in_four(name, dtype):
    if getattr(dt, dtype) not in dt.ones(1).device.backend.native:
        pytest.skip(f"no {dtype} there")
    kind, kwargs, values, start = KEPT[name]
    found = []
    for lib in (dt, torch):
        narrow = getattr(lib, dtype)
        layer = getattr(lib.nn, kind)(1, 2, **kwargs).to(narrow)
        with lib.no_grad():
            for key, weight in layer.named_parameters():
                given = lib.tensor(values.get(key, 0.0), dtype=narrow).reshape(-1)
                if key == "weight_hh_l0":
                    weight.copy_(given * lib.eye(*weight.shape, dtype=narrow))
                else:
                    rows = given.repeat_interleave(weight.numel() // len(given))
                    weight.copy_(rows.reshape(weight.shape))
        x = lib.full((200, 1, 1), 0.0 if name == "RNN_TANH" else 2.0**-12, dtype=narrow)
        first = lib.full((1, 1, 2), float(start), dtype=narrow)
        if lib is torch:
            layer, x, first = layer.double(), x.double(), first.double()
        output = first[..., : kwargs.get("proj_size", 2)]
        result, _ = layer(x, (output, first) if kind == "LSTM" else first)
        found.append(result.detach().to(getattr(lib, "float64" if lib is torch else "float32")))
    mine, exact = (np.array(one.tolist()) for one in found)
    assert abs(exact[-1] - exact[0]).max() > 0.02 * abs(exact[0]).max()
    np.testing.assert_allclose(mine, exact, rtol=0.6 * float(dt.finfo(getattr(dt, dtype)).eps))


def test_blocks_of_layers_are_replaced_by_their_names():
    found = []
    for lib in (torch.nn, nn):

        class Quiet(lib.Conv2d):
            def forward(self, input):
                return self._conv_forward(input, self.weight * 2, None)

        class Doubled(lib.TransformerDecoderLayer):
            def _sa_block(self, x, attn_mask, key_padding_mask, is_causal=False):
                looked = super()._sa_block(x, attn_mask, key_padding_mask, is_causal)
                return looked * 2

            def _mha_block(self, x, mem, attn_mask, key_padding_mask, is_causal=False):
                return super()._mha_block(x, mem, attn_mask, key_padding_mask, is_causal) * 3

            def _ff_block(self, x):
                return super()._ff_block(x) * 4

        convolves = Quiet(4, 2, 3, padding=1, padding_mode="circular")
        found.append((convolves, Doubled(4, 2, 8, dropout=0.0)))
    for theirs, ours in zip(*found, strict=True):
        copy_state(ours, theirs)
    x, tx = pair(floats(*IMAGE))
    close(found[1][0](x), found[0][0](tx))
    x, tx = pair(floats(5, 2, 4))
    close(found[1][1](x, x), found[0][1](tx, tx))


def test_flat_weights_of_recurrent_layers():
    ours, theirs = nn.GRU(3, 4, 2), torch.nn.GRU(3, 4, 2)
    assert ours._flat_weights_names == theirs._flat_weights_names
    assert [tuple(w.shape) for w in ours._flat_weights] == [
        tuple(w.shape) for w in theirs._flat_weights
    ]


@pytest.mark.parametrize("lib", [dt, torch], ids=["devtensor", "torch"])
def test_weights_assigned_in_a_row_are_used(lib):
    layer, x = lib.nn.GRU(3, 4, 2), lib.ones(5, 2, 3)
    before = layer(x)[0].tolist()
    layer._flat_weights = [lib.zeros_like(w) for w in layer._flat_weights]
    assert not layer(x)[0].any() and layer.weight_ih_l0.any()
    for name in layer._flat_weights_names:
        setattr(layer, name, getattr(layer, name))
    assert layer(x)[0].tolist() == before
    place = layer._flat_weights_names.index("weight_ih_l0")
    dropped = layer.weight_ih_l0 * 0
    layer._flat_weights[place] = dropped
    assert layer._flat_weights[place] is dropped and layer(x)[0].tolist() != before
    layer(x)[0].sum().backward()  # through the tensor that was assigned
    assert not layer.weight_ih_l0.grad.any() and layer.weight_hh_l0.grad.any()
    layer.to(lib.float32)
    assert layer._flat_weights[place] is layer.weight_ih_l0
    assert layer(x)[0].tolist() == before
    layer._flat_weights = [w.detach() for w in layer._flat_weights]
    assert not layer(x)[0].requires_grad
    if lib is dt:
        with pytest.raises(RuntimeError, match="_flat_weights got 1 weights"):
            layer._flat_weights = [x]


def test_a_sequence_without_steps_is_refused():
    with pytest.raises(RuntimeError, match="sequence length to be larger than 0"):
        nn.LSTM(3, 4)(dt.zeros(0, 2, 3))


def test_dropout_between_recurrent_layers_only_in_training():
    layer = nn.LSTM(3, 5, 2, dropout=0.9)
    x = dt.tensor(floats(4, 2, 3))
    layer.eval()
    close(layer(x)[0], layer(x)[0])
    layer.train()
    assert not np.allclose(array(layer(x)[0]), array(layer(x)[0]))


def test_dropout_leaves_out_a_share_and_scales_the_rest():
    x = dt.ones(100, 100)
    out = array(nn.Dropout(0.3)(x))
    assert set(np.unique(out)) == {np.float32(0), np.float32(1 / 0.7)}
    assert abs((out == 0).mean() - 0.3) < 0.03
    assert array(nn.Dropout(0.3).eval()(x)).min() == 1
    planes = array(nn.Dropout2d(0.5)(dt.ones(8, 16, 3, 3)))
    assert (planes.min((2, 3)) == planes.max((2, 3))).all()


def test_weighted_losses():
    scores, tscores = pair(floats(5, 4))
    target, ttarget = pair(ints(5))
    weight, tweight = pair(positive(4))
    for name in ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"):
        ours, theirs = getattr(nn, name)(weight=weight), getattr(torch.nn, name)(weight=tweight)
        assert list(ours.state_dict()) == list(theirs.state_dict()) == ["weight"]
        close(ours(scores, target), theirs(tscores, ttarget), name)
    close(
        nn.BCEWithLogitsLoss(weight, pos_weight=weight)(scores, scores.sigmoid()),
        torch.nn.BCEWithLogitsLoss(tweight, pos_weight=tweight)(tscores, tscores.sigmoid()),
    )


def test_ctc_loss():
    log_probs = floats(7, 3, 5)
    mine = dt.tensor(log_probs, requires_grad=True)
    its = torch.tensor(log_probs, requires_grad=True)
    targets = np.array([[1, 2, 2, 3], [4, 1, 0, 0], [1, 1, 1, 1]])
    lengths, sizes = [7, 5, 7], [4, 2, 3]
    for reduction in ("none", "mean", "sum"):
        a = nn.CTCLoss(reduction=reduction)(
            mine.log_softmax(2), dt.tensor(targets), dt.tensor(lengths), dt.tensor(sizes)
        )
        b = torch.nn.CTCLoss(reduction=reduction)(
            its.log_softmax(2), torch.tensor(targets), torch.tensor(lengths), torch.tensor(sizes)
        )
        close(a, b)
        mine.grad = its.grad = None
        a.sum().backward()
        b.sum().backward()
        close(mine.grad, its.grad)
    joined = np.concatenate([row[:n] for row, n in zip(targets, sizes, strict=True)])
    close(
        nn.CTCLoss()(mine.log_softmax(2), dt.tensor(joined), lengths, sizes),
        torch.nn.CTCLoss()(its.log_softmax(2), torch.tensor(joined), lengths, sizes),
    )
    short = nn.CTCLoss(reduction="none")(
        mine.log_softmax(2), dt.tensor(targets), dt.tensor([3, 5, 7]), dt.tensor(sizes)
    )
    assert np.isinf(array(short)[0])


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unpooling(dims):
    shape = (2, 4, 6, 4, 8)[: dims + 2]
    x, tx = pair(floats(*shape))
    ours = getattr(nn, f"MaxPool{dims}d")(2, return_indices=True)
    theirs = getattr(torch.nn, f"MaxPool{dims}d")(2, return_indices=True)
    (values, indices), (tvalues, tindices) = ours(x), theirs(tx)
    close(indices, tindices)
    un, tun = getattr(nn, f"MaxUnpool{dims}d")(2), getattr(torch.nn, f"MaxUnpool{dims}d")(2)
    assert repr(un) == repr(tun)
    close(un(values, indices), tun(tvalues, tindices))
    close(un(values, indices, shape), tun(tvalues, tindices, shape))


@pytest.mark.parametrize("dims", [2, 3])
def test_fractional_pooling(dims):
    x, tx = pair(floats(*(IMAGE, VOLUME)[dims - 2]))
    samples, tsamples = pair(positive(2, 4, dims))
    kwargs = {"output_size": (3,) * dims, "return_indices": True}
    ours = getattr(nn, f"FractionalMaxPool{dims}d")(2, **kwargs, _random_samples=samples)
    theirs = getattr(torch.nn, f"FractionalMaxPool{dims}d")(2, **kwargs, _random_samples=tsamples)
    for a, b in zip(ours(x), theirs(tx), strict=True):
        close(a, b)


def test_transposed_convolution_of_a_wanted_size():
    theirs, ours = torch.nn.ConvTranspose2d(4, 3, 3, 2, 1), nn.ConvTranspose2d(4, 3, 3, 2, 1)
    copy_state(ours, theirs)
    x, tx = pair(floats(*IMAGE))
    close(ours(x, output_size=[14, 11]), theirs(tx, output_size=[14, 11]))
    with pytest.raises(ValueError, match="requested an output size of"):
        ours(x, output_size=[20, 20])


def test_bad_arguments_raise_what_pytorch_raises():
    bad = [
        lambda nn: nn.Conv2d(4, 6, 3, groups=4),
        lambda nn: nn.Conv2d(4, 6, 3, padding="some"),
        lambda nn: nn.Conv2d(4, 6, 3, stride=2, padding="same"),
        lambda nn: nn.Conv2d(4, 6, 3, padding_mode="odd"),
        lambda nn: nn.Dropout(1.5),
        lambda nn: nn.GroupNorm(3, 4),
        lambda nn: nn.Embedding(4, 3, padding_idx=4),
        lambda nn: nn.MultiheadAttention(5, 2),
        lambda nn: nn.RNN(3, 5, nonlinearity="odd"),
        lambda nn: nn.LSTM(3, 5, proj_size=5),
        lambda nn: nn.GRU(3, 5, proj_size=2),
        lambda nn: nn.LSTM(3, 0),
        lambda nn: nn.TripletMarginLoss(margin=0),
        lambda nn: nn.MultiMarginLoss(p=3),
        lambda nn: nn.Unflatten(1, 5),
        lambda nn: nn.TransformerEncoderLayer(4, 2, activation="odd"),
        lambda nn: nn.Hardtanh(1, -1),
    ]
    for number, make in enumerate(bad):
        try:
            make(torch.nn)
        except Exception as error:
            theirs = error
        else:
            pytest.fail(f"PyTorch takes number {number}")
        with pytest.raises(type(theirs)):
            make(nn)


def test_bad_inputs_raise_what_pytorch_raises():
    bad = [
        (lambda nn: nn.BatchNorm2d(4), [floats(2, 4)]),
        (lambda nn: nn.BatchNorm1d(4), [floats(4)]),
        (lambda nn: nn.InstanceNorm1d(4), [floats(4)]),
        (lambda nn: nn.LSTM(3, 5), [floats(2, 4)]),
        (lambda nn: nn.LSTM(3, 5), [floats(2, 2, 2, 3)]),
        (lambda nn: nn.GRU(3, 5), [floats(4, 2, 3), floats(1, 3, 5)]),
        (lambda nn: nn.LSTMCell(3, 5), [floats(2, 4)]),
        (lambda nn: nn.Softmax2d(), [floats(2, 4)]),
        (lambda nn: nn.PixelShuffle(2), [floats(2, 3, 4, 4)]),
        (lambda nn: nn.ReflectionPad1d(9), [floats(*LINE)]),
        (lambda nn: nn.Fold((5, 6), 2), [floats(2, 12, 19)]),
        (lambda nn: nn.Upsample(), [floats(*IMAGE)]),
        (lambda nn: nn.Upsample(4, mode="linear"), [floats(*IMAGE)]),
    ]
    for make, inputs in bad:
        with pytest.raises(Exception) as theirs:
            make(torch.nn)(*[torch.tensor(x) for x in inputs])
        with pytest.raises(theirs.type):
            make(nn)(*[dt.tensor(x) for x in inputs])


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.nn.CircularPad1d(3)(t.ones(2, 3, 4, 5)),
        lambda t: t.nn.CircularPad2d(3)(t.ones(2, 3)),
        lambda t: t.nn.CircularPad3d(3)(t.ones(2, 3)),
        lambda t: t.nn.HuberLoss(delta=1 + 0j),
        lambda t: t.nn.GRU(3, 4, bias=0),
        lambda t: t.nn.LSTM(3, 4, batch_first=1),
        lambda t: t.nn.RNN(3.0, 4),
        lambda t: t.nn.RNN(0, 4),
        lambda t: t.nn.RNN(3, 4)(t.ones(2, 5, 3).double()),
        lambda t: t.nn.GRU(3, 4)(t.nn.utils.rnn.pack_sequence([t.ones(2, 3).double()])),
    ],
)
def test_layers_refuse_what_pytorchs_refuse(call):
    errors = []
    for t in (torch, dt):
        with pytest.raises((TypeError, ValueError)) as caught:
            call(t)
        errors.append(caught.value)
    assert type(errors[0]) is type(errors[1])
    assert str(errors[1]).startswith(str(errors[0]))


@pytest.mark.parametrize(
    ("call", "start"),
    [
        (lambda t: t.nn.RNNCell(2, 3)(t.ones(2, 2), t.ones(3, 3)), 35),
        (lambda t: t.nn.LSTMCell(2, 3)(t.ones(2, 2), (t.ones(2, 3), t.ones(3, 3))), 35),
        (lambda t: t.nn.GRUCell(2, 3)(t.ones(2, 2), t.ones(3, 3)), 35),
        (
            lambda t: t.nn.AdaptiveLogSoftmaxWithLoss(4, 10, [5])(t.ones(2, 4), t.tensor([0])),
            40,
        ),
        (lambda t: t.nn.EmbeddingBag(4, 2)(t.tensor([0, 1]), t.tensor([1])), 20),
        (lambda t: t.nn.EmbeddingBag(4, 2)(t.tensor([0, 1]), t.tensor([0, 5])), 40),
        (
            lambda t: t.nn.functional.scaled_dot_product_attention(
                t.ones(2, 3), t.ones(2, 3), t.ones(2, 3), t.ones(2, 2).bool(), is_causal=True
            ),
            0,
        ),
        (
            lambda t: t.nn.LSTM(3, 4)(t.nn.utils.rnn.pack_sequence([t.ones(2, 3).double()])),
            0,
        ),
    ],
)
def test_layers_refuse_sizes_that_differ(call, start):
    errors = []
    for t in (torch, dt):
        with pytest.raises(RuntimeError) as caught:
            call(t)
        errors.append(str(caught.value)[:start])
    assert errors[0] == errors[1]


@pytest.mark.parametrize("t", [torch, dt], ids=["theirs", "ours"])
def test_types_of_a_losss_attributes_are_found_from_outside(t):
    """fastai asks for them, in a namespace that has its own names only."""
    assert typing.get_type_hints(t.nn.MSELoss(), globalns={}) == {"reduction": str}
