"""What programs touch of PyTorch's compiled part (``torch._C``): mostly what is switched on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import Flag, auto
from typing import Any

from devtensor.amp import autocast
from devtensor.autograd.engine import running
from devtensor.autograd.passes import TRANSFORMED
from devtensor.device import device
from devtensor.nn import functional
from devtensor.nn.module import parse_to
from devtensor.overrides import DisableTorchFunction, DisableTorchFunctionSubclass
from devtensor.random import Generator
from devtensor.refusal import COMPILER, refused
from devtensor.route import disabled as _disabled_torch_function_impl
from devtensor.route import routed
from devtensor.tensor import Tensor
from devtensor.watch import step

__all__ = [
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "DispatchKey",
    "DispatchKeySet",
    "Generator",
    "_disabled_torch_function_impl",
]


class DispatchKey(Flag):
    """Parts of PyTorch's dispatcher, and sets of them: those that a block may be kept from."""

    AutocastCPU = auto()
    AutocastCUDA = auto()
    AutocastXPU = auto()


DispatchKeySet = DispatchKey
_TensorMeta = type(Tensor)
# Types of the compiler's graphs, which libraries name beside arguments.
Block, Graph, Node, Value = (
    refused(f"_C.{name}", COMPILER) for name in ("Block", "Graph", "Node", "Value")
)
_are_functorch_transforms_active = TRANSFORMED.get
_current_autograd_node = step


@contextmanager
def _ExcludeDispatchKeyGuard(keys: DispatchKey) -> Iterator[None]:
    """A block without the automatic mixed precision of some kinds of devices."""
    with ExitStack() as stack:
        for key in DispatchKey:
            if key in keys:
                kind = key.name.removeprefix("Autocast").lower()  # type: ignore[union-attr]
                stack.enter_context(autocast(kind, enabled=False))
        yield


def _log_api_usage_once(name: str) -> None:
    """Nothing: nobody counts which functions are used."""


def _current_graph_task_id() -> int:
    """A number for the backward pass that is under way in this thread; -1 outside of one."""
    walk = running()
    return -1 if walk is None else id(walk)


def _is_torch_function_mode_enabled() -> bool:
    """Whether a mode is on that is asked what functions do."""
    return routed(())


def _is_alias_of(data: Tensor, other: Tensor) -> bool:
    """Whether two tensors look at one memory."""
    starts = [x.untyped_storage().data_ptr() for x in (data, other)]
    return data.device == other.device and starts[0] == starts[1]


def _get_tracing_state() -> None:
    """None: nothing is traced."""


def _get_accelerator() -> device:
    """The kind of device that is used beside the host, or the host."""
    from devtensor.accelerator import current_accelerator

    return current_accelerator() or device("cpu")


class Networks:
    """``torch._C._nn``: functions of networks, and how the arguments of `to` are read."""

    @staticmethod
    def _parse_to(*args: Any, **kwargs: Any) -> tuple[Any, Any, bool, Any]:
        place, dtype, non_blocking = parse_to(*args, **kwargs)
        place = None if place is None else device(place)
        return place, dtype, non_blocking, kwargs.get("memory_format")

    def __getattr__(self, name: str) -> Any:
        return getattr(functional, name)


_nn = Networks()


def __getattr__(name: str) -> Any:
    # Switches of a compiler that is not here.
    if name.startswith(("_jit_set_", "_jit_override_", "_jit_can_fuse_")):
        return lambda *values: False
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
