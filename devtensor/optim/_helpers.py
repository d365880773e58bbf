"""What optimizers written elsewhere take from ``torch.optim.optimizer``, by PyTorch's names.

They hold a step for one tensor and one for lists, and choose; here they are led to the first.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = [
    "_capturable_doc",
    "_default_to_fused_or_foreach",
    "_differentiable_doc",
    "_disable_dynamo_if_unsupported",
    "_foreach_doc",
    "_fused_doc",
    "_get_capturable_supported_devices",
    "_get_foreach_kernels_supported_devices",
    "_get_fused_kernels_supported_devices",
    "_get_scalar_dtype",
    "_get_value",
    "_group_tensors_by_device_and_dtype",
    "_maximize_doc",
    "_params_doc",
    "_stack_if_compiling",
    "_to_scalar",
    "_use_grad_for_differentiable",
    "_view_as_real",
]

Function = TypeVar("Function", bound=Callable[..., Any])
Lists = Sequence[Sequence[Any]]

_params_doc = "params : iterable of Parameter or of dict"
_foreach_doc = "foreach : bool, optional"
_fused_doc = "fused : bool, optional"
_maximize_doc = "maximize : bool"
_capturable_doc = "capturable : bool"
_differentiable_doc = "differentiable : bool"


def _use_grad_for_differentiable(func: Function) -> Function:
    """Run a step with history if its optimizer is differentiable, and without if not."""

    @functools.wraps(func)
    def step(self: Any, *args: Any, **kwargs: Any) -> Any:
        with dt.set_grad_enabled(bool(self.defaults.get("differentiable"))):
            return func(self, *args, **kwargs)

    return step  # type: ignore[return-value]


def _disable_dynamo_if_unsupported(single_tensor_fn: Any = None) -> Callable[[Function], Function]:
    """Decorate with nothing: there is no compiler to keep away."""
    return lambda func: func


def _default_to_fused_or_foreach(
    params: Sequence[Tensor], differentiable: bool, use_fused: bool = False
) -> tuple[bool, bool]:
    """Neither: each tensor is a call of its own in either way."""
    return False, False


def _get_capturable_supported_devices(supports_xla: bool = True) -> list[str]:
    """The kinds of devices whose work can be captured: none."""
    return []


_get_fused_kernels_supported_devices = _get_capturable_supported_devices
_get_foreach_kernels_supported_devices = _get_capturable_supported_devices


def _get_scalar_dtype(is_fused: bool | None = None) -> Any:
    """The type in which steps are counted."""
    double = dt.get_default_dtype() is dt.float64 and not is_fused
    return dt.float64 if double else dt.float32


def _get_value(x: Any) -> Any:
    """A number, of a tensor its one element."""
    return x.item() if isinstance(x, Tensor) else x


def _to_scalar(x: Any) -> Any:
    """A hyperparameter without dimensions."""
    return x.squeeze() if isinstance(x, Tensor) and x.ndim else x


def _stack_if_compiling(x: Any) -> Any:
    """The list itself: nothing is compiled."""
    return x


def _view_as_real(params: list[Any], *state_and_grads: list[Any]) -> None:
    """Put views by parts in the place of complex parameters, and of what belongs to them."""
    for place, param in enumerate(params):
        if param.is_complex():
            for one in (params, *state_and_grads):
                one[place] = dt.view_as_real(one[place])


def _group_tensors_by_device_and_dtype(
    tensorlistlist: Lists, with_indices: bool = False
) -> dict[Any, tuple[list[list[Any]], list[int]]]:
    """Lists that belong together, by the devices and types of the tensors in the first."""
    groups: dict[Any, list[int]] = {}
    for place, one in enumerate(tensorlistlist[0]):
        groups.setdefault((one.device, one.dtype), []).append(place)
    told = slice(None) if with_indices else slice(0)
    return {
        key: (
            [[part[i] for i in places] for part in tensorlistlist],
            places[told],
        )
        for key, places in groups.items()
    }
