"""Finds the hooks by which a module's parameters are made anew before each call."""

from __future__ import annotations

from typing import Any

from devtensor.nn.parameter import is_lazy

__all__ = ["check_new", "hooks", "take_off"]


def check_new(module: Any, kind: type, name: str, what: str) -> None:
    """Refuse a parameter that has such a hook, or no shape yet.

    Raises
    ------
    RuntimeError, ValueError
    """
    if hooks(module, kind, name):
        raise RuntimeError(f"Cannot register two {what} hooks on the same parameter {name}")
    if is_lazy(module._parameters.get(name)):
        raise ValueError(
            f"The module passed to `{kind.__name__}` can't have uninitialized parameters. Make "
            f"sure to run the dummy forward before applying {what}"
        )


def hooks(module: Any, kind: type, name: str | None = None) -> list[tuple[int, Any]]:
    """The hooks of a class, with their keys; those for the parameter `name` if that is given."""
    return [
        (key, hook)
        for key, hook in module._forward_pre_hooks.items()
        if isinstance(hook, kind) and name in (None, name_of(hook))
    ]


def name_of(hook: Any) -> Any:
    """The parameter that a hook is for."""
    return getattr(hook, "_tensor_name", None) or getattr(hook, "name", None)


def take_off(module: Any, kind: type, name: str, otherwise: str) -> Any:
    """Make a parameter an ordinary one again, by the hook's own `remove`.

    Raises
    ------
    ValueError
        With the text `otherwise`, if there is no such hook.
    """
    for key, hook in hooks(module, kind, name):
        hook.remove(module)
        del module._forward_pre_hooks[key]
        return module
    raise ValueError(otherwise)
