"""What all optimizers share: groups of parameters, their memory, and hooks."""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

from devtensor.hooks import HookDict, RemovableHandle
from devtensor.optim import _helpers
from devtensor.tensor import Tensor

__all__ = [
    "Optimizer",
    "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
    "required",
]

Hook = Callable[..., Any]
ParamsT = _params_t = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
SHELVES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)
everywhere_pre = HookDict()
everywhere_post = HookDict()


def __getattr__(name: str) -> Any:
    return getattr(_helpers, name)


class Required:
    """Marks an option without a default."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = Required()


def register_optimizer_step_pre_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before every step of every optimizer.

    It may return a tuple of new arguments and keyword arguments for the step.
    """
    return RemovableHandle.add(everywhere_pre, hook)


def register_optimizer_step_post_hook(hook: Hook) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after every step of every optimizer."""
    return RemovableHandle.add(everywhere_post, hook)


def kind_of(value: Any) -> str:
    """The name of the type of `value`, as error messages give it."""
    cls = type(value)
    if isinstance(value, Tensor):
        return str(value.type())
    return cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"


class Optimizer:
    """The base of all optimizers.

    A subclass calls ``super().__init__(params, defaults)`` and has a method `step`, which reads its
    options from the dicts in `param_groups` and keeps what it remembers of a parameter in
    ``state[parameter]``.

    Parameters
    ----------
    params : iterable
        Parameters, pairs of a name and a parameter, or dicts with such under ``"params"`` and
        options of the group beside them. Their order must be the same in every run.
    defaults : dict
        The options for groups that do not set their own.

    Raises
    ------
    TypeError
        If `params` is a tensor, a set, or has something else than tensors in it.
    ValueError
        If it is empty, a parameter is in two groups or no leaf, or only some have names.
    """

    param_groups: list[dict[str, Any]]
    state: defaultdict[Any, Any]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._make_shelves()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, "
                f"but got {kind_of(params)}"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _make_shelves(self) -> None:
        for shelf in SHELVES:
            if shelf not in self.__dict__:
                self.__dict__[shelf] = HookDict()
        self._patch_step_function()

    def _patch_step_function(self) -> None:
        """Let the hooks run around the class's own `step`, which knows nothing of them."""
        cls = type(self)
        self._zero_grad_profile_name = f"Optimizer.zero_grad#{cls.__name__}.zero_grad"
        if not getattr(cls.step, "hooked", False):
            cls.step = self.profile_hook_step(cls.step)  # type: ignore[method-assign]

    @staticmethod
    def profile_hook_step(func: Callable[..., Any]) -> Callable[..., Any]:
        """`func`, a method `step`, with the hooks around it."""

        @functools.wraps(func)
        def step(*args: Any, **kwargs: Any) -> Any:
            self = args[0]
            pre, post = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
            if not (pre or post or everywhere_pre or everywhere_post):
                return func(*args, **kwargs)
            for hook in (*everywhere_pre.values(), *pre.values()):
                result = hook(self, args, kwargs)
                if result is not None:
                    if not (isinstance(result, tuple) and len(result) == 2):
                        raise RuntimeError(
                            f"{func} must return None or a tuple of (new_args, new_kwargs), "
                            f"but got {result}."
                        )
                    args, kwargs = result
            out = func(*args, **kwargs)
            for hook in (*post.values(), *everywhere_post.values()):
                hook(self, args, kwargs)
            return out

        step.hooked = True  # type: ignore[attr-defined]
        return step

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._make_shelves()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
            lines.append("")  # a line between the groups
        return "\n".join(lines) + ")"

    # ---- hooks

    def register_step_pre_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before `step`; it may return new ones, as a pair."""
        return RemovableHandle.add(self._shelf("step_pre"), hook)

    def register_step_post_hook(self, hook: Hook) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after `step`."""
        return RemovableHandle.add(self._shelf("step_post"), hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict` collects."""
        return RemovableHandle.add(self._shelf("state_dict_pre"), hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict`; it may return another dict."""
        return RemovableHandle.add(self._shelf("state_dict_post"), hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; it may return another dict."""
        return RemovableHandle.add(self._shelf("load_state_dict_pre"), hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Hook, prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after loading."""
        return RemovableHandle.add(self._shelf("load_state_dict_post"), hook, prepend)

    def _shelf(self, name: str) -> HookDict:
        shelf: HookDict = self.__dict__[f"_optimizer_{name}_hooks"]
        return shelf

    # ---- state

    def state_dict(self) -> dict[str, Any]:
        """Return what the optimizer remembers and its options, as a dict.

        Under ``"param_groups"`` stand the groups with numbers in place of the parameters, and under
        ``"state"`` the memory of each parameter by its number. Tensors are not copied.
        """
        for hook in self._shelf("state_dict_pre").values():
            hook(self)
        ids: dict[int, int] = {}
        groups, start = [], 0
        for group in self.param_groups:
            for number, p in enumerate(group["params"], start):
                ids.setdefault(id(p), number)
            start += len(group["params"])
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [ids[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {
            ids[id(key)] if isinstance(key, Tensor) else key: value
            for key, value in self.state.items()
        }
        made: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._shelf("state_dict_post").values():
            result = hook(self, made)
            if result is not None:
                made = result
        return made

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` of an optimizer over like parameters has returned.

        Parameters are matched by their order. Tensors are brought to the parameter's device and,
        but for the count of steps, to its dtype.

        Raises
        ------
        ValueError
            If the groups are not as many, or not as long.
        """
        state_dict = state_dict.copy()
        for hook in self._shelf("load_state_dict_pre").values():
            result = hook(self, state_dict)
            if result is not None:
                state_dict = result
        saved = deepcopy(state_dict["param_groups"])
        if len(self.param_groups) != len(saved):
            raise ValueError("loaded state dict has a different number of parameter groups")
        for group, new in zip(self.param_groups, saved, strict=True):
            if len(group["params"]) != len(new["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    "optimizer's group"
                )
        parameters = dict(
            zip(
                chain.from_iterable(group["params"] for group in saved),
                chain.from_iterable(group["params"] for group in self.param_groups),
                strict=True,
            )
        )
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in parameters:
                state[parameters[key]] = fitted(parameters[key], value)
            else:
                state[key] = value
        for group, new in zip(self.param_groups, saved, strict=True):
            new["params"] = group["params"]
            if "param_names" in group:
                new.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._shelf("load_state_dict_post").values():
            hook(self)

    # ---- what it does

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters.

        Parameters
        ----------
        set_to_none : bool
            If False, they are filled with zeros instead; parameters are then moved by a weight
            decay or a momentum even if the next loss does not depend on them.
        """
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    if p.grad.grad_fn is not None:
                        p.grad.detach_()
                    else:
                        p.grad.requires_grad_(False)
                    p.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters once.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss anew, with its gradients, and returns it.
        """
        raise NotImplementedError

    _group_tensors_by_device_and_dtype = staticmethod(_helpers._group_tensors_by_device_and_dtype)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Optimize further parameters, those under ``"params"``, with the options beside them.

        Raises
        ------
        TypeError, ValueError
            As for the parameters given at first.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params, names = unpacked(param_group["params"])
        param_group["params"] = params
        if names:
            param_group["param_names"] = names
        for p in params:
            if not isinstance(p, Tensor):
                raise TypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {kind_of(p)}"
                )
            if not self.defaults.get("differentiable") and not (p.is_leaf or p.retains_grad):
                raise ValueError("can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        given = {id(p) for p in params}
        if len(given) != len(params):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this "
                "will cause an error; see github.com/pytorch/pytorch/issues/40967 for more "
                "information",
                stacklevel=3,
            )
        for group in self.param_groups:
            if ("param_names" in param_group) != ("param_names" in group):
                text = "with names" if "param_names" in param_group else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {text} to the optimizer"
                )
            if any(id(p) in given for p in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)


def unpacked(params: Any) -> tuple[list[Any], list[str]]:
    """Parameters, and their names if they have such."""
    if isinstance(params, Tensor):
        return [params], []
    if isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of "
            "tensors in sets will change between runs. Please use a list instead."
        )
    params = list(params)
    names = [p[0] for p in params if isinstance(p, tuple)]
    if names and len(names) != len(params):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    return [p[1] if isinstance(p, tuple) else p for p in params], names


def fitted(param: Tensor, value: Any, key: Any = None) -> Any:
    """`value` with its tensors on the device of `param` and, but for counts, in its dtype."""
    if isinstance(value, Tensor):
        if key == "step":
            return value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)
    if isinstance(value, dict):
        return {name: fitted(param, part, name) for name, part in value.items()}
    if isinstance(value, (list, tuple, set)):
        return type(value)(fitted(param, part) for part in value)
    return value
