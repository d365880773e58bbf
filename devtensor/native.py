"""Functions that PyTorch has at its top besides those of `nn.functional`, with other arguments.

Weights stand elsewhere, and a reduction is a number; as in PyTorch these losses are not reduced if
none is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.nn.rnn_cell import all_states
from devtensor.ops import norm
from devtensor.tensor import Tensor

__all__ = [
    "adaptive_max_pool1d",
    "affine_grid_generator",
    "alpha_dropout",
    "alpha_dropout_",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "ctc_loss",
    "dropout_",
    "embedding",
    "feature_alpha_dropout",
    "frobenius_norm",
    "grid_sampler",
    "group_norm",
    "gru",
    "gru_cell",
    "hinge_embedding_loss",
    "instance_norm",
    "kl_div",
    "layer_norm",
    "lstm",
    "lstm_cell",
    "margin_ranking_loss",
    "native_batch_norm",
    "native_dropout",
    "native_group_norm",
    "native_layer_norm",
    "norm_except_dim",
    "nuclear_norm",
    "poisson_nll_loss",
    "rms_norm",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
    "triplet_margin_loss",
]

Maybe = Tensor | None


def named(reduction: int) -> str:
    """The name of a reduction.

    Raises
    ------
    ValueError
        If it is none of 0, 1, 2.
    """
    if reduction not in (0, 1, 2):
        raise ValueError(
            f"{reduction} is not a valid value for reduction: 0 is none, 1 is mean, 2 is sum"
        )
    return ("none", "mean", "sum")[reduction]


# ---- normalization


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Maybe = None, bias: Maybe = None,
    eps: float = 1e-5, cudnn_enable: bool = True,
) -> Tensor:  # fmt: skip
    """`nn.functional.layer_norm`."""
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Maybe = None, eps: float | None = None
) -> Tensor:
    """`nn.functional.rms_norm`."""
    return F.rms_norm(input, normalized_shape, weight, eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Maybe = None, bias: Maybe = None, eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    """`nn.functional.group_norm`."""
    return F.group_norm(input, num_groups, weight, bias, eps)


def batch_norm(
    input: Tensor, weight: Maybe, bias: Maybe, running_mean: Maybe, running_var: Maybe,
    training: bool, momentum: float, eps: float, cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """`nn.functional.batch_norm`, with weight and bias first."""
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor, weight: Maybe, bias: Maybe, running_mean: Maybe, running_var: Maybe,
    use_input_stats: bool, momentum: float, eps: float, cudnn_enabled: bool,
) -> Tensor:  # fmt: skip
    """`nn.functional.instance_norm`, with weight and bias first."""
    return F.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def shown(mean: Tensor, rstd: Tensor, input: Tensor, weight: Maybe, shape: Sequence[int]) -> Any:
    """Statistics in a shape, and in the type of the input unless its factors are wider."""
    dtype = input.dtype if weight is None else weight.dtype
    return mean.reshape(shape).to(dtype), rstd.reshape(shape).to(dtype)


def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Maybe, bias: Maybe, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`layer_norm`, and the means and reciprocal deviations, which have no derivatives."""
    given = {"weight": weight, "bias": bias}
    dims = len(norm.require_normalized("layer_norm", input, normalized_shape, "[*", given))
    out, mean, rstd = norm.native_layer_norm(input, weight, bias, dims, eps)
    shape = (*input.shape[: input.ndim - dims], *(1,) * dims)
    return out, *shown(mean.detach(), rstd.detach(), input, weight, shape)


def native_group_norm(
    input: Tensor, weight: Maybe, bias: Maybe, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """`group_norm`, and the means and reciprocal deviations of the groups."""
    out, mean, rstd = norm.native_group_norm(input.reshape(N, C, HxW), weight, bias, group, eps)
    return out.reshape(input.shape), *shown(mean, rstd, input, weight, (N, group))


def native_batch_norm(
    input: Tensor, weight: Maybe, bias: Maybe, running_mean: Maybe, running_var: Maybe,
    training: bool, momentum: float, eps: float,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """`batch_norm`, and the means and reciprocal deviations that training takes."""
    out = F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        return out, input.new_empty(0), input.new_empty(0)
    exact = dt.promote_types(input.dtype, dt.float32)
    var, mean = dt.var_mean(input.detach().to(exact), (0, *range(2, input.ndim)), correction=0)
    return out, *shown(mean, (var + eps).rsqrt(), input, weight, mean.shape)


# ---- losses


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Maybe = None, pos_weight: Maybe = None,
    reduction: int = 0,
) -> Tensor:  # fmt: skip
    """`nn.functional.binary_cross_entropy_with_logits`."""
    return F.binary_cross_entropy_with_logits(
        input, target, weight, reduction=named(reduction), pos_weight=pos_weight
    )


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """`nn.functional.cosine_embedding_loss`."""
    return F.cosine_embedding_loss(input1, input2, target, margin, reduction=named(reduction))


def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: int = 0, zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """`nn.functional.ctc_loss`."""
    return F.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, named(reduction), zero_infinity
    )


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0
) -> Tensor:
    """`nn.functional.hinge_embedding_loss`."""
    return F.hinge_embedding_loss(input, target, margin, reduction=named(reduction))


def kl_div(
    input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False
) -> Tensor:
    """`nn.functional.kl_div`."""
    pointwise = F.kl_div(input, target, reduction="none", log_target=log_target)
    return reduced(pointwise, reduction)


def reduced(values: Tensor, reduction: int) -> Tensor:
    """Values, their mean or their sum."""
    how = named(reduction)
    made: Tensor = values if how == "none" else getattr(values, how)()
    return made


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """`nn.functional.margin_ranking_loss`."""
    return F.margin_ranking_loss(input1, input2, target, margin, reduction=named(reduction))


def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int
) -> Tensor:
    """`nn.functional.poisson_nll_loss`."""
    return F.poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=named(reduction))


def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, reduction: int = 0,
) -> Tensor:  # fmt: skip
    """`nn.functional.triplet_margin_loss`."""
    return F.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=named(reduction)
    )


# ---- recurrent cells


def step(mode: str, input: Tensor, state: tuple[Tensor, ...], weights: Sequence[Maybe]) -> Any:
    """The next state of a cell, with weights from outside."""
    w_ih, w_hh, b_ih, b_hh = weights
    assert w_ih is not None and w_hh is not None
    gates = F.linear(input, w_ih, b_ih)
    return all_states(mode, gates, state, w_hh, b_hh, None)[1]


def lstm_cell(
    input: Tensor, hx: Any, w_ih: Tensor, w_hh: Tensor, b_ih: Maybe = None, b_hh: Maybe = None
) -> tuple[Tensor, Tensor]:
    """A step of `nn.LSTMCell`, with weights from outside."""
    return step("LSTM", input, tuple(hx), (w_ih, w_hh, b_ih, b_hh))


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Maybe = None, b_hh: Maybe = None
) -> Tensor:
    """A step of `nn.GRUCell`, with weights from outside."""
    return step("GRU", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Maybe = None, b_hh: Maybe = None
) -> Tensor:
    """A step of `nn.RNNCell`, with weights from outside."""
    return step("RNN_TANH", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Maybe = None, b_hh: Maybe = None
) -> Tensor:
    """A step of `nn.RNNCell` with relu, with weights from outside."""
    return step("RNN_RELU", input, (hx,), (w_ih, w_hh, b_ih, b_hh))[0]


def layers(kind: Any, made: dict[str, Any], input: Any, hx: Any, params: Any, *how: Any) -> Any:
    """What a recurrent module of `nn` computes, with weights from outside."""
    has_biases, num_layers, dropout, train, bidirectional, batch_first = how
    module = kind(
        input.shape[-1], params[1].shape[1], num_layers=num_layers, bias=has_biases,
        batch_first=batch_first, dropout=dropout, bidirectional=bidirectional, **made,
    ).train(train)  # fmt: skip
    names = [name for name, _ in module.named_parameters()]
    from devtensor.func import functional_call

    return functional_call(module, dict(zip(names, params, strict=True)), (input, hx))


def lstm(
    input: Tensor, hx: Sequence[Tensor], params: Sequence[Tensor], has_biases: bool,
    num_layers: int, dropout: float, train: bool, bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """`nn.LSTM`, with weights from outside: the output, and both states at the end."""
    how = has_biases, num_layers, dropout, train, bidirectional, batch_first
    out, (hidden, memory) = layers(dt.nn.LSTM, {}, input, tuple(hx), params, *how)
    return out, hidden, memory


def gru(
    input: Tensor, hx: Tensor, params: Sequence[Tensor], has_biases: bool, num_layers: int,
    dropout: float, train: bool, bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`nn.GRU`, with weights from outside: the output, and the state at the end."""
    how = has_biases, num_layers, dropout, train, bidirectional, batch_first
    return layers(dt.nn.GRU, {}, input, hx, params, *how)


def rnn_tanh(
    input: Tensor, hx: Tensor, params: Sequence[Tensor], has_biases: bool, num_layers: int,
    dropout: float, train: bool, bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`nn.RNN`, with weights from outside: the output, and the state at the end."""
    how = has_biases, num_layers, dropout, train, bidirectional, batch_first
    return layers(dt.nn.RNN, {}, input, hx, params, *how)


def rnn_relu(
    input: Tensor, hx: Tensor, params: Sequence[Tensor], has_biases: bool, num_layers: int,
    dropout: float, train: bool, bidirectional: bool, batch_first: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """`nn.RNN` with relu, with weights from outside: the output, and the state at the end."""
    how = has_biases, num_layers, dropout, train, bidirectional, batch_first
    return layers(dt.nn.RNN, {"nonlinearity": "relu"}, input, hx, params, *how)


# ---- others


def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:  # fmt: skip
    """`nn.functional.embedding`, with the weight first; -1 is no padding."""
    padding = None if padding_idx == -1 else padding_idx
    return F.embedding(
        indices, weight, padding, scale_grad_by_freq=scale_grad_by_freq, sparse=sparse
    )


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.alpha_dropout`."""
    return F.alpha_dropout(input, p, train)


def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """`nn.functional.dropout`, and what was kept."""
    factor = F.dropout(input.new_ones(input.shape), p, train is not False)
    return input * factor, factor != 0


def dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.dropout`, in place."""
    return F.dropout(input, p, train, True)


def alpha_dropout_(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.alpha_dropout`, in place."""
    return F.alpha_dropout(input, p, train, True)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """`nn.functional.feature_alpha_dropout`."""
    return F.feature_alpha_dropout(input, p, train)


def adaptive_max_pool1d(input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:
    """`nn.functional.adaptive_max_pool1d`, with the places of the maxima."""
    return F.adaptive_max_pool1d(input, output_size, return_indices=True)


def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """`nn.functional.affine_grid`."""
    return F.affine_grid(theta, list(size), align_corners)


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """`nn.functional.grid_sample`, with numbers for the modes."""
    mode = ("bilinear", "nearest", "bicubic")[interpolation_mode]
    padding = ("zeros", "border", "reflection")[padding_mode]
    return F.grid_sample(input, grid, mode, padding, align_corners)


grid_sampler_2d = grid_sampler_3d = grid_sampler


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """The norm over all dimensions but `dim`; over all if that is -1."""
    others = [i for i in range(v.ndim) if i != dim]
    if dim == -1:
        return dt.norm(v, pow)
    return dt.norm(v, pow, others, keepdim=True) if others else v.abs()


def frobenius_norm(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """The square root of the sum of squares over one dimension or two."""
    return dt.linalg.vector_norm(input, dim=dim, keepdim=keepdim)


def nuclear_norm(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The sum of the singular values."""
    return dt.norm(input, "nuc", dim=dim, keepdim=keepdim)
