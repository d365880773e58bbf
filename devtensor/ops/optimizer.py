"""The steps of the optimizers: what a parameter becomes, and the optimizer's memory of it.

Every formula takes the parameter, its gradient and the tensors that the optimizer keeps for it, and
returns the new values of what it `writes`, in that order; None for what was None. What it writes is
the parameter and all inputs behind the gradient. The last of these are numbers without dimensions,
kept by the host: `step` says how many steps were made before this one.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from devtensor.dtype import float16, of
from devtensor.example import fixed, positive
from devtensor.halves import rounded
from devtensor.op import op
from devtensor.ops.elementwise import half, kind

PAIR = ((2, 3), (2, 3))
SQUARES = ((2, 3), (2, 3), (2, 3), positive(2, 3))
SMALL = fixed([[0.1, 0.2, 0.3], [-0.1, -0.2, 0.0]])
SECOND = fixed(1.0)


def in_steps(formula: Callable[..., Any]) -> Callable[..., Any]:
    """`formula`, which is for float32 and float64, for other types, too.

    Behind `xp` it takes `fit`, which rounds what PyTorch rounds to two bytes: the result of each of
    its operations, and numbers that are added or multiply what is added. The numbers are calculated
    in float32, and nothing else is rounded. The real and the imaginary parts of complex numbers are
    stepped each for itself.
    """

    @wraps(formula)
    def typed(xp, *args, **options):
        given, fit = args[0], as_it_is
        if kind(given) == "complex":
            into, back = xp.view_as_real, xp.view_as_complex
        elif half(given):
            into, back = [partial(cast, xp, t) for t in (xp.float32, given.dtype)]
            fit = partial(fitted, xp, given.dtype)
        else:
            return formula(xp, fit, *args, **options)
        new = formula(xp, fit, *[into(x) if is_like(x, given) else x for x in args], **options)
        old = (given, *args[2 : len(new) + 1])
        return tuple([back(y) if is_like(x, given) else y for x, y in zip(old, new, strict=True)])

    signature = inspect.signature(formula)
    listed = [p for p in signature.parameters.values() if p.name != "fit"]
    typed.__signature__ = signature.replace(parameters=listed)  # type: ignore[attr-defined]
    return typed


def for_any_type(formula: Callable[..., Any]) -> Callable[..., Any]:
    """`formula`, which is for float32 and float64, for other types, too.

    Smaller types are calculated in float32: in them an `eps` is nothing. The real and the imaginary
    parts of complex numbers are stepped each for itself.
    """

    @wraps(formula)
    def plain(xp, fit, *args, **options):
        return formula(xp, *args, **options)

    return in_steps(plain)


def as_it_is(x: Any) -> Any:
    """What is not rounded."""
    return x


def fitted(xp: Any, dtype: Any, x: Any) -> Any:
    """A number, or an array or tensor of float32, rounded to a type of two bytes."""
    if not hasattr(x, "dtype"):
        return rounded(x, of(dtype))
    return cast(xp, xp.float32, cast(xp, dtype, x)) if x.dtype == xp.float32 else x


def loses(fit: Any) -> bool:
    """Whether numbers that are not 0 may be rounded to it."""
    return fit is not as_it_is and of(fit.args[1]) is float16


def cast(xp: Any, dtype: Any, x: Any) -> Any:
    """`x`, an array or a tensor, in another type."""
    return xp.astype(x, dtype) if hasattr(xp, "astype") else x.to(dtype)


def is_like(x: Any, array: Any) -> bool:
    """Whether `x` is an array of the same type."""
    return hasattr(x, "dtype") and x.dtype == array.dtype


def decayed(fit, grad, param, weight_decay, maximize):
    """The gradient of the loss with ``weight_decay / 2 * |param| ** 2`` added to it."""
    grad = -grad if maximize else grad
    return fit(grad + fit(weight_decay) * param) if weight_decay != 0 else grad


def decayed_apart(fit, param, grad, lr, weight_decay, decoupled, maximize):
    """The parameter and the gradient, of which one has been decayed."""
    if decoupled and weight_decay != 0:
        return fit(param * (1 - lr * weight_decay)), decayed(fit, grad, param, 0, maximize)
    return param, decayed(fit, grad, param, weight_decay, maximize)


def lasting(xp, fit, x):
    """`x` rounded, but where float16 would make 0 of it as it is, as it is to be divided by."""
    short = fit(x)
    return xp.where(short == 0, x, short) if loses(fit) else short


def root(xp, fit, x, eps):
    """The square root of `x`, plus `eps`."""
    return divisor(xp, fit, lasting(xp, fit, xp.sqrt(x)), eps)


def divisor(xp, fit, x, eps):
    """`x` plus `eps`."""
    total = fit(x + fit(eps))
    return xp.where(total == 0, x + eps, total) if loses(fit) else total


def moved(fit, mean, value, share):
    """`mean`, moved by a `share` of the way to `value`."""
    if share.__class__ is float and share >= 0.5:
        return fit(value - (value - mean) * (1 - share))
    return fit(mean + (value - mean) * share)


def squares(xp, fit, mean, value, beta):
    """A mean of squares, with that of `value`."""
    return lasting(xp, fit, fit(mean * beta) + (1 - beta) * (value * value))


@op(
    public=False,
    promotes=None,
    writes=("param", "momentum_buffer"),
    examples=[
        (*PAIR, None, {"lr": 0.1, "weight_decay": 0.2, "maximize": True}),
        (*PAIR, (2, 3), {"lr": 0.1, "momentum": 0.9, "dampening": 0.5}),
        ((), (), (), {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ],
)
@in_steps
def sgd_update(
    xp,
    fit,
    param,
    grad,
    momentum_buffer=None,
    /,
    lr=1e-3,
    weight_decay=0.0,
    momentum=0.0,
    dampening=0.0,
    nesterov=False,
    maximize=False,
):
    """One step of `devtensor.optim.SGD`."""
    grad = decayed(fit, grad, param, weight_decay, maximize)
    if momentum_buffer is not None:
        momentum_buffer = fit(fit(momentum * momentum_buffer) + fit(1 - dampening) * grad)
        grad = fit(grad + fit(momentum) * momentum_buffer) if nesterov else momentum_buffer
    return fit(param - fit(lr) * grad), momentum_buffer


@op(
    public=False,
    promotes=None,
    writes=("param", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step"),
    examples=[
        (*SQUARES, None, SECOND, {"weight_decay": 0.1}),
        (*SQUARES, positive(2, 3), fixed(0.0), {"weight_decay": 0.1, "decoupled": True}),
        ((), (), (), positive(), None, SECOND, {"maximize": True}),
    ],
)
@in_steps
def adam_update(
    xp,
    fit,
    param,
    grad,
    exp_avg,
    exp_avg_sq,
    max_exp_avg_sq,
    step,
    /,
    lr=1e-3,
    beta1=0.9,
    beta2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    decoupled=False,
    maximize=False,
):
    """One step of `devtensor.optim.Adam`, and with `decoupled` of `devtensor.optim.AdamW`."""
    count = float(step) + 1
    param, grad = decayed_apart(fit, param, grad, lr, weight_decay, decoupled, maximize)
    exp_avg = moved(fit, exp_avg, grad, 1 - beta1)
    exp_avg_sq = squares(xp, fit, exp_avg_sq, grad, beta2)
    largest = exp_avg_sq
    if max_exp_avg_sq is not None:
        max_exp_avg_sq = largest = xp.maximum(max_exp_avg_sq, exp_avg_sq)
    deviation = lasting(xp, fit, xp.sqrt(largest)) / (1 - beta2**count) ** 0.5
    denominator = divisor(xp, fit, lasting(xp, fit, deviation), eps)
    param = fit(param - lr / (1 - beta1**count) * exp_avg / denominator)
    return param, exp_avg, exp_avg_sq, max_exp_avg_sq, step + 1


@op(
    public=False,
    promotes=None,
    writes=("param", "exp_avg", "exp_inf", "step"),
    examples=[(*SQUARES, SECOND, {"weight_decay": 0.1})],
)
@in_steps
def adamax_update(
    xp,
    fit,
    param,
    grad,
    exp_avg,
    exp_inf,
    step,
    /,
    lr=2e-3,
    beta1=0.9,
    beta2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    maximize=False,
):
    """One step of `devtensor.optim.Adamax`."""
    grad = decayed(fit, grad, param, weight_decay, maximize)
    exp_avg = moved(fit, exp_avg, grad, 1 - beta1)
    exp_inf = xp.maximum(fit(exp_inf * beta2), divisor(xp, fit, xp.abs(grad), eps))
    rate = lr / (1 - beta1 ** (float(step) + 1))
    return fit(param - rate * exp_avg / exp_inf), exp_avg, exp_inf, step + 1


@op(
    public=False,
    promotes=None,
    writes=("param", "exp_avg", "exp_avg_sq", "step", "mu_product"),
    examples=[
        (*SQUARES, SECOND, fixed(0.45), {"momentum_decay": 0.1}),
        (*SQUARES, SECOND, fixed(0.45), {"weight_decay": 0.1, "decoupled": True}),
    ],
)
@in_steps
def nadam_update(
    xp,
    fit,
    param,
    grad,
    exp_avg,
    exp_avg_sq,
    step,
    mu_product,
    /,
    lr=2e-3,
    beta1=0.9,
    beta2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    momentum_decay=4e-3,
    decoupled=False,
    maximize=False,
):
    """One step of `devtensor.optim.NAdam`; `mu_product` is that of all its momenta so far."""
    count = float(step) + 1
    mu, mu_next = nadam_momenta(beta1, momentum_decay, count)
    mu_product = mu_product * mu
    product = float(mu_product)
    param, grad = decayed_apart(fit, param, grad, lr, weight_decay, decoupled, maximize)
    exp_avg = moved(fit, exp_avg, grad, 1 - beta1)
    exp_avg_sq = squares(xp, fit, exp_avg_sq, grad, beta2)
    denominator = root(xp, fit, lasting(xp, fit, exp_avg_sq / (1 - beta2**count)), eps)
    of_grad = lr * (1 - mu) / (1 - product)
    of_average = lr * mu_next / (1 - product * mu_next)
    param = fit(param - of_grad * grad / denominator)
    param = fit(param - of_average * exp_avg / denominator)
    return param, exp_avg, exp_avg_sq, step + 1, mu_product


def nadam_momenta(beta1, momentum_decay, count):
    """The momentum of step number `count`, and of the next."""
    first, second = [1 - 0.5 * 0.96 ** (n * momentum_decay) for n in (count, count + 1)]
    return beta1 * first, beta1 * second


@op(
    public=False,
    promotes=None,
    writes=("param", "exp_avg", "exp_avg_sq", "step"),
    examples=[(*SQUARES, SECOND), (*SQUARES, fixed(8.0), {"weight_decay": 0.1})],
)
@in_steps
def radam_update(
    xp,
    fit,
    param,
    grad,
    exp_avg,
    exp_avg_sq,
    step,
    /,
    lr=1e-3,
    beta1=0.9,
    beta2=0.999,
    eps=1e-8,
    weight_decay=0.0,
    decoupled=False,
    maximize=False,
):
    """One step of `devtensor.optim.RAdam`."""
    param, grad = decayed_apart(fit, param, grad, lr, weight_decay, decoupled, maximize)
    exp_avg = moved(fit, exp_avg, grad, 1 - beta1)
    exp_avg_sq = squares(xp, fit, exp_avg_sq, grad, beta2)
    count = float(step) + 1
    correction, rectified = radam_rates(beta2, count)
    change = fit(fit(exp_avg / (1 - beta1**count)) * lr)
    if rectified is not None:
        deviation = root(xp, fit, exp_avg_sq, eps)
        change = fit(fit(change * fit(fit(1 / deviation) * correction)) * rectified)
    return fit(param - change), exp_avg, exp_avg_sq, step + 1


def radam_rates(beta2, count):
    """What the deviation divides, and how well that is known; None while it is not."""
    correction = 1 - beta2**count
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * count * beta2**count / correction
    if length <= 5:
        return correction**0.5, None
    known = (length - 4) * (length - 2) * longest
    return correction**0.5, (known / ((longest - 4) * (longest - 2) * length)) ** 0.5


@op(
    public=False,
    promotes=None,
    writes=("param", "sum", "step"),
    examples=[(*PAIR, positive(2, 3), SECOND, {"lr_decay": 0.1, "weight_decay": 0.1})],
)
@in_steps
def adagrad_update(
    xp,
    fit,
    param,
    grad,
    sum,
    step,
    /,
    lr=1e-2,
    lr_decay=0.0,
    eps=1e-10,
    weight_decay=0.0,
    maximize=False,
):
    """One step of `devtensor.optim.Adagrad`."""
    grad = decayed(fit, grad, param, weight_decay, maximize)
    sum = lasting(xp, fit, sum + grad * grad)
    rate = lr / (1 + float(step) * lr_decay)
    deviation = root(xp, fit, sum, eps)
    return fit(param - rate * grad / deviation), sum, step + 1


@op(
    public=False,
    promotes=None,
    writes=("param", "square_avg", "acc_delta", "step"),
    examples=[(*PAIR, positive(2, 3), positive(2, 3), SECOND, {"weight_decay": 0.1})],
)
@in_steps
def adadelta_update(
    xp,
    fit,
    param,
    grad,
    square_avg,
    acc_delta,
    step,
    /,
    lr=1.0,
    rho=0.9,
    eps=1e-6,
    weight_decay=0.0,
    maximize=False,
):
    """One step of `devtensor.optim.Adadelta`."""
    grad = decayed(fit, grad, param, weight_decay, maximize)
    square_avg = squares(xp, fit, square_avg, grad, rho)
    deviation, delta = [fit(xp.sqrt(divisor(xp, fit, x, eps))) for x in (square_avg, acc_delta)]
    delta = fit(fit(delta / deviation) * grad)
    acc_delta = squares(xp, fit, acc_delta, delta, rho)
    return fit(param - fit(lr) * delta), square_avg, acc_delta, step + 1


@op(
    public=False,
    promotes=None,
    writes=("param", "square_avg", "grad_avg", "momentum_buffer", "step"),
    examples=[
        (*PAIR, positive(2, 3), None, None, SECOND, {"weight_decay": 0.1}),
        (*PAIR, positive(2, 3), SMALL, (2, 3), SECOND, {"momentum": 0.9, "alpha": 0.9}),
    ],
)
@in_steps
def rmsprop_update(
    xp,
    fit,
    param,
    grad,
    square_avg,
    grad_avg,
    momentum_buffer,
    step,
    /,
    lr=1e-2,
    alpha=0.99,
    eps=1e-8,
    weight_decay=0.0,
    momentum=0.0,
    maximize=False,
):
    """One step of `devtensor.optim.RMSprop`; centred if there is a `grad_avg`."""
    grad = decayed(fit, grad, param, weight_decay, maximize)
    square_avg = squares(xp, fit, square_avg, grad, alpha)
    variance = square_avg
    if grad_avg is not None:
        grad_avg = moved(fit, grad_avg, grad, 1 - alpha)
        variance = fit(square_avg - grad_avg * grad_avg)
    change = grad / root(xp, fit, variance, eps)
    if momentum_buffer is not None:
        momentum_buffer = change = fit(fit(momentum * momentum_buffer) + change)
        lr = fit(lr)
    return fit(param - lr * change), square_avg, grad_avg, momentum_buffer, step + 1


@op(
    public=False,
    promotes=None,
    writes=("param", "prev", "step_size", "step"),
    examples=[(*PAIR, (2, 3), positive(2, 3), SECOND)],
)
@in_steps
def rprop_update(
    xp,
    fit,
    param,
    grad,
    prev,
    step_size,
    step,
    /,
    shrink=0.5,
    grow=1.2,
    smallest=1e-6,
    largest=50.0,
    maximize=False,
):
    """One step of `devtensor.optim.Rprop`."""
    grad = -grad if maximize else grad
    agreement = fit(grad * prev)
    zero = grad * 0
    one = zero + 1
    grow, shrink, smallest, largest = [fit(x) for x in (grow, shrink, smallest, largest)]
    factor = xp.where(agreement > 0, one * grow, xp.where(agreement < 0, one * shrink, one))
    step_size = xp.minimum(xp.maximum(fit(step_size * factor), one * smallest), one * largest)
    grad = xp.where(agreement < 0, zero, grad)
    return fit(param - xp.sign(grad) * step_size), grad, step_size, step + 1


@op(
    public=False,
    promotes=None,
    writes=("param", "ax", "step", "eta", "mu"),
    examples=[
        (*PAIR, (2, 3), SECOND, fixed(0.02), fixed(0.5), {"t0": 1.0}),
        (*PAIR, (2, 3), SECOND, fixed(0.02), fixed(1.0), {"weight_decay": 0.1}),
    ],
)
@in_steps
def asgd_update(
    xp,
    fit,
    param,
    grad,
    ax,
    step,
    eta,
    mu,
    /,
    lr=1e-2,
    lambd=1e-4,
    alpha=0.75,
    t0=1e6,
    weight_decay=0.0,
    maximize=False,
):
    """One step of `devtensor.optim.ASGD`, with the rates `eta` and `mu`, and those of the next."""
    rate, share = float(eta), float(mu)
    grad = decayed(fit, grad, param, weight_decay, maximize)
    param = fit(fit(param * (1 - lambd * rate)) - fit(rate) * grad)
    ax = param + 0 if share == 1 else fit(ax + fit(fit(param - ax) * share))
    rate, share = asgd_rates(lr, lambd, alpha, t0, float(step) + 1)
    return param, ax, step + 1, eta * 0 + rate, mu * 0 + share


def asgd_rates(lr, lambd, alpha, t0, count):
    """The rates after `count` steps: of the parameter, and of the mean."""
    return lr / (1 + lambd * lr * count) ** alpha, 1 / max(1, count - t0)


@op(
    public=False,
    promotes=None,
    writes=("param", "row_var", "col_var", "variance", "step"),
    examples=[
        (*PAIR, positive(2, 1), positive(1, 3), None, SECOND, {"weight_decay": 0.1}),
        ((3,), (3,), None, None, positive(3), SECOND, {"maximize": True}),
    ],
)
@for_any_type
def adafactor_update(
    xp,
    param,
    grad,
    row_var,
    col_var,
    variance,
    step,
    /,
    lr=1e-2,
    beta2_decay=-0.8,
    eps1=None,
    eps2=1e-3,
    d=1.0,
    weight_decay=0.0,
    maximize=False,
):
    """One step of `devtensor.optim.Adafactor`; in rows and columns, or with a whole `variance`."""
    count = float(step) + 1
    if eps1 is None:
        eps1 = float(xp.finfo(param.dtype).eps)
    grad = -grad if maximize else grad
    size = max(math.prod(param.shape), 1)
    take = count**beta2_decay
    rate = xp.sqrt(xp.sum(param * param) / size)
    rate = xp.maximum(rate, eps2) * min(lr, count**-0.5)
    if weight_decay != 0:
        param = param * (1 - lr * weight_decay)
    if variance is None:
        squares = grad * grad
        rows, columns = [max(n, 1) for n in grad.shape[-2:]]
        row_mean = xp.sum(squares, axis=-1, keepdims=True) / columns
        col_mean = xp.sum(squares, axis=-2, keepdims=True) / rows
        row_var = row_var + (row_mean - row_var) * take
        col_var = col_var + (col_mean - col_var) * take
        mean = xp.maximum(xp.sum(row_var, axis=-2, keepdims=True) / rows, eps1)
        estimate = row_var * col_var / mean
    else:
        estimate = variance = variance + (grad * grad - variance) * take
    update = grad / xp.sqrt(xp.maximum(estimate, eps1 * eps1))
    norm = xp.sqrt(xp.sum(update * update) / size) / d
    param = param - rate / xp.maximum(norm, 1.0) * update
    return param, row_var, col_var, variance, step + 1


@op(
    public=False,
    promotes=None,
    writes=("param", "momentum_buffer"),
    examples=[
        (*PAIR, (2, 3), {"weight_decay": 0.1, "adjust_lr_fn": "match_rms_adamw"}),
        ((3, 2), (3, 2), (3, 2), {"nesterov": False}),
    ],
)
@for_any_type
def muon_update(
    xp,
    param,
    grad,
    momentum_buffer,
    /,
    lr=1e-3,
    weight_decay=0.1,
    momentum=0.95,
    nesterov=True,
    ns_coefficients=(3.4445, -4.775, 2.0315),
    eps=1e-7,
    ns_steps=5,
    adjust_lr_fn=None,
):
    """One step of `devtensor.optim.Muon`."""
    rows, columns = param.shape
    if adjust_lr_fn == "match_rms_adamw":
        rate = lr * 0.2 * math.sqrt(max(rows, columns))
    else:
        rate = lr * math.sqrt(max(1, rows / max(columns, 1)))
    momentum_buffer = momentum_buffer + (grad - momentum_buffer) * (1 - momentum)
    update = grad + (momentum_buffer - grad) * momentum if nesterov else momentum_buffer
    update = orthogonal(xp, update, ns_coefficients, eps, ns_steps)
    return param * (1 - lr * weight_decay) - rate * update, momentum_buffer


def orthogonal(xp, matrix, coefficients, eps, steps):
    """A matrix near the nearest orthogonal one, by a quintic Newton-Schulz iteration."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    if tall:
        matrix = matrix.T
    matrix = matrix / xp.maximum(xp.sqrt(xp.sum(matrix * matrix)), eps)
    for _ in range(steps):
        gram = xp.matmul(matrix, matrix.T)
        matrix = a * matrix + xp.matmul(b * gram + c * xp.matmul(gram, gram), matrix)
    return matrix.T if tall else matrix
