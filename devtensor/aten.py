"""Operations by their names in PyTorch's dispatcher, ``torch.ops.aten.slice``, where no other fits.

Most names are those of functions and methods. The rules for the others: those of a module begin
with its name, what writes in place and what returns a new tensor are made of one another, and the
way back of an operation is made of the operation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import devtensor as dt
from devtensor.refusal import refused
from devtensor.tensor import Tensor

__all__ = ["find"]

Function = Callable[..., Any]
HOMES = ("devtensor", "devtensor.nn.functional", "devtensor.native", "devtensor.dispatched")
"""The modules whose functions have the names that they have in the dispatcher."""

F = dt.nn.functional
REDUCTIONS = ("none", "mean", "sum")


def find(name: str) -> Function | None:
    """The function of a name; None if there is none."""
    found: Any = OPERATIONS.get(name)
    for home in HOMES:
        found = found if callable(found) else getattr(import_module(home), name, None)
    found = found if callable(found) else vars(Tensor).get(name)
    if isinstance(found, property):
        return found.fget
    return found if callable(found) else derived(name)


def derived(name: str) -> Function | None:
    """What follows from a name by the rules."""
    module, _, rest = name.partition("_")
    if module in ("linalg", "fft", "special"):
        found = getattr(getattr(dt, module), rest, None)
        return found if callable(found) else None
    if name.endswith("_backward"):
        base = name.removesuffix("_backward")
        whole = find(base) if base in OF_INPUTS or base in OF_SHAPES else None
        return whole and (back_to_shape if base in OF_SHAPES else back)(whole)
    if name.endswith("_") and not name.startswith("__"):
        plain = find(name[:-1])
        return plain and (lambda x, *args, **kw: x.copy_(plain(x, *args, **kw)))
    writer = getattr(Tensor, f"{name.removesuffix('_functional')}_", None)
    return writer and (lambda x, *args, **kw: writer(x.clone(), *args, **kw))


# ---- losses, whose reductions are numbers here

LOSSES = {
    "mse_loss": "reduction",
    "l1_loss": "reduction",
    "smooth_l1_loss": "reduction beta",
    "huber_loss": "reduction delta",
    "soft_margin_loss": "reduction",
    "multilabel_margin_loss": "reduction",
    "nll_loss": "weight reduction ignore_index",
    "cross_entropy": "weight reduction ignore_index label_smoothing",
    "binary_cross_entropy": "weight reduction",
    "multi_margin_loss": "p margin weight reduction",
}
"""The arguments of each behind the input and the target."""


def loss(function: Function, names: Sequence[str]) -> Function:
    """A loss as it is called by place."""

    def call(input: Tensor, target: Tensor, *args: Any, **kwargs: Any) -> Any:
        given = {"reduction": 1, **dict(zip(names, args, strict=False)), **kwargs}
        given["reduction"] = REDUCTIONS[given["reduction"]]
        return function(input, target, **given)

    return call


def nll_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor | None, reduction: int, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """`nll_loss`, and the sum of the weights that count; 0 if nothing is summed."""
    how = REDUCTIONS[reduction]
    out = F.nll_loss(input, target, weight, ignore_index=ignore_index, reduction=how)
    if how == "none":
        return out, input.new_zeros(())
    counts = target != ignore_index
    if weight is None:
        return out, counts.sum().to(input.dtype)
    return out, (weight[target * counts] * counts).sum()


# ---- ways back

OF_INPUTS = {
    "avg_pool2d", "avg_pool3d", "binary_cross_entropy", "gelu", "glu", "hardshrink", "hardsigmoid",
    "hardswish", "hardtanh", "huber_loss", "logit", "masked_select", "mish", "mse_loss",
    "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
    "replication_pad2d", "replication_pad3d", "silu", "smooth_l1_loss", "soft_margin_loss",
    "softplus", "softshrink",
}  # fmt: skip
"""Operations whose way back gets the gradient and what the operation gets."""

OF_SHAPES = {"diagonal", "index_select", "select", "slice", "trace", "unfold"}
"""Those whose way back gets the gradient, the shape of the input, and the other arguments."""


def back(function: Function) -> Function:
    """The way back to the first argument of an operation."""

    def call(grad_output: Tensor, input: Tensor, *args: Any, **kwargs: Any) -> Any:
        return dt.func.vjp(lambda x: function(x, *args, **kwargs), input)[1](grad_output)[0]

    return call


def back_to_shape(function: Function) -> Function:
    """The way back to an input of which only the shape matters."""
    whole = back(function)
    return lambda grad_output, sizes, *args: whole(grad_output, grad_output.new_zeros(sizes), *args)


def elu_backward(
    grad_output: Tensor, alpha: float, scale: float, input_scale: float, is_result: bool,
    self_or_result: Tensor,
) -> Tensor:  # fmt: skip
    """The way back of `elu`, from what it was given or from what it gave."""
    x = self_or_result
    slope = x + alpha * scale if is_result else alpha * scale * (x * input_scale).exp()
    return grad_output * dt.where(x > 0, scale, input_scale * slope)


def softmax_backward(
    grad_output: Tensor, output: Tensor, dim: int, input_dtype: Any = None
) -> Tensor:
    """The way back of `softmax`, from what it gave."""
    weighted = grad_output * output
    return (weighted - output * weighted.sum(dim, True)).to(input_dtype or output.dtype)


def log_softmax_backward(
    grad_output: Tensor, output: Tensor, dim: int, input_dtype: Any = None
) -> Tensor:
    """The way back of `log_softmax`, from what it gave."""
    made = grad_output - output.exp() * grad_output.sum(dim, True)
    return made.to(input_dtype or output.dtype)


def embedding_dense_backward(
    grad_output: Tensor, indices: Tensor, num_weights: int, padding_idx: int,
    scale_grad_by_freq: bool,
) -> Tensor:  # fmt: skip
    """The gradient of the table of `embedding`."""
    table = grad_output.new_zeros(num_weights, grad_output.shape[-1])
    padding = None if padding_idx < 0 else padding_idx

    def rows_of(table: Tensor) -> Any:
        return F.embedding(
            indices, table, padding_idx=padding, scale_grad_by_freq=scale_grad_by_freq
        )

    made: Tensor = back(rows_of)(grad_output, table)
    return made


def native_layer_norm_backward(
    grad_out: Tensor, input: Tensor, normalized_shape: Sequence[int], mean: Tensor, rstd: Tensor,
    weight: Tensor | None, bias: Tensor | None, output_mask: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:  # fmt: skip
    """The gradients of `native_layer_norm`, from the statistics that it gave."""
    own = tuple(range(input.ndim - len(normalized_shape), input.ndim))
    others = tuple(range(own[0]))
    straight = (input - mean) * rstd
    g = grad_out if weight is None else grad_out * weight
    away = g - g.mean(own, True) - straight * (g * straight).mean(own, True)
    made = (
        rstd * away,
        (grad_out * straight).sum(others) if others else grad_out * straight,
        grad_out.sum(others) if others else grad_out,
    )
    first, second, third = [
        x if wanted else None for x, wanted in zip(made, output_mask, strict=True)
    ]
    return first, second, third


# ---- others


def index(input: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    """The elements at `indices`, one to each dimension; None takes all of it."""
    return input[tuple(slice(None) if one is None else one for one in indices)]


def part(
    input: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """The places from `start` to `end` in one dimension."""
    return input[(slice(None),) * (dim % input.ndim) + (slice(start, end, step),)]


def copied(
    input: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None,
    pin_memory: bool | None = None, non_blocking: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """A copy in another type or place."""
    place = input.device if device is None else device
    made: Tensor = input.to(place, dtype or input.dtype, non_blocking, True)
    return made


def resized(mode: str, **options: Any) -> Function:
    """A resize to a size, or by factors where that is None."""

    def call(input: Tensor, output_size: Any, *args: Any, **kwargs: Any) -> Any:
        aligned = dict(zip(["align_corners"][: mode != "nearest"], args, strict=False))
        factors: Any = [f for f in (*args[len(aligned) :], *kwargs.values()) if f is not None]
        size = None if output_size is None else tuple(output_size)
        factors = factors[0] if factors and isinstance(factors[0], (list, tuple)) else factors
        return F.interpolate(
            input, size, None if size else factors, mode=mode, **aligned, **options
        )

    return call


def padded(mode: str) -> Function:
    """Padding by elements of the tensor."""
    return lambda input, padding: F.pad(input, list(padding), mode=mode)


OPERATIONS: dict[str, Function] = {
    "_adaptive_avg_pool2d": F.adaptive_avg_pool2d,
    "_adaptive_avg_pool3d": F.adaptive_avg_pool3d,
    "_conj": lambda x: x.conj(),
    "_adaptive_avg_pool2d_backward": lambda g, x: back(F.adaptive_avg_pool2d)(g, x, g.shape[-2:]),
    "_convolution": lambda *args: dt.convolution(*args[:9]),
    "_local_scalar_dense": Tensor.item,
    "_log_softmax": lambda x, dim, half_to_float=False: x.log_softmax(
        dim, dtype=dt.float32 if half_to_float else None
    ),
    "_log_softmax_backward_data": log_softmax_backward,
    "_pin_memory": Tensor.pin_memory,
    "_reshape_alias": lambda x, size, stride: x.as_strided(size, stride),
    "_safe_softmax": lambda x, dim, dtype=None: x.softmax(dim, dtype=dtype).nan_to_num(nan=0.0),
    "_softmax": lambda x, dim, half_to_float=False: x.softmax(
        dim, dtype=dt.float32 if half_to_float else None
    ),
    "_softmax_backward_data": softmax_backward,
    "_sparse_addmm": refused("ops.aten._sparse_addmm", "use torch.sparse.addmm"),
    "_sparse_mm_reduce_impl": refused(
        "ops.aten._sparse_mm_reduce_impl", "use torch.sparse.mm with reduce"
    ),
    "_stack": lambda tensors, dim=0: dt.stack(tensors, dim),
    "_to_copy": copied,
    "_unsafe_index": index,
    "_unsafe_view": lambda x, size: x.view(size),
    "alias": lambda x: x.view_as(x),
    "col2im": F.fold,
    "elu_backward": elu_backward,
    "embedding_dense_backward": embedding_dense_backward,
    "im2col": F.unfold,
    "index": index,
    "leaky_relu_backward": lambda g, x, slope, self_is_result: dt.where(x > 0, g, g * slope),
    "log_sigmoid": F.logsigmoid,
    "max_pool2d_with_indices_backward": lambda g, x, *args: back(F.max_pool2d)(g, x, *args[:-1]),
    "lift": lambda x: x,
    "lift_fresh": lambda x: x,
    "lift_fresh_copy": Tensor.clone,
    "native_dropout_backward": lambda g, mask, scale: g * mask * scale,
    "native_layer_norm_backward": native_layer_norm_backward,
    "nll_loss2d_forward": nll_loss_forward,
    "nll_loss_forward": nll_loss_forward,
    "numpy_T": lambda x: x.T,
    "sigmoid_backward": lambda g, output: g * (1 - output) * output,
    "slice": part,
    "sym_numel": Tensor.numel,
    "sym_size": lambda x, *dim: x.size(*dim) if dim else [*x.shape],
    "sym_storage_offset": Tensor.storage_offset,
    "sym_stride": lambda x, *dim: x.stride(*dim) if dim else [*x.stride()],
    "tanh_backward": lambda g, output: g * (1 - output * output),
    "threshold_backward": lambda g, x, threshold: dt.where(x <= threshold, 0, g),
    "zero": dt.zeros_like,
}
"""A name under ``torch.ops.aten`` to its function."""

for _name, _names in LOSSES.items():
    OPERATIONS[_name] = loss(getattr(F, _name), _names.split())
OPERATIONS["cross_entropy_loss"] = OPERATIONS.pop("cross_entropy")
for _dims in (1, 2, 3):
    OPERATIONS[f"upsample_nearest{_dims}d"] = resized("nearest")
    OPERATIONS[f"reflection_pad{_dims}d"] = padded("reflect")
    OPERATIONS[f"replication_pad{_dims}d"] = padded("replicate")
for _mode in ("linear1d", "bilinear2d", "bicubic2d", "trilinear3d"):
    OPERATIONS[f"upsample_{_mode}"] = resized(_mode[:-2])
for _mode in ("bilinear2d", "bicubic2d"):
    OPERATIONS[f"_upsample_{_mode}_aa"] = resized(_mode[:-2], antialias=True)
