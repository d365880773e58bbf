"""Running the hooks of a module around its forward and its backward."""

from __future__ import annotations

import warnings
from typing import Any

import devtensor as dt
from devtensor.hooks import HookDict, RemovableHandle
from devtensor.tensor import Tensor

__all__ = ["BackwardHook", "everywhere", "run_forward_hooks", "run_pre_hooks"]


class Everywhere:
    """The hooks that run around every module."""

    def __init__(self) -> None:
        self.pre = HookDict()
        self.post = HookDict()
        self.any = False

    def add(self, hooks: HookDict, hook: Any, **asked: bool) -> RemovableHandle:
        self.any = True
        return RemovableHandle.add(hooks, hook, **asked)


everywhere = Everywhere()


def run_pre_hooks(
    module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Let the hooks before the forward see and replace its arguments."""
    for _, hook, marks in (*everywhere.pre.marked(), *module._forward_pre_hooks.marked()):
        if "with_kwargs" in marks:
            result = hook(module, args, kwargs)
            if result is not None:
                if not (isinstance(result, tuple) and len(result) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of "
                        f"(new_args, new_kwargs), but got {result}."
                    )
                args, kwargs = result
        else:
            result = hook(module, args)
            if result is not None:
                args = result if isinstance(result, tuple) else (result,)
    return args, kwargs


def run_forward_hooks(
    module: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    result: Any,
    done: set[int],
    failed: bool = False,
) -> Any:
    """Let the hooks after the forward see and replace its output.

    After a failure only those registered with `always_call` that have not run yet are called.
    """
    for number, hook, marks in (*everywhere.post.marked(), *module._forward_hooks.marked()):
        if failed and ("always_call" not in marks or number in done):
            continue
        done.add(number)
        given = (args, kwargs) if "with_kwargs" in marks else (args,)
        try:
            new = hook(module, *given, result)
        except Exception as error:
            if not failed:
                raise
            # The first failure is the one to tell of.
            warnings.warn(f"forward hook with ``always_call=True`` raised: {error}", stacklevel=4)
            continue
        if new is not None:
            result = new
    return result


class BackwardHook:
    """Watches gradients at the borders of one call of a module."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.grad_output: tuple[Any, ...] | None = None
        self.inputs_watched = False
        self.input_count = 0

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Pass the tensors among `args` through a gate that sees their gradients."""
        self.input_count = len(args)
        self.inputs_watched = dt.is_grad_enabled() and any(
            isinstance(value, Tensor) and value.requires_grad for value in args
        )
        if not self.inputs_watched:
            return args
        return self._gate(args, self._at_inputs)

    def watch_outputs(self, result: Any) -> Any:
        """Pass the tensors of the result through a gate that sees their gradients."""
        outputs = result if isinstance(result, tuple) else (result,)
        if not any(isinstance(value, Tensor) and value.requires_grad for value in outputs):
            return result
        watched = self._gate(outputs, self._at_outputs)
        return watched if isinstance(result, tuple) else watched[0]

    def _gate(self, values: tuple[Any, ...], call: Any) -> tuple[Any, ...]:
        places = [i for i, value in enumerate(values) if isinstance(value, Tensor)]

        def spread(gradients: tuple[Any, ...]) -> tuple[Any, ...]:
            full: list[Any] = [None] * len(values)
            for i, gradient in zip(places, gradients, strict=True):
                full[i] = gradient
            replaced = call(tuple(full))
            return tuple(replaced[i] for i in places)

        passed = Gate.apply(spread, *(values[i] for i in places))
        new = list(values)
        for i, tensor in zip(places, passed, strict=True):
            new[i] = tensor
        return tuple(new)

    def _at_outputs(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.module._backward_pre_hooks.values():
            result = hook(self.module, gradients)
            if result is not None:
                gradients = self._checked(result, len(gradients), "grad_output")
        self.grad_output = gradients
        if not self.inputs_watched:
            self._run((None,) * self.input_count)
        return gradients

    def _at_inputs(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        return self._run(gradients)

    def _run(self, grad_input: tuple[Any, ...]) -> tuple[Any, ...]:
        for hook in self.module._backward_hooks.values():
            result = hook(self.module, grad_input, self.grad_output)
            if result is not None:
                if not self.inputs_watched:
                    raise RuntimeError(
                        "Backward hooks for Module are called with None grad_input as no input "
                        "requires gradient; a hook cannot replace it and must return None."
                    )
                grad_input = self._checked(result, len(grad_input), "grad_input")
        return grad_input

    @staticmethod
    def _checked(result: Any, count: int, what: str) -> tuple[Any, ...]:
        result = result if isinstance(result, tuple) else (result,)
        if len(result) != count:
            raise RuntimeError(
                f"Backward hook returned an invalid number of {what}, "
                f"got {len(result)}, but expected {count}"
            )
        return result


class Gate(dt.autograd.Function):
    """Gives its tensors on unchanged and shows their gradients to a function."""

    @staticmethod
    def forward(ctx: Any, call: Any, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.call = call
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, ...]:
        return (None, *ctx.call(gradients))
