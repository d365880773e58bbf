"""Steps of the optimizers as functions of lists, by PyTorch's names.

Each applies the formula of an optimizer to a parameter, its gradient and what is remembered of it,
which it writes: `adam(params, grads, exp_avgs, ...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any

import devtensor as dt
from devtensor.ops import optimizer as formulas
from devtensor.tensor import Tensor

from ._steps import number, recorded
from .sparse_adam import sparse_adam

__all__ = [
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "asgd",
    "muon",
    "nadam",
    "radam",
    "rmsprop",
    "rprop",
    "sgd",
    "sparse_adam",
]

WAYS = {"foreach": None, "capturable": False, "differentiable": False}
"""Options that say how PyTorch computes a step; the second and the third take no fused one."""
SCALED = {"fused": None, "grad_scale": None, "found_inf": None}

USED_IF = {"max_exp_avg_sqs": "amsgrad", "grad_avgs": "centered",
           "momentum_buffer_list": "momentum"}  # fmt: skip
"""Lists that count only with an option, and may be empty without it."""


COUNTERS = ("state_steps", "etas", "mus", "mu_products")
"""Lists of numbers that a step changes."""


def check_lists(params: Sequence[Tensor], written: bool, lists: dict[str, Sequence[Any]]) -> None:
    """Refuse what a step cannot go through, before it writes anything.

    Parameters
    ----------
    params : sequence of Tensor
    written : bool
        Whether operations are recorded, so that leaves that require gradients must not be written.
    lists : dict
        The lists beside them, by name; they may be longer.
    """
    for name, values in lists.items():
        if len(values) < len(params):
            raise IndexError(
                f"list index out of range: {name} has {len(values)} entries for {len(params)} "
                "parameters; give one for each"
            )
        if name in COUNTERS and not all(isinstance(value, Tensor) for value in values):
            raise RuntimeError(
                f"API has changed, `{name}` argument must contain a list of singleton tensors"
            )
    read_only = ("grads", "d_p_list")
    changed = [params, *(values for name, values in lists.items() if name not in read_only)]
    for values in changed if written else ():
        for value in values:
            if isinstance(value, Tensor) and value.requires_grad and value.is_leaf:
                raise RuntimeError(
                    "a leaf Variable that requires grad is being used in an in-place operation: "
                    "take the step under torch.no_grad()"
                )


def named_in(text: str) -> str:
    """The optimizer that a formula's description names first."""
    return text.partition("`devtensor.optim.")[2].partition("`")[0]


def stepping(
    name: str, formula: Any, lists: str, kept: str, flags: dict[str, Any], options: str,
    unused: str = "",
) -> Callable[..., None]:  # fmt: skip
    """Make the function that applies a formula to each parameter.

    Parameters
    ----------
    name : str
        What it is called.
    formula : Op
        Of `devtensor.ops.optimizer`.
    lists : str
        The lists that the function takes, in PyTorch's order.
    kept : str
        Those that the formula takes behind parameter and gradient, in its order.
    flags : dict
        Further options with what they are when left out, in PyTorch's order.
    options : str
        What the formula takes then, by PyTorch's names, in its order.
    unused : str
        What must be given beside that.
    """
    named = [word for word in (*options.split(), *unused.split()) if word not in flags]
    both, alone = Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY
    signature = Signature(
        [Parameter(word, both) for word in lists.split()]
        + [Parameter(word, both, default=value) for word, value in flags.items()]
        + [Parameter(word, alone) for word in named]
    )
    params, grads = lists.split()[:2]

    def function(*args: Any, **kwargs: Any) -> None:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        if given.get("found_inf"):
            return
        counted = given[params]
        if given.get("capturable") and any(p.device.type == "cpu" for p in counted):
            raise AssertionError(
                "If capturable=True, params and state_steps must be on supported devices, which "
                "the CPU is not: leave capturable out"
            )
        used = [word for word in kept.split() if given.get(USED_IF.get(word, ""), True)]
        recording = dt.is_grad_enabled()
        check_lists(counted, recording, {word: given[word] for word in (grads, *used)})
        recording = recording and bool(given.get("differentiable"))
        columns = [given[word] if word in used else [None] * len(counted) for word in kept.split()]
        values = [given[word] for word in options.split()]
        values = values if recording else [number(value) for value in values]
        update = recorded(formula, len(columns)) if recording else formula
        with dt.set_grad_enabled(recording):
            for p, grad, *memory in zip(counted, given[grads], *columns, strict=False):
                if grad.is_sparse:
                    grad = grad.to_dense()
                if given.get("grad_scale") is not None:
                    grad = grad / given["grad_scale"]
                update(p, grad, *memory, *values)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"Take one step of `{named_in(formula.__doc__)}`."
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


MOMENTS = "params grads exp_avgs exp_avg_sqs"
DECOUPLED = {"decoupled_weight_decay": False}

adadelta = stepping(
    "adadelta", formulas.adadelta_update,
    "params grads square_avgs acc_deltas state_steps", "square_avgs acc_deltas state_steps",
    {"capturable": False, "foreach": None, "differentiable": False, "has_complex": False},
    "lr rho eps weight_decay maximize",
)  # fmt: skip
adafactor = stepping(
    "adafactor", formulas.adafactor_update,
    "params grads row_vars col_vars variances state_steps",
    "row_vars col_vars variances state_steps",
    {"foreach": None, "grad_scale": None, "found_inf": None, "has_complex": False},
    "lr beta2_decay eps1 eps2 d weight_decay maximize",
)  # fmt: skip
adagrad = stepping(
    "adagrad", formulas.adagrad_update, "params grads state_sums state_steps",
    "state_sums state_steps",
    {**SCALED, "has_sparse_grad": False, "foreach": None, "differentiable": False,
     "has_complex": False},
    "lr lr_decay eps weight_decay maximize",
)  # fmt: skip
adam = stepping(
    "adam", formulas.adam_update, f"{MOMENTS} max_exp_avg_sqs state_steps",
    "exp_avgs exp_avg_sqs max_exp_avg_sqs state_steps",
    {**WAYS, **SCALED, "has_complex": False, **DECOUPLED},
    "lr beta1 beta2 eps weight_decay decoupled_weight_decay maximize", "amsgrad",
)  # fmt: skip
adamax = stepping(
    "adamax", formulas.adamax_update, "params grads exp_avgs exp_infs state_steps",
    "exp_avgs exp_infs state_steps",
    {"foreach": None, "maximize": False, "differentiable": False, "capturable": False,
     "has_complex": False},
    "lr beta1 beta2 eps weight_decay maximize",
)  # fmt: skip
asgd = stepping(
    "asgd", formulas.asgd_update, "params grads axs mus etas state_steps",
    "axs state_steps etas mus",
    {"foreach": None, "maximize": False, "differentiable": False, "capturable": False,
     "has_complex": False},
    "lr lambd alpha t0 weight_decay maximize",
)  # fmt: skip
nadam = stepping(
    "nadam", formulas.nadam_update, f"{MOMENTS} mu_products state_steps",
    "exp_avgs exp_avg_sqs state_steps mu_products",
    {**DECOUPLED, **WAYS, "has_complex": False, "maximize": False},
    "lr beta1 beta2 eps weight_decay momentum_decay decoupled_weight_decay maximize",
)  # fmt: skip
radam = stepping(
    "radam", formulas.radam_update, f"{MOMENTS} state_steps", "exp_avgs exp_avg_sqs state_steps",
    {**DECOUPLED, "foreach": None, "differentiable": False, "capturable": False,
     "has_complex": False, "maximize": False},
    "lr beta1 beta2 eps weight_decay decoupled_weight_decay maximize",
)  # fmt: skip
rmsprop = stepping(
    "rmsprop", formulas.rmsprop_update,
    "params grads square_avgs grad_avgs momentum_buffer_list state_steps",
    "square_avgs grad_avgs momentum_buffer_list state_steps",
    {"foreach": None, "maximize": False, "differentiable": False, "capturable": False,
     "has_complex": False},
    "lr alpha eps weight_decay momentum maximize", "centered",
)  # fmt: skip
rprop = stepping(
    "rprop", formulas.rprop_update, "params grads prevs step_sizes state_steps",
    "prevs step_sizes state_steps",
    {"foreach": None, "capturable": False, "maximize": False, "differentiable": False,
     "has_complex": False},
    "etaminus etaplus step_size_min step_size_max maximize",
)  # fmt: skip
orthogonal = stepping(
    "muon", formulas.muon_update, "params grads muon_momentum_bufs", "muon_momentum_bufs", {},
    "lr weight_decay momentum nesterov ns_coefficients eps ns_steps adjust_lr_fn", "has_complex",
)  # fmt: skip


def adamw(*args: Any, **kwargs: Any) -> None:
    """Take one step of `AdamW`: `adam` that shrinks the parameters by their decay."""
    adam(*args, **kwargs, decoupled_weight_decay=True)


def muon(
    params: list[Tensor], grads: list[Tensor], muon_momentum_bufs: list[Tensor], *,
    foreach: bool | None = None, **options: Any,
) -> None:  # fmt: skip
    """Take one step of `Muon`."""
    orthogonal(params, grads, muon_momentum_bufs, **options)


def sgd(
    params: list[Tensor],
    d_p_list: list[Tensor],
    momentum_buffer_list: list[Tensor | None],
    has_sparse_grad: bool = False,
    foreach: bool | None = None,
    fused: bool | None = None,
    grad_scale: Tensor | None = None,
    found_inf: Tensor | None = None,
    *,
    weight_decay: float,
    momentum: float,
    lr: float,
    dampening: float,
    nesterov: bool,
    maximize: bool,
) -> None:
    """Take one step of `SGD`; buffers that are None are begun with the gradients."""
    if found_inf is not None and found_inf:
        return
    used = {"momentum_buffer_list": momentum_buffer_list} if momentum != 0 else {}
    check_lists(params, dt.is_grad_enabled(), {"d_p_list": d_p_list, **used})
    with dt.no_grad():
        for place, (p, grad) in enumerate(zip(params, d_p_list, strict=False)):
            grad = grad.to_dense() if grad.is_sparse else grad
            grad = grad if grad_scale is None else grad / grad_scale
            buffer, damped = None, dampening
            if momentum != 0:
                buffer = momentum_buffer_list[place]
                if buffer is None:
                    buffer = momentum_buffer_list[place] = dt.zeros_like(p)
                    damped = 0.0
            formulas.sgd_update(
                p, grad, buffer, number(lr), number(weight_decay), momentum, damped, nesterov,
                maximize,
            )  # fmt: skip
