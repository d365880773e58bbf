"""Losses: how far a prediction is from its target, as one number or one to each element."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from devtensor.dtype import bfloat16, int64, of, uint8
from devtensor.example import fixed, ints, positive, unit
from devtensor.halves import apart, rounded
from devtensor.op import composite, derivative, op
from devtensor.ops.activation import logsigmoid
from devtensor.ops.arguments import anywhere
from devtensor.ops.create import ones_like, zeros_like
from devtensor.ops.elementwise import half, widened
from devtensor.ops.linalg import kind_of, require_batches

if TYPE_CHECKING:
    from devtensor.tensor import Tensor

REDUCTIONS = ("none", "mean", "sum")


# ---- what several losses share ----


def how_to_reduce(
    reduction: str, size_average: bool | None = None, reduce: bool | None = None
) -> str:
    """The reduction, by PyTorch's older arguments where given; ValueError for an unknown word."""
    if size_average is not None or reduce is not None:
        averaged = "mean" if size_average is None or size_average else "sum"
        reduction = averaged if reduce is None or reduce else "none"
        warnings.warn(
            "size_average and reduce args will be deprecated, please use "
            f"reduction='{reduction}' instead.",
            stacklevel=3,
        )
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"{reduction} is not a valid value for reduction: use one of {', '.join(REDUCTIONS)}"
        )
    return reduction


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """A loss to each element, averaged or summed."""
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def reduce_array(xp: Any, loss: Any, reduction: str) -> Any:
    """`reduced` for kernels; what is stored in two bytes is added up in four."""
    if reduction == "none":
        return loss
    wide = xp.astype(loss, xp.float32) if half(loss) else loss
    if reduction == "sum":
        total = xp.sum(wide)
    else:
        total = xp.mean(wide) if math.prod(loss.shape) else xp.sum(wide) + math.nan
    return total if wide is loss else xp.astype(total, loss.dtype)


def share(g: Any, loss_shape: tuple[int, ...], reduction: str) -> Any:
    """The gradient that reaches each element of a loss before `reduction`."""
    return g / max(1, math.prod(loss_shape)) if reduction == "mean" else g


def warn_of_broadcast(input: Tensor, target: Tensor) -> None:
    """A target of another shape is nearly always a mistake."""
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This "
            "will likely lead to incorrect results due to broadcasting. Please ensure they have "
            "the same "
            "size.",
            stacklevel=3,
        )


def broadcast(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Two tensors, expanded to the shape they broadcast to."""
    shape = require_batches(first.shape, second.shape)
    return first.expand(shape), second.expand(shape)


def require_weight(weight: Tensor | None, input: Tensor) -> None:
    """Raise ValueError unless there is a weight to each element of `input`."""
    if weight is not None and weight.shape != input.shape:
        raise ValueError(
            f"Weights and input must have the same size: got {weight.shape} and {input.shape}"
        )


def weighted(loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """A loss to each element times weights; the mean is divided by the sum of the weights."""
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else reduced(loss, reduction)


# ---- distances ----


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 3), (2, 3)),
        ((2, 3), (2, 3), {"reduction": "sum"}),
        ((2, 3), (2, 3), {"reduction": "none"}),
        ((), ()),
    ],
)
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Mean of the squared differences.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; other shapes broadcast, with a warning.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the elements' losses.
    weight : Tensor, optional
        A factor for each element; the mean is divided by their sum.

    Raises
    ------
    ValueError
        If `reduction` is another word, or `weight` has another shape.
    RuntimeError
        If the shapes do not broadcast.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    require_weight(weight, input)
    if input.shape != target.shape:
        warn_of_broadcast(input, target)
        input, target = broadcast(input, target)
    if weight is not None:
        return weighted(squared_error(input, target, "none"), weight, reduction)
    return squared_error(input, target, reduction)


@op(
    rounds="steps",
    public=False,
    accepts=("float", "complex"),
    node="MseLossBackward0",
    examples=[
        ((2, 3), (2, 3)),
        ((2, 3), (2, 3), {"reduction": "none"}),
        ((4,), (4,), {"reduction": "sum"}),
    ],
    oracle=lambda torch, *args, **options: torch.nn.functional.mse_loss(*args, **options),
)
def squared_error(xp, input, target, /, reduction="mean"):
    """Squared differences of tensors of one shape, reduced."""
    difference = input - target
    return reduce_array(xp, difference * difference, reduction)


def squared_error_rule(xp, g, input, target, input_shape, reduction, needs):
    slope = (input - target) * (2 * share(g, input_shape, reduction))
    return slope if needs[0] else None, -slope if needs[1] else None


def half_squared_error_rule(xp, g, input, target, input_shape, reduction, needs):
    part = rounded(share(2.0, input_shape, reduction), of(input.dtype))
    slope = xp.mul(input - target, part) * g
    return slope if needs[0] else None, -slope if needs[1] else None


derivative(squared_error, together=apart(squared_error_rule, half_squared_error_rule))


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 3), (2, 3)),
        ((2, 3), (2, 3), {"reduction": "sum"}),
        ((2, 3), (2, 3), {"reduction": "none"}),
    ],
)
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Mean of the absolute differences.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; other shapes broadcast, with a warning.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the elements' losses.
    weight : Tensor, optional
        A factor for each element; the mean is divided by their sum.

    Raises
    ------
    ValueError
        If `reduction` is another word, or `weight` has another shape.
    RuntimeError
        If the shapes do not broadcast.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    require_weight(weight, input)
    if input.shape != target.shape:
        warn_of_broadcast(input, target)
        input, target = broadcast(input, target)
    loss = (input - target).abs()
    return reduced(loss, reduction) if weight is None else weighted(loss, weight, reduction)


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 3), (2, 3)),
        ((2, 3), (2, 3), {"reduction": "sum", "beta": 0.5}),
        ((2, 3), (2, 3), {"reduction": "none", "beta": 0}),
    ],
)
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """Absolute differences, but squared ones (over ``2 * beta``) where they are below `beta`.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; other shapes broadcast, with a warning.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the elements' losses.
    beta : float, optional
        Where the two forms meet; 0 gives `l1_loss`.

    Raises
    ------
    ValueError
        If `reduction` is another word.
    RuntimeError
        If `beta` is negative or the shapes do not broadcast.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta, got {beta}.")
    if input.shape != target.shape:
        warn_of_broadcast(input, target)
        input, target = broadcast(input, target)
    if beta == 0:
        return reduced((input - target).abs(), reduction)
    return reduced(huber(input, target, float(beta), True), reduction)


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 3), (2, 3)),
        ((2, 3), (2, 3), {"reduction": "sum", "delta": 0.5}),
        ((2, 3), (2, 3), {"reduction": "none"}),
    ],
)
def huber_loss(
    input: Tensor,
    target: Tensor,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Tensor | None = None,
) -> Tensor:
    """Half the squared differences, but linear (of slope `delta`) where they are above `delta`.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; other shapes broadcast, with a warning.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the elements' losses.
    delta : float, optional
        Where the two forms meet.
    weight : Tensor, optional
        A factor for each element.

    Raises
    ------
    ValueError
        If `reduction` is another word, or `weight` has another shape.
    RuntimeError
        If `delta` is not positive or the shapes do not broadcast.
    """
    reduction = how_to_reduce(reduction)
    if delta <= 0:
        raise RuntimeError(
            f"huber_loss does not support non-positive values for delta, got {delta}."
        )
    require_weight(weight, input)
    if input.shape != target.shape:
        warn_of_broadcast(input, target)
        input, target = broadcast(input, target)
    loss = huber(input, target, float(delta))
    return reduced(loss if weight is None else loss * weight, reduction)


@op(
    rounds="steps",
    public=False,
    accepts=("float",),
    node="HuberLossBackward0",
    examples=[((2, 3), (2, 3), {"delta": 0.7})],
    oracle=lambda torch, *args, delta: torch.nn.functional.huber_loss(
        *args, delta=delta, reduction="none"
    ),
)
def huber(xp, input, target, /, delta, smooth=False):
    """Huber's function of the differences of tensors of one shape, `smooth` over `delta`."""
    if half(input):
        return half_huber(xp, input, target, delta, smooth)
    size = xp.abs(input - target)
    near = xp.minimum(size, delta)
    loss = near * (size - 0.5 * near)
    return loss / delta if smooth and delta != 1 else loss


def half_huber(xp, input, target, delta, smooth):
    """`huber` of numbers of two bytes, rounded where PyTorch does: once or at every step."""
    dtype, short = input.dtype, of(input.dtype)
    if smooth == (short is bfloat16):
        input, target = widened(xp, input, target)
    else:
        delta = rounded(delta, short)
    size = xp.abs(input - target)
    if smooth:
        loss = xp.where(size < delta, 0.5 * size * size / delta, size - 0.5 * delta)
    else:
        loss = xp.where(
            size <= delta, 0.5 * size * size, delta * xp.sub(size, rounded(0.5 * delta, short))
        )
    return xp.astype(loss, dtype)


def huber_rule(xp, g, input, target, delta, smooth, needs):
    slope = g * xp.clip(input - target, -delta, delta)
    slope = slope / delta if smooth and delta != 1 else slope
    return slope if needs[0] else None, -slope if needs[1] else None


def half_huber_rule(xp, g, input, target, delta, smooth, needs):
    if smooth:
        return huber_rule(xp, *widened(xp, g, input, target), delta, smooth, needs)
    delta, away = rounded(delta, of(input.dtype)), input - target
    ends = xp.mul(g, delta)
    ends = xp.where(away < 0, -ends, ends)
    slope = xp.where(xp.abs(away) >= delta, ends, away * g)
    return slope if needs[0] else None, -slope if needs[1] else None


derivative(huber, together=apart(huber_rule, half_huber_rule))


# ---- classes ----


@op(
    public=False,
    promotes=None,
    outputs=("loss", "probabilities"),
    node="NllLossBackward0",
    examples=[
        ((4, 3), ints(4, low=0, high=3), {"dim": 1}),
        ((2, 3, 4), ints(2, 4, low=0, high=3), {"dim": 1, "reduction": "sum"}),
        ((4, 3), ints(4, low=0, high=3), {"dim": 1, "reduction": "none"}),
        ((3,), fixed(1), {"dim": 0}),
        ((4, 3), fixed([0, 2, 1, 2]), {"dim": 1, "ignore_index": 1}),
    ],
    oracle=None,
)
def class_entropy(xp, input, target, weight=None, /, *, dim, reduction="mean", ignore_index=-100):
    """The logarithm of the softmax along `dim`, negated and read at the target, then reduced.

    The second result, the softmax itself, is what the way back needs.
    """
    shifted = input - xp.max(input, axis=dim, keepdims=True)
    probabilities = xp.exp(shifted)
    total = xp.sum(probabilities, axis=dim, keepdims=True)
    target, coefficient = class_weights(xp, target, weight, input, dim, ignore_index)
    read = xp.take_along_axis(shifted, xp.expand_dims(target, axis=dim), axis=dim)
    loss = xp.squeeze(xp.log(total) - read, axis=dim)
    return reduce_classes(xp, loss, coefficient, reduction), probabilities / total


def class_weights(
    xp: Any, target: Any, weight: Any, input: Any, dim: int, ignore_index: int
) -> tuple[Any, Any]:
    """The target with ignored places set to 0, and what each place counts (None: 1 each).

    Raises IndexError for a class that does not exist.
    """
    classes = input.shape[dim]
    outside = (target < 0) | (target >= classes)
    coefficient = None
    if bool(xp.any(outside)) or 0 <= ignore_index < classes:
        ignored = target == ignore_index
        wrong = outside & ~ignored
        if bool(xp.any(wrong)):
            raise IndexError(
                f"Target {int(xp.max(xp.where(wrong, target, xp.min(target))))} is out of bounds: "
                f"there are {classes} classes"
            )
        target = xp.where(ignored, xp.zeros_like(target), target)
        coefficient = xp.astype(~ignored, input.dtype)
    if weight is not None:
        chosen = xp.reshape(xp.take(weight, xp.reshape(target, (-1,)), axis=0), target.shape)
        coefficient = chosen if coefficient is None else chosen * coefficient
    return xp.astype(target, xp.int64), coefficient


def reduce_classes(xp: Any, loss: Any, coefficient: Any, reduction: str) -> Any:
    """A loss to each sample, weighted and reduced; ignored samples do not count, even if NaN."""
    if coefficient is None:
        return reduce_array(xp, loss, reduction)
    loss = xp.where(coefficient == 0, xp.zeros_like(loss), loss * coefficient)
    if reduction != "mean":
        return reduce_array(xp, loss, reduction)
    if half(loss):
        wide = xp.sum(xp.astype(loss, xp.float32)) / xp.sum(xp.astype(coefficient, xp.float32))
        return xp.astype(wide, loss.dtype)
    return xp.sum(loss) / xp.sum(coefficient)


def shares(xp: Any, coefficient: Any, reduction: str) -> Any:
    """What part of a reduced loss each sample is; nothing where it does not count."""
    if reduction != "mean":
        return coefficient
    if half(coefficient):
        return xp.astype(shares(xp, xp.astype(coefficient, xp.float32), "mean"), coefficient.dtype)
    return xp.where(
        coefficient == 0, coefficient, coefficient / reduce_array(xp, coefficient, "sum")
    )


def class_entropy_rule(xp, gs, target, weight, probabilities, dim, reduction, ignore_index):
    g, g_probabilities = gs
    slope = None
    if g is not None:
        slope = xp.class_slope(
            g,
            probabilities,
            target,
            weight,
            dim=dim,
            reduction=reduction,
            ignore_index=ignore_index,
        )
    if g_probabilities is not None:
        part = probabilities * g_probabilities
        part = part - probabilities * xp.sum(part, axis=dim, keepdims=True)
        slope = part if slope is None else slope + part
    return slope


derivative(class_entropy, input=class_entropy_rule)


@op(
    public=False,
    promotes=None,
    examples=[((), (4, 3), ints(4, low=0, high=3), {"dim": 1})],
    oracle=None,
)
def class_shares(
    xp, pull, input, target, weight=None, /, *, dim, reduction="mean", ignore_index=-100
):
    """What of the gradient `pull` of a reduced loss reaches each sample."""
    _, coefficient = class_weights(xp, target, weight, input, dim, ignore_index)
    shape = tuple(target.shape)
    if coefficient is None:
        return xp.broadcast_to(
            pull / max(1, math.prod(shape)) if reduction == "mean" else pull, shape
        )
    return pull * shares(xp, coefficient, reduction)


def class_shares_rule(xp, g, input, target, weight, pull_shape, dim, reduction, ignore_index):
    units = xp.class_shares(
        xp.sum(xp.zeros_like(input)) + 1,
        input,
        target,
        weight,
        dim=dim,
        reduction=reduction,
        ignore_index=ignore_index,
    )
    return g * units if len(pull_shape) else xp.sum(g * units)


derivative(class_shares, pull=class_shares_rule)


@op(
    public=False,
    promotes=None,
    examples=[
        ((), positive(4, 3), ints(4, low=0, high=3), {"dim": 1}),
        ((2, 4), positive(2, 3, 4), ints(2, 4, low=0, high=3), {"dim": 1, "reduction": "none"}),
    ],
    oracle=None,
)
def class_slope(
    xp, pull, probabilities, target, weight=None, /, *, dim, reduction="mean", ignore_index=-100
):
    """Each sample's share of `pull` times ``probabilities - one_hot(target)``."""
    target, coefficient = class_weights(xp, target, weight, probabilities, dim, ignore_index)
    if coefficient is None:
        part = pull / max(1, math.prod(target.shape)) if reduction == "mean" else pull
    else:
        part = pull * shares(xp, coefficient, reduction)
    part = xp.expand_dims(xp.broadcast_to(part, tuple(target.shape)), axis=dim)
    classes = xp.reshape(
        xp.arange(probabilities.shape[dim]), (-1,) + (1,) * (probabilities.ndim - 1 - dim)
    )
    hit = xp.expand_dims(target, axis=dim) == classes
    return probabilities * part - xp.where(hit, part, xp.zeros_like(part))


def class_slope_rule(xp, g, pull, probabilities, target, weight, dim, reduction, ignore_index):
    how = {"dim": dim, "reduction": reduction, "ignore_index": ignore_index}
    part = xp.class_shares(pull, probabilities, target, weight, **how)
    units = xp.class_shares(
        xp.sum(xp.zeros_like(probabilities)) + 1, probabilities, target, weight, **how
    )
    through = xp.sum(g * probabilities, axis=dim) * units
    through = (through if pull.ndim else xp.sum(through)) + xp.class_likelihood(
        g, target, weight, **how
    )
    return through, g * xp.expand_dims(part, axis=dim), None, None


derivative(class_slope, together=class_slope_rule)


def require_classes(input: Tensor, target: Tensor, weight: Tensor | None, reduction: str) -> int:
    """The dimension of the classes; an error unless a loss on classes is defined for them."""
    shape, goal = tuple(input._array.shape), tuple(target._array.shape)
    if not shape:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if len(shape) > 1 and (not goal or shape[0] != goal[0]):
        raise ValueError(
            f"Expected input batch_size ({shape[0]}) to match target batch_size "
            f"({goal[0] if goal else 'none'})."
        )
    if target.dtype not in (int64, uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {kind_of(target).legacy}; "
            "convert it with .long()"
        )
    dim = 0 if len(shape) == 1 else 1
    if weight is not None:
        if weight.ndim != 1 or weight.shape[0] != shape[dim]:
            raise RuntimeError(
                f"weight tensor should be defined either for all {shape[dim]} classes or no "
                "classes but got "
                f"weight tensor of shape: {list(weight.shape)}"
            )
        if weight.dtype != input.dtype:
            raise RuntimeError(
                f"expected scalar type {kind_of(input).legacy} but found {kind_of(weight).legacy} "
                "for weight"
            )
        if weight.requires_grad:
            raise RuntimeError(
                "The function 'nll_loss_forward' is not differentiable with respect to argument "
                "'weight'. This input cannot have requires_grad True."
            )
    wanted = (*shape[:dim], *shape[dim + 1 :])
    if goal != wanted and (len(shape) > 1 or goal != (1,)):
        if len(shape) < 3:
            if len(shape) == 1 == len(goal):
                raise ValueError(
                    f"For 1D input, 1D target must have size 1, but got target size: {goal[0]}"
                )
            raise RuntimeError(
                f"0D or 1D target tensor expected, multi-target not supported: got {list(goal)}"
            )
        if len(shape) == 4:
            raise RuntimeError(f"size mismatch (got input: {list(shape)} , target: {list(goal)}")
        raise RuntimeError(f"Expected target size {list(wanted)}, got {list(goal)}")
    return dim


@composite(
    home="nn",
    method=False,
    examples=[
        ((4, 3), ints(4, low=0, high=3)),
        ((4, 3), fixed([0, 2, 1, 2]), {"ignore_index": 1, "label_smoothing": 0.1}),
        ((2, 3, 4), ints(2, 4, low=0, high=3), {"reduction": "none"}),
        ((4, 3), positive(4, 3), positive(3), {"reduction": "sum", "label_smoothing": 0.2}),
        ((3,), fixed(1)),
    ],
)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """How surprising the targets are to a classifier, whose scores need not be normalised.

    Parameters
    ----------
    input : Tensor
        Scores of shape ``(classes,)``, ``(n, classes)`` or ``(n, classes, ...)``.
    target : Tensor
        Classes, of the shape of `input` without the dimension of the classes (int64 or uint8), or
        probabilities, of the shape of `input`.
    weight : Tensor, optional
        A factor for each class, shape ``(classes,)``.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    ignore_index : int, optional
        A class that counts for nothing.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the samples' losses; the mean over classes is divided by the sum of the
        weights.
    label_smoothing : float, optional
        How much of each target is spread over all classes, from 0 to 1.

    Raises
    ------
    IndexError
        If a target is no class.
    ValueError
        If `reduction` is another word, or the batch sizes differ.
    RuntimeError
        If other shapes or dtypes do not fit.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    if not 0 <= label_smoothing <= 1:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    alike = input._array.shape == target._array.shape
    if alike and target.dtype.kind in ("int", "bool"):
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{kind_of(target).legacy}"
        )
    if not input.is_floating_point():
        raise NotImplementedError(
            f'"log_softmax" not implemented for {kind_of(input).legacy}: convert with .float()'
        )
    if alike:
        return probability_entropy(input, target, weight, ignore_index, reduction, label_smoothing)
    dim = require_classes(input, target, weight, reduction)
    if not input.shape[dim]:
        return of_no_classes(input, target, ignore_index, reduction, label_smoothing, dim)
    if label_smoothing > 0:
        logarithms = input.log_softmax(dim)
        return smoothed(logarithms, target, weight, ignore_index, reduction, label_smoothing, dim)
    target = target.reshape(()) if dim == 0 else target
    how: dict[str, Any] = {"dim": dim, "reduction": reduction, "ignore_index": ignore_index}
    if half(input):  # PyTorch rounds in between
        likelihood: Tensor = class_likelihood(input.log_softmax(dim), target, weight, **how)
        return likelihood
    return class_entropy(input, target, weight, **how)[0]


def of_no_classes(
    input: Tensor, target: Tensor, ignore_index: int, reduction: str, amount: float, dim: int
) -> Tensor:
    """Cross entropy where there are no classes: nothing can be read, so all must be ignored."""
    kept = target != ignore_index
    if not target.is_meta and bool(kept.any()):
        raise IndexError(f"Target {int(target[kept].max())} is out of bounds: there are 0 classes")
    loss = input.sum(dim) if reduction == "none" else input.sum()
    # A part of nothing is spread, or nothing divided.
    return loss * math.nan if amount > 0 or reduction == "mean" else loss


def smoothed(
    logarithms: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    amount: float,
    dim: int,
) -> Tensor:
    """Cross entropy where each target gives `amount` of itself to all classes."""
    classes = logarithms.shape[dim]
    if dim == 0:
        target = target.reshape(())
    hard = class_likelihood(
        logarithms, target, weight, dim=dim, reduction=reduction, ignore_index=ignore_index
    )
    spread = logarithms
    if weight is not None:
        spread = spread * weight.reshape([-1] + [1] * (logarithms.ndim - 1 - dim))
    kept = target != ignore_index
    soft = -spread.sum(dim).masked_fill(~kept, 0)
    if reduction == "mean":
        if weight is None:
            soft = soft.sum() / kept.sum()
        else:
            places = (target * kept).reshape(-1)
            soft = soft.sum() / (weight.index_select(0, places).reshape(kept.shape) * kept).sum()
    elif reduction == "sum":
        soft = soft.sum()
    return (1 - amount) * hard + (amount / classes) * soft


def probability_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignore_index: int,
    reduction: str,
    amount: float,
) -> Tensor:
    """Cross entropy against probabilities."""
    if not target.is_floating_point():
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, "
            f"got {kind_of(target).legacy}"
        )
    if ignore_index >= 0:
        raise RuntimeError(
            f"ignore_index is not supported for floating point target, got {ignore_index}"
        )
    dim = 0 if input.ndim == 1 else 1
    classes = input.shape[dim]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"cross_entropy: weight tensor should be defined either for all {classes} classes or "
            "no "
            f"classes but got weight tensor of shape: {list(weight.shape)}"
        )
    if amount > 0:
        target = target * (1 - amount) + amount / max(1, classes)
    loss = input.log_softmax(dim) * target
    if weight is not None:
        loss = loss * weight.reshape([-1] + [1] * (input.ndim - 1 - dim))
    if reduction == "none":
        return -loss.sum(dim)
    if reduction == "mean" and not input.numel():
        return loss.sum() * math.nan
    return -loss.sum() / (1 if reduction == "sum" else input.numel() // classes)


@op(
    public=False,
    promotes=None,
    node="NllLossBackward0",
    examples=[
        ((4, 3), ints(4, low=0, high=3), {"dim": 1}),
        ((2, 3, 4), ints(2, 4, low=0, high=3), {"dim": 1, "reduction": "none"}),
    ],
    oracle=None,
)
def class_likelihood(
    xp, input, target, weight=None, /, *, dim, reduction="mean", ignore_index=-100
):
    """Logarithms of probabilities, negated and read at the target, then reduced."""
    target, coefficient = class_weights(xp, target, weight, input, dim, ignore_index)
    read = xp.take_along_axis(input, xp.expand_dims(target, axis=dim), axis=dim)
    return reduce_classes(xp, -xp.squeeze(read, axis=dim), coefficient, reduction)


def class_likelihood_rule(xp, g, input, target, weight, dim, reduction, ignore_index):
    return xp.class_slope(
        g,
        xp.zeros_like(input),
        target,
        weight,
        dim=dim,
        reduction=reduction,
        ignore_index=ignore_index,
    )


derivative(class_likelihood, input=class_likelihood_rule)


@composite(
    home="nn",
    method=False,
    examples=[
        ((4, 3), ints(4, low=0, high=3)),
        ((2, 3, 4), ints(2, 4, low=0, high=3), {"reduction": "none"}),
        ((4, 3), fixed([0, 2, 1, 2]), {"ignore_index": 2, "reduction": "sum"}),
        ((3,), fixed(1)),
    ],
)
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Negative logarithm of the probability of each target, given logarithms of probabilities.

    Parameters
    ----------
    input : Tensor
        Logarithms of shape ``(classes,)``, ``(n, classes)`` or ``(n, classes, ...)``.
    target : Tensor
        Classes, of the shape of `input` without the dimension of the classes; int64 or uint8.
    weight : Tensor, optional
        A factor for each class, shape ``(classes,)``.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    ignore_index : int, optional
        A class that counts for nothing.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the samples' losses; the mean is divided by the sum of the weights.

    Raises
    ------
    IndexError
        If a target is no class.
    ValueError
        If `reduction` is another word, or the batch sizes differ.
    RuntimeError
        If other shapes or dtypes do not fit.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    if not input.is_floating_point():
        raise NotImplementedError(
            f"\"nll_loss\" not implemented for '{kind_of(input).legacy}': convert with .float()"
        )
    dim = require_classes(input, target, weight, reduction)
    if not input.shape[dim]:
        return of_no_classes(input, target, ignore_index, reduction, 0, dim)
    return class_likelihood(
        input,
        target.reshape(()) if dim == 0 else target,
        weight,
        dim=dim,
        reduction=reduction,
        ignore_index=ignore_index,
    )


# ---- yes or no ----


@composite(
    home="nn",
    method=False,
    examples=[
        (fixed([0.2, 0.9, 0.5]), fixed([0.1, 0.8, 0.3]), (3,), {"reduction": "sum"}),
        (fixed([0.2, 0.9, 0.5]), fixed([0.1, 0.8, 0.3]), {"reduction": "none"}),
    ],
)
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """How surprising yes-or-no targets are, given probabilities.

    Parameters
    ----------
    input, target : Tensor
        Of one shape and dtype, from 0 to 1. Logarithms are not taken below -100.
    weight : Tensor, optional
        A factor for each element; it broadcasts.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the elements' losses.

    Raises
    ------
    ValueError
        If the shapes differ or `reduction` is another word.
    RuntimeError
        If the dtypes differ, or a number is not from 0 to 1.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    if input.shape != target.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is "
            "deprecated. Please ensure they have the same size."
        )
    if input.dtype != target.dtype:
        raise RuntimeError(
            f"Found dtype {kind_of(target).legacy} but expected {kind_of(input).legacy}"
        )
    loss = coin_entropy(input, target)
    return reduced(loss if weight is None else loss * weight, reduction)


@op(
    public=False,
    promotes=None,
    accepts=("float",),
    node="BinaryCrossEntropyBackward0",
    examples=[(fixed([0.2, 0.9, 0.5]), fixed([0.1, 0.8, 0.3]))],
    oracle=lambda torch, *args: torch.nn.functional.binary_cross_entropy(*args, reduction="none"),
)
def coin_entropy(xp, input, target, /):
    """Cross entropy of probabilities, one to each element."""
    for name, x in (("input", input), ("target", target)):
        if bool(xp.any((x < 0) | (x > 1))):
            raise RuntimeError(f"all elements of {name} should be between 0 and 1")
    lowest = xp.full_like(input, -100.0)
    yes, no = xp.maximum(xp.log(input), lowest), xp.maximum(xp.log1p(-input), lowest)
    return (target - 1) * no - target * yes


derivative(
    coin_entropy,
    input=lambda xp, g, input, target: (
        g * (input - target) / xp.maximum((1 - input) * input, xp.zeros_like(input) + 1e-12)
    ),
    target=lambda xp, g, input: g * (xp.log1p(-input) - xp.log(input)),
)


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 3), positive(2, 3)),
        ((2, 3), positive(2, 3), (2, 3), {"pos_weight": positive(3), "reduction": "sum"}),
        ((2, 3), positive(2, 3), {"reduction": "none"}),
    ],
)
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """How surprising yes-or-no targets are, given scores; the sigmoid is part of the loss.

    Parameters
    ----------
    input, target : Tensor
        Of one shape; targets from 0 to 1.
    weight : Tensor, optional
        A factor for each element; it broadcasts.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the elements' losses.
    pos_weight : Tensor, optional
        A factor for the yes part, usually one to each class; it broadcasts.

    Raises
    ------
    ValueError
        If the shapes differ or `reduction` is another word.
    RuntimeError
        If a weight does not broadcast.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    if input.shape != target.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    if weight is None and pos_weight is None:
        return logit_entropy(input, target, reduction)
    if pos_weight is None:
        loss = logit_entropy(input, target, "none")
    else:
        pos_weight = broadcast(input, pos_weight)[1]
        factor = (pos_weight - 1) * target + 1
        loss = (1 - target) * input - factor * logsigmoid(input)
    return reduced(loss if weight is None else loss * weight, reduction)


@op(
    rounds="steps",
    public=False,
    accepts=("float",),
    node="BinaryCrossEntropyWithLogitsBackward0",
    examples=[
        ((2, 3), unit(2, 3)),
        ((2, 3), unit(2, 3), {"reduction": "none"}),
        ((3,), unit(3), {"reduction": "sum"}),
    ],
    oracle=lambda torch, *args, **options: torch.nn.functional.binary_cross_entropy_with_logits(
        *args, **options
    ),
)
def logit_entropy(xp, input, target, /, reduction="mean"):
    """Cross entropy of scores of yes, reduced."""
    if half(input):
        return reduce_array(xp, (1 - target) * input - xp.logsigmoid(input), reduction)
    log_sigmoid = xp.minimum(input, xp.zeros_like(input)) - xp.log1p(xp.exp(-xp.abs(input)))
    return reduce_array(xp, (1 - target) * input - log_sigmoid, reduction)


def logit_entropy_rule(xp, g, input, target, input_shape, reduction, needs):
    part = share(g, input_shape, reduction)
    slope = (0.5 * xp.tanh(0.5 * input) + 0.5 - target) * part if needs[0] else None
    return slope, -input * part if needs[1] else None


def half_logit_entropy_rule(xp, g, input, target, input_shape, reduction, needs):
    part = share(1, input_shape, reduction)
    slope = xp.mul((xp.sigmoid(input) - target) * g, part) if needs[0] else None
    return slope, xp.mul(-input * g, part) if needs[1] else None


derivative(logit_entropy, together=apart(logit_entropy_rule, half_logit_entropy_rule))


@composite(
    home="nn",
    method=False,
    examples=[(positive(2, 3), fixed([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]]), {"margin": 1.3})],
)
def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Distances of alike pairs, and how far those of unlike pairs stay below a margin.

    Parameters
    ----------
    input : Tensor
        Distances.
    target : Tensor
        1 for alike, -1 for unlike; it broadcasts.
    margin : float, optional
        The distance from which unlike pairs cost nothing.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the elements' losses.

    Raises
    ------
    ValueError
        If `reduction` is another word.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    nothing = zeros_like((input * target).detach())
    unlike = (margin - input).clamp(min=0)
    loss = (unlike + nothing).where(target != 1, nothing) + (input + nothing).where(
        target != -1, nothing
    )
    return reduced(loss, reduction)


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 3), fixed([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0]])),
        ((3,), (3,), {"reduction": "sum"}),
    ],
)
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Logistic loss for targets of 1 and -1: ``log(1 + exp(-target * input))``.

    Parameters
    ----------
    input, target : Tensor
        Scores, and 1 or -1; they broadcast.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the elements' losses.

    Raises
    ------
    ValueError
        If `reduction` is another word.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    return reduced(-logsigmoid(target * input), reduction)


# ---- distributions ----


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 3), positive(2, 3), {"reduction": "batchmean"}),
        ((2, 3), (2, 3), {"reduction": "sum", "log_target": True}),
        ((2, 3), positive(2, 3), {"reduction": "none"}),
    ],
)
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """Kullback and Leibler's divergence of predicted from true probabilities.

    Parameters
    ----------
    input : Tensor
        Logarithms of predicted probabilities.
    target : Tensor
        True probabilities, or their logarithms; it broadcasts.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "batchmean", "sum", "none"}, optional
        What becomes of the elements' losses. ``"batchmean"``, the sum divided by the first size, is
        the divergence.
    log_target : bool, optional
        Whether `target` holds logarithms.

    Raises
    ------
    ValueError
        If `reduction` is another word.
    """
    for x in (input, target):
        if not x.is_floating_point():
            which = "Complex" if x.is_complex() else "Integral"
            raise RuntimeError(
                f"kl_div: {which} inputs not supported: got {x.dtype!r} of shape {list(x.shape)}"
            )
    batch = reduction == "batchmean" and size_average is None and reduce is None
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support "
            "size. 'batchmean' divides "
            "only by the batch size, and aligns with the KL div math definition.",
            stacklevel=2,
        )
    reduction = "sum" if batch else how_to_reduce(reduction, size_average, reduce)
    loss = target.exp() * (target - input) if log_target else target.xlogy(target) - target * input
    loss = reduced(loss, reduction)
    return loss / input.shape[0] if batch and input.ndim else loss


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 3), positive(2, 3)),
        (
            positive(2, 3),
            fixed([[0.5, 1.2, 2.0], [3.0, 0.0, 1.5]]),
            {"log_input": False, "full": True},
        ),
    ],
)
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """How surprising counts are, given rates (or their logarithms) of Poisson's distribution.

    Parameters
    ----------
    input : Tensor
        Logarithms of rates, or rates.
    target : Tensor
        Counts; it broadcasts.
    log_input : bool, optional
        Whether `input` holds logarithms.
    full : bool, optional
        Add Stirling's approximation of the logarithm of the factorial for targets above 1.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    eps : float, optional
        Added to rates before their logarithm.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the elements' losses.

    Raises
    ------
    ValueError
        If `reduction` is another word.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        above = target > 1
        safe = target.where(above, ones_like(target))
        stirling = safe * safe.log() - safe + 0.5 * (2 * math.pi * safe).log()
        loss = loss + stirling.where(above, zeros_like(stirling))
    return reduced(loss, reduction)


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 3), (2, 3), positive(2, 3)),
        ((2, 3), (2, 3), positive(2, 1), {"full": True, "reduction": "sum"}),
        ((2, 3), (2, 3), positive(2), {"reduction": "none"}),
    ],
)
def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor | float,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Tensor:
    """How surprising numbers are, given means and variances of normal distributions.

    Parameters
    ----------
    input : Tensor
        Means.
    target : Tensor
        Numbers.
    var : Tensor or float
        Variances: of the shape of `input`, or with its last dimension missing, or one of them of
        size 1.
    full : bool, optional
        Add the constant ``log(2 * pi) / 2``.
    eps : float, optional
        Variances are not taken below this (and their gradient passes as if they were not held).
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the elements' losses.

    Raises
    ------
    ValueError
        If `var` has another shape or a negative element, or `reduction` is another word.
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError(f"var has negative entry/entries: {var}")
        everywhere: Tensor = ones_like(input) * var
        var = everywhere
    elif anywhere(var < 0):
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        if tuple(input.shape[:-1]) == tuple(var.shape):
            var = var.unsqueeze(-1)
        elif (
            input.ndim != var.ndim
            or sum(m for n, m in zip(input.shape, var.shape, strict=True) if n != m) != 1
        ):
            raise ValueError(f"var is of incorrect size: {var.shape} for an input of {input.shape}")
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not valid: use one of {', '.join(REDUCTIONS)}")
    held = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (held.log() + (input - target).square() / held)
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


# ---- rankings and embeddings ----


@composite(
    home="nn",
    method=False,
    examples=[
        ((4, 3), (4, 3), fixed([1.0, -1.0, 1.0, -1.0])),
        ((4, 3), (4, 3), fixed([1.0, -1.0, 1.0, -1.0]), {"margin": 0.2, "reduction": "none"}),
    ],
)
def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """One less the cosine of alike pairs, and the cosine above a margin of unlike ones.

    Parameters
    ----------
    input1, input2 : Tensor
        Shape ``(n, d)`` or ``(d,)``.
    target : Tensor
        1 for alike, -1 for unlike; shape ``(n,)`` or ``()``.
    margin : float, optional
        The cosine up to which unlike pairs cost nothing.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the pairs' losses.

    Raises
    ------
    ValueError
        If `reduction` is another word.
    RuntimeError
        If the ranks or shapes do not fit.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    if target.ndim > 1:
        raise RuntimeError(
            f"0D or 1D target tensor expected, multi-target not supported: got {list(target.shape)}"
        )
    if input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise RuntimeError(
            f"{target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found "
            "inputs "
            f"with sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    products = (input1 * input2).sum(-1)
    squares = (input1.square().sum(-1) + 1e-12) * (input2.square().sum(-1) + 1e-12)
    cosine = products / squares.sqrt()
    nothing = zeros_like(cosine)
    alike, unlike = 1 - cosine, (cosine - margin).clamp(min=0)
    return reduced(
        alike.where(target == 1, nothing) + unlike.where(target == -1, nothing), reduction
    )


@composite(
    home="nn",
    method=False,
    examples=[((4,), (4,), fixed([1.0, -1.0, 1.0, -1.0]), {"margin": 0.1, "reduction": "sum"})],
)
def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """How far pairs are from ranking as they should.

    The loss is ``max(0, -target * (input1 - input2) + margin)``.

    Parameters
    ----------
    input1, input2 : Tensor
        Scores.
    target : Tensor
        1 where the first should rank above, -1 where below.
    margin : float, optional
        By how much.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the pairs' losses.

    Raises
    ------
    ValueError
        If `reduction` is another word.
    RuntimeError
        If the ranks differ.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    if not input1.ndim == input2.ndim == target.ndim:
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            "input1: "
            f"{input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return reduced((-target * (input1 - input2) + float(margin)).clamp(min=0), reduction)


@composite(
    home="nn",
    method=False,
    examples=[
        ((4, 3), ints(4, low=0, high=3)),
        ((4, 3), ints(4, low=0, high=3), {"p": 2, "margin": 0.5, "weight": positive(3)}),
        ((3,), fixed(1), {"reduction": "none"}),
    ],
)
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """How far wrong classes come within a margin of the right one.

    Parameters
    ----------
    input : Tensor
        Scores of shape ``(n, classes)`` or ``(classes,)``; ``()`` is one class.
    target : Tensor
        Classes of shape ``(n,)`` or ``()``; int64.
    p : {1, 2}, optional
        The exponent.
    margin : float, optional
        By how much the right class should lead.
    weight : Tensor, optional
        A factor for each class, shape ``(classes,)``.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the samples' losses.

    Raises
    ------
    ValueError
        If `p` or `reduction` is something else.
    RuntimeError
        If the shapes do not fit or a target is no class.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"only p == 1 and p == 2 supported, got {p}")
    if input.ndim > 2 or (input.ndim and not input.shape[-1]):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, "
            f"but got: {list(input.shape)}"
        )
    if weight is not None and weight.ndim != 1:
        raise ValueError(f"weight must be one-dimensional, got shape {list(weight.shape)}")
    scores = input if input.ndim == 2 else input.reshape(1, -1)
    samples, classes = scores.shape
    if target.ndim > 1 or target.numel() != samples:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of "
            "input samples (batch "
            f"size). Expected target size [{samples}], but got {list(target.shape)}. Input has "
            f"shape {list(input.shape)}."
        )
    if target.dtype is not int64:
        raise RuntimeError(
            f"expected scalar type Long but found {kind_of(target).legacy} for the target; convert "
            "it with .long()"
        )
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(
            f"expected scalar type {kind_of(input).legacy} but found {kind_of(weight).legacy} for "
            "the weight"
        )
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    place = target.reshape(samples, 1)
    if anywhere((place < 0) | (place >= classes)):
        raise RuntimeError(f"target out of range: there are {classes} classes")
    gap = (margin - scores.gather(1, place) + scores).clamp(min=0)
    if p == 2:
        gap = gap * gap
    if weight is not None:
        gap = gap * weight.index_select(0, place.reshape(-1)).unsqueeze(1)
    loss = gap.scatter(1, place, 0.0).sum(1) / classes
    return reduced(loss if input.ndim == 2 else loss.reshape(target.shape), reduction)


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 4), fixed([[3, 0, -1, 1], [1, -1, 0, 0]])),
        ((4,), fixed([3, 0, -1, 1]), {"reduction": "sum"}),
    ],
)
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """How far wrong classes come within 1 of each of several right ones.

    Parameters
    ----------
    input : Tensor
        Scores of shape ``(n, classes)`` or ``(classes,)``.
    target : Tensor
        Of the same shape, int64: the right classes, up to the first -1.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the samples' losses.

    Raises
    ------
    ValueError
        If `reduction` is another word.
    RuntimeError
        If shapes or dtypes do not fit or a target is no class.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    if input.ndim > 2 or (input.ndim and not input.shape[-1]):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, "
            f"but got: {list(input.shape)}"
        )
    if target.shape != input.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    if target.dtype is not int64:
        raise RuntimeError(
            f"expected scalar type Long but found {kind_of(target).legacy}; convert with .long()"
        )
    classes = input.shape[-1] if input.ndim else 1
    if anywhere((target < -1) | (target >= classes)):
        raise RuntimeError("argument #2 'target' is out of range")
    scores, places = input.reshape(-1, classes), target.reshape(-1, classes)
    listed = (places == -1).long().cumsum(1) == 0
    safe = places * listed
    right = zeros_like(scores).scatter_add(1, safe, listed.to(scores.dtype)) > 0
    gap = (1 - scores.gather(1, safe).unsqueeze(2) + scores.unsqueeze(1)).clamp(min=0)
    counted = listed.unsqueeze(2) & ~right.unsqueeze(1)
    loss = (gap * counted).sum((1, 2)) / classes
    return reduced(loss if input.ndim == 2 else loss.reshape(()), reduction)


@composite(
    home="nn",
    method=False,
    examples=[
        ((2, 3), fixed([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])),
        ((2, 3), fixed([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), positive(3), {"reduction": "none"}),
    ],
)
def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """How surprising several yes-or-no targets of each sample are, given scores.

    The loss of a sample is the mean over its classes.

    Parameters
    ----------
    input, target : Tensor
        Shape ``(..., classes)``.
    weight : Tensor, optional
        A factor for each class; it broadcasts.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the samples' losses.

    Raises
    ------
    ValueError
        If `reduction` is another word.
    RuntimeError
        If the shapes do not broadcast.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    if not input.ndim:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    dim, classes = input.ndim - 1, input.shape[-1]
    loss = logit_entropy(*broadcast(input, target), "none")
    loss = loss if weight is None else loss * weight
    return reduced(loss.sum(dim) / classes, reduction)


@composite(
    home="nn",
    method=False,
    examples=[
        ((4, 3), (4, 3), (4, 3)),
        ((4, 3), (4, 3), (4, 3), {"margin": 2.0, "p": 1.0, "swap": True, "reduction": "none"}),
    ],
)
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """By how much anchors are not nearer, by a margin, to their positive than to their negative.

    Parameters
    ----------
    anchor, positive, negative : Tensor
        Shape ``(..., d)`` each; they broadcast.
    margin : float, optional
        By how much nearer.
    p : float, optional
        The exponent of the distance.
    eps : float, optional
        Added to differences, so that the slope exists at 0.
    swap : bool, optional
        Take the positive's distance from the negative where that is smaller than the anchor's.
    size_average, reduce : bool, optional
        PyTorch's older way to say `reduction`.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the triplets' losses.

    Raises
    ------
    ValueError
        If `margin` is not positive or `reduction` is another word.
    RuntimeError
        If the ranks differ or the shapes do not broadcast.
    """
    reduction = how_to_reduce(reduction, size_average, reduce)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            "dimensions, but got: "
            f"anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D "
            "inputs"
        )

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return (x - y + eps).norm(p, -1)

    return triplets(distance, anchor, positive, negative, margin, swap, reduction)


def triplets(
    distance: Callable[[Tensor, Tensor], Tensor],
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    """The loss of triplets under any distance."""
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return reduced((margin + near - far).clamp(min=0), reduction)


@composite(
    home="nn",
    method=False,
    examples=[
        ((4, 3), (4, 3), (4, 3)),
        ((4, 3), (4, 3), (4, 3), {"swap": True, "reduction": "sum"}),
    ],
)
def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """`triplet_margin_loss` under a distance of your own.

    Parameters
    ----------
    anchor, positive, negative : Tensor
        What `distance_function` takes.
    distance_function : callable, optional
        Gives the distance of two tensors; by default the Euclidean one along the last dimension.
    margin : float, optional
        By how much nearer the positive should be.
    swap : bool, optional
        Take the positive's distance from the negative where that is smaller than the anchor's.
    reduction : {"mean", "sum", "none"}, optional
        What becomes of the triplets' losses.

    Raises
    ------
    ValueError
        If `margin` is not positive or `reduction` is another word.
    RuntimeError
        If the ranks differ.
    """
    reduction = how_to_reduce(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            "dimensions, but got: "
            f"anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D "
            "inputs"
        )

    def euclidean(x: Tensor, y: Tensor) -> Tensor:
        return (x - y + 1e-6).norm(2, -1)

    return triplets(
        distance_function or euclidean, anchor, positive, negative, margin, swap, reduction
    )
