"""TorchScript's names (``torch.jit``): nothing is compiled; what marks code does nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, Final, TypeVar

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

script = refused("jit.script", LEAVE)
trace = refused("jit.trace", LEAVE)
trace_module = refused("jit.trace_module", LEAVE)
script_method = refused("jit.script_method", LEAVE)
freeze = refused("jit.freeze", f"{LEAVE}, in eval mode")
optimize_for_inference = refused("jit.optimize_for_inference", f"{LEAVE}, under inference_mode")
save = refused("jit.save", "there are no compiled modules; save the state_dict by torch.save")
load = refused(
    "jit.load",
    "compiled modules cannot be run; build the module by its class and load a state_dict",
)
fork = refused("jit.fork", "operations run one after another; call the function")
wait = refused("jit.wait", "operations run one after another; use the function's result")
ScriptModule = refused("jit.ScriptModule", LEAVE)
ScriptFunction = refused("jit.ScriptFunction", LEAVE)
RecursiveScriptModule = ScriptModule


class Error(RuntimeError):
    """An error in compiled code, of which there is none."""


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
