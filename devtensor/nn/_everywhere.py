"""Hooks of all modules: around every call, and whenever a module is given a part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.hooks import HookDict, RemovableHandle

__all__ = ["everywhere"]


class Everywhere:
    """The hooks of all modules, by what they wait for.

    Attributes
    ----------
    any : bool
        Whether there ever was one around calls; without, a call looks no further.
    """

    def __init__(self) -> None:
        self.pre = HookDict()
        self.post = HookDict()
        self.backward_pre = HookDict()
        self.backward = HookDict()
        self.parameter = HookDict()
        self.buffer = HookDict()
        self.module = HookDict()
        self.any = False

    def add(self, hooks: HookDict, hook: Any, **asked: bool) -> RemovableHandle:
        """Put `hook` among those around calls."""
        self.any = True
        return RemovableHandle.add(hooks, hook, **asked)

    @staticmethod
    def placed(hooks: HookDict, module: Any, name: str, value: Any) -> Any:
        """What `module` gets as `name`: `value`, or what a hook gives instead."""
        for hook in hooks.values():
            new = hook(module, name, value)
            value = value if new is None else new
        return value


everywhere = Everywhere()


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module."""
    return everywhere.add(everywhere.pre, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module."""
    asked = {"with_kwargs": with_kwargs, "always_call": always_call}
    return everywhere.add(everywhere.post, hook, **asked)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_output)` when the gradients of a module's outputs are known."""
    return everywhere.add(everywhere.backward_pre, hook)


def alike(hooks: HookDict, nodes: bool, where: str) -> None:
    """Raise RuntimeError if a backward hook of the other kind is among `hooks`."""
    if any(("nodes" in marks) != nodes for _, _, marks in hooks.marked()):
        raise RuntimeError(
            f"Cannot use both regular backward hooks and full backward hooks {where}. "
            "Please use only one of them."
        )


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` when those of a module's inputs are known."""
    alike(everywhere.backward, False, "as a global Module hook")
    return everywhere.add(everywhere.backward, hook)


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` at the last step of every module's forward.

    The gradients are those of that step alone; `register_module_full_backward_hook` has those of
    the module.
    """
    alike(everywhere.backward, True, "as a global Module hook")
    return everywhere.add(everywhere.backward, hook, nodes=True)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, parameter)` when a module gets one; its result takes the place."""
    return RemovableHandle.add(everywhere.parameter, hook)


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, buffer)` when a module gets one; its result takes the place."""
    return RemovableHandle.add(everywhere.buffer, hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, child)` when a module gets one; its result takes the place."""
    return RemovableHandle.add(everywhere.module, hook)
