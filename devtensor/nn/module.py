"""Module: the base of every layer and model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import devtensor as dt
from devtensor.hooks import HookDict, RemovableHandle
from devtensor.nn._everywhere import (
    alike,
    everywhere,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from devtensor.nn._hooks import backward_hook, run_forward_hooks, run_pre_hooks
from devtensor.nn._state import State
from devtensor.nn.parameter import is_lazy
from devtensor.tensor import Tensor

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

Self = TypeVar("Self", bound="Module")

HOOKS = (
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
    "_forward_pre_hooks",
    "_forward_hooks",
    "_backward_pre_hooks",
    "_backward_hooks",
)


class Module(State):
    """Base of all layers and models.

    A subclass calls `super().__init__()`, sets its parameters and children as attributes and
    defines `forward`. `module(x)` then runs `forward(x)` and the hooks.
    """

    training: bool
    call_super_init: bool = False
    # True once a hook was registered: a module without hooks pays for one look at this.
    _hooked: bool = False
    _forward_pre_hooks: HookDict
    _forward_hooks: HookDict
    _backward_pre_hooks: HookDict
    _backward_hooks: HookDict

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if (args or kwargs) and not self.call_super_init:
            what = (
                f"got an unexpected keyword argument '{next(iter(kwargs))}'"
                if kwargs
                else f"takes 1 positional argument but {len(args) + 1} were given"
            )
            raise TypeError(f"{type(self).__name__}.__init__() {what}")
        self.__dict__.update(
            training=True,
            _parameters={},
            _buffers={},
            _modules={},
            _non_persistent_buffers_set=set(),
        )
        for name in HOOKS:
            self.__dict__[name] = HookDict()
        if self.call_super_init:  # another base waits for what was given
            super().__init__(*args, **kwargs)

    # By PyTorch's names, for programs that look which hooks are called how.
    _forward_hooks_with_kwargs = property(lambda self: self._forward_hooks.with_kwargs)
    _forward_hooks_always_called = property(lambda self: self._forward_hooks.always_called)
    _forward_pre_hooks_with_kwargs = property(lambda self: self._forward_pre_hooks.with_kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in HOOKS:
            self.__dict__[name] = HookDict(state.get(name, {}))
        self.__dict__["_hooked"] = any(self.__dict__[name] for name in HOOKS)

    # -- the call --------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._hooked or everywhere.any:
            return self._call_with_hooks(args, kwargs)
        return self.forward(*args, **kwargs)

    _call_impl = _wrapped_call_impl = __call__
    dump_patches = False

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every subclass defines it."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        done: set[int] = set()
        try:
            args, kwargs = run_pre_hooks(self, args, kwargs)
            backward = backward_hook(self)
            if backward is not None:
                args = backward.watch_inputs(args)
            result = self.forward(*args, **kwargs)
            result = run_forward_hooks(self, args, kwargs, result, done)
            return result if backward is None else backward.watch_outputs(result)
        except Exception:
            run_forward_hooks(self, args, kwargs, None, done, failed=True)
            raise

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before every `forward`; what it returns replaces `args`.

        With `with_kwargs` the hook is called as `hook(module, args, kwargs)` and returns both.
        """
        self.__dict__["_hooked"] = True
        return RemovableHandle.add(self._forward_pre_hooks, hook, prepend, with_kwargs=with_kwargs)

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after every `forward`; its result replaces the output.

        With `with_kwargs` the hook is called as `hook(module, args, kwargs, output)`; with
        `always_call` it runs even if `forward` raised, with None as the output.
        """
        self.__dict__["_hooked"] = True
        asked = {"with_kwargs": with_kwargs, "always_call": always_call}
        return RemovableHandle.add(self._forward_hooks, hook, prepend, **asked)

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients of the outputs are known."""
        self.__dict__["_hooked"] = True
        return RemovableHandle.add(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when those of the inputs are known.

        What it returns replaces `grad_input`.
        """
        return self._add_backward_hook(hook, prepend, nodes=False)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` at the last step of every forward.

        The gradients are those of that step alone; `register_full_backward_hook` has those of
        the module.
        """
        return self._add_backward_hook(hook, False, nodes=True)

    def _add_backward_hook(self, hook: Any, prepend: bool, nodes: bool) -> RemovableHandle:
        alike(self._backward_hooks, nodes, "on a single Module")
        self.__dict__["_hooked"] = True
        return RemovableHandle.add(self._backward_hooks, hook, prepend, nodes=nodes)

    # -- modes -----------------------------------------------------------------------------

    def train(self: Self, mode: bool = True) -> Self:
        """Set training mode here and in all modules below; dropout and batch norm look at it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: Self) -> Self:
        """Set evaluation mode: the same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Turn on or off the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or set them to zero."""
        for parameter in self.parameters():
            if parameter.grad is None:
                continue
            if set_to_none:
                parameter.grad = None
            else:
                if parameter.grad.grad_fn is None:
                    parameter.grad.requires_grad_(False)
                else:
                    parameter.grad = parameter.grad.detach()
                parameter.grad.zero_()

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn(module)` on all modules below and, last, on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing, as `devtensor.compile`: modules run as they are."""

    # -- conversion ------------------------------------------------------------------------

    def _apply(self: Self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the memory of every parameter, gradient and buffer by `fn` of it."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for parameter in self._parameters.values():
            if parameter is None:
                continue
            with dt.no_grad():
                gradient = parameter.grad
                parameter.grad = None
                parameter.data = fn(parameter.data)
                if gradient is not None:
                    parameter.grad = fn(gradient).requires_grad_(gradient.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None and is_lazy(buffer):
                buffer.data = fn(buffer.data)
            elif buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self: Self, *args: Any, **kwargs: Any) -> Self:
        """Move and cast parameters and buffers: `to(device)`, `to(dtype)`, `to(tensor)`.

        The module itself is changed. Only floating point tensors are cast.

        Raises
        ------
        TypeError
            If the dtype is not a floating point or complex one.
        """
        device, dtype, non_blocking = parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, "
                f"but got desired dtype={dtype}"
            )

        def convert(tensor: Tensor) -> Tensor:
            floating = tensor.is_floating_point() or tensor.is_complex()
            kind = dtype if dtype is not None and floating else tensor.dtype
            place = tensor.device if device is None else device
            return tensor.to(place, kind, non_blocking)

        return self._apply(convert)

    def cpu(self: Self) -> Self:
        """Move parameters and buffers to the cpu."""
        return self._apply(lambda tensor: tensor.to("cpu"))

    def cuda(self: Self, device: Any = None) -> Self:
        """Move parameters and buffers to a CUDA device."""
        return self._apply(lambda tensor: tensor.to(numbered("cuda", device)))

    def xpu(self: Self, device: Any = None) -> Self:
        """Move parameters and buffers to a SYCL device."""
        return self._apply(lambda tensor: tensor.to(numbered("xpu", device)))

    def type(self: Self, dst_type: Any) -> Self:
        """Cast all parameters and buffers, integers too, to `dst_type`."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self: Self) -> Self:
        """Cast floating point parameters and buffers to float32."""
        return self._cast(dt.float32)

    def double(self: Self) -> Self:
        """Cast floating point parameters and buffers to float64."""
        return self._cast(dt.float64)

    def half(self: Self) -> Self:
        """Cast floating point parameters and buffers to float16."""
        return self._cast(dt.float16)

    def bfloat16(self: Self) -> Self:
        """Cast floating point parameters and buffers to bfloat16."""
        return self._cast(dt.bfloat16)

    def _cast(self: Self, dtype: Any) -> Self:
        return self._apply(lambda x: x.to(dtype) if x.is_floating_point() else x)

    def to_empty(self: Self, *, device: Any, recurse: bool = True) -> Self:
        """Move to `device` without the values: fresh memory with anything in it."""
        return self._apply(lambda x: dt.empty_like(x, device=device), recurse=recurse)

    def share_memory(self: Self) -> Self:
        """Move parameters and buffers to memory that processes share."""
        for module in self.modules():
            for tensor in module._uninitialized():
                tensor.share_memory_()  # raises
        return self._apply(lambda tensor: tensor.share_memory_())

    # -- text ------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """Say what stands between the brackets of the repr; for subclasses to define."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {indented(repr(module))}" for name, module in self._modules.items()]
        if len(lines) == 1 and not children:
            return f"{self._get_name()}({lines[0]})"
        if not lines and not children:
            return f"{self._get_name()}()"
        inside = "\n  ".join(lines + children)
        return f"{self._get_name()}(\n  {inside}\n)"


def indented(text: str, spaces: int = 2) -> str:
    """Indent every line but the first and those that are blank."""
    first, *lines = text.split("\n")
    return "\n".join([first, *[" " * spaces + line if line.strip() else "" for line in lines]])


def numbered(kind: str, index: Any) -> Any:
    """Make a device of `kind` out of a number, a device or None."""
    return f"{kind}:{index}" if isinstance(index, int) else (index or kind)


def parse_to(
    *args: Any,
    device: Any = None,
    dtype: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> tuple[Any, Any, bool]:
    """Read the arguments of `to` in all their forms."""
    for value in args:
        if isinstance(value, bool):
            non_blocking = value
        elif isinstance(value, Tensor):
            device, dtype = value.device, value.dtype
        elif isinstance(value, dt.dtype):
            dtype = value
        elif value is not None:
            if not isinstance(value, str | int | dt.device):
                raise TypeError(
                    "to() received an invalid combination of arguments: expected a device, "
                    f"a dtype or a Tensor, got {type(value).__name__}"
                )
            device = dt.device(value)
    return device, dtype, non_blocking
