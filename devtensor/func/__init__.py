"""Functions of functions: their derivatives, and what they give for whole batches (``torch.func``).

:func:`vmap` makes of a function of one example one of a batch; :func:`grad`, :func:`vjp`,
:func:`jvp`, :func:`jacrev` and their kin give derivatives; :func:`functional_call` makes a function
of a module. All combine in any order.
"""

from importlib import import_module
from typing import Any

from devtensor.func import _custom as _custom  # what a Function asks while a vmap runs
from devtensor.func._jacobian import hessian as hessian
from devtensor.func._jacobian import jacfwd as jacfwd
from devtensor.func._jacobian import jacrev as jacrev
from devtensor.func._modules import functional_call as functional_call
from devtensor.func._modules import (
    replace_all_batch_norm_modules_ as replace_all_batch_norm_modules_,
)
from devtensor.func._modules import stack_module_state as stack_module_state
from devtensor.func._transforms import grad as grad
from devtensor.func._transforms import grad_and_value as grad_and_value
from devtensor.func._transforms import jvp as jvp
from devtensor.func._transforms import linearize as linearize
from devtensor.func._transforms import vjp as vjp
from devtensor.func._vmap import debug_unwrap as debug_unwrap
from devtensor.func._vmap import functionalize as functionalize
from devtensor.func._vmap import vmap as vmap

__all__ = [
    "debug_unwrap", "functional_call", "functionalize", "grad", "grad_and_value", "hessian",
    "jacfwd", "jacrev", "jvp", "linearize", "replace_all_batch_norm_modules_",
    "stack_module_state", "vjp", "vmap",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):  # what `functorch` has beside `torch.func`
        older = import_module(f"{__name__}._stateless")
        if name in older.__all__:
            return getattr(older, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
