"""TorchScript's names (``torch.jit``): code is run as it is, as by PyTorch under PYTORCH_JIT=0."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import contextmanager
from types import ModuleType
from typing import Any, Final, TypeVar

from devtensor.nn.module import Module
from devtensor.refusal import refused

__all__ = [
    "Attribute",
    "Error",
    "Final",
    "ScriptFunction",
    "ScriptModule",
    "annotate",
    "export",
    "fork",
    "freeze",
    "ignore",
    "interface",
    "is_scripting",
    "is_tracing",
    "isinstance",
    "load",
    "optimize_for_inference",
    "optimized_execution",
    "save",
    "script",
    "script_if_tracing",
    "script_method",
    "set_fusion_strategy",
    "strict_fusion",
    "trace",
    "trace_module",
    "unused",
    "wait",
]

F = TypeVar("F")
_of_type = isinstance
LEAVE = "nothing is compiled here; call the function or module as it is"

freeze = refused("jit.freeze", f"{LEAVE}, in eval mode")
optimize_for_inference = refused("jit.optimize_for_inference", f"{LEAVE}, under inference_mode")
save = refused("jit.save", "there are no compiled modules; save the state_dict by torch.save")
load = refused(
    "jit.load",
    "compiled modules cannot be run; build the module by its class and load a state_dict",
)
fork = refused("jit.fork", "operations run one after another; call the function")
wait = refused("jit.wait", "operations run one after another; use the function's result")
ScriptFunction = refused("jit.ScriptFunction", LEAVE)
RecursiveScriptModule = refused("jit.RecursiveScriptModule", LEAVE)


class Error(RuntimeError):
    """An error in compiled code, of which there is none."""


class TracerWarning(Warning):
    """A warning that tracing gives, so one that is never given."""


class ScriptModule(Module):
    """A module like any other, of programs that derive theirs from it."""

    def __init__(self, arg: Any = None) -> None:
        super().__init__()


_told: list[bool] = []


def _as_it_is(given: F) -> F:
    """Return what is given; the first time, say that this is all that happens."""
    if not _told:
        _told.append(True)
        warnings.warn(
            "torch.jit compiles nothing here: functions and modules are returned as they are",
            stacklevel=3,
        )
    return given


def script(obj: F, *_: Any, **__: Any) -> F:
    """Return the function, module or class as it is.

    Parameters
    ----------
    obj : callable or Module
        It stays what it is; further arguments have no effect.
    """
    return _as_it_is(obj)


def trace(func: F, *_: Any, **__: Any) -> F:
    """Return the function or module as it is; the example inputs are not looked at."""
    return _as_it_is(func)


def trace_module(mod: F, *_: Any, **__: Any) -> F:
    """Return the module as it is; the example inputs are not looked at."""
    return _as_it_is(mod)


def script_method(fn: F) -> F:
    """Return the method as it is."""
    return _as_it_is(fn)


class _Broadcast:
    """``BroadcastingList2[int]`` in annotations: a number, or as many as the name says."""

    def __getitem__(self, types: Any) -> Any:
        return types | list[types]


annotations = ModuleType("devtensor.jit.annotations")  # type: ignore[assignment]
annotations.__dict__.update(
    {f"BroadcastingList{size}": _Broadcast() for size in range(1, 7)},
    Dict=dict, List=list, Tuple=tuple, Any=Any,
)  # fmt: skip


class Attribute:
    """A value and its type, in older programs."""

    def __init__(self, value: Any, type: Any) -> None:
        self.value, self.type = value, type


def is_scripting() -> bool:
    """False: code is always run as it is."""
    return False


def is_tracing() -> bool:
    """False: code is always run as it is."""
    return False


def annotate(the_type: Any, the_value: F) -> F:
    """Return the value."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Whether an object is of a type, or of one in a tuple."""
    return _of_type(obj, target_type)


def unused(fn: F) -> F:
    """Return the function."""
    return fn


def export(fn: F) -> F:
    """Return the function."""
    return fn


def interface(obj: F) -> F:
    """Return the class."""
    return obj


def script_if_tracing(fn: F) -> F:
    """Return the function: nothing is traced."""
    return fn


def ignore(drop: Any = False, **_: Any) -> Any:
    """Return the function, also where the decorator is given arguments."""
    return drop if callable(drop) else unused


def set_fusion_strategy(strategy: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Accept a strategy; nothing is fused."""
    return strategy


@contextmanager
def optimized_execution(should_optimize: bool) -> Any:
    """A block like any other."""
    yield


@contextmanager
def strict_fusion() -> Any:
    """A block like any other."""
    yield


def _overload(func: F) -> F:
    return func


def _overload_method(func: F) -> F:
    return func


_script_if_tracing: Callable[[Any], Any] = script_if_tracing
