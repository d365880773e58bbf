"""The gradients of convolutions by hand (``torch.nn.grad``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.nn import functional
from devtensor.tensor import Tensor

__all__ = [
    "conv1d_input",
    "conv1d_weight",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_input",
    "conv3d_weight",
]


def gradients(dims: int) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """The two functions for convolutions over some dimensions."""
    convolution = getattr(functional, f"conv{dims}d")

    def slope(of: Tensor, grad: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        recording = dt.is_grad_enabled()
        with dt.enable_grad():
            out = run(of.requires_grad_())
        (found,) = dt.autograd.grad(out, of, grad, create_graph=recording)
        return found

    def of_input(
        input_size: Any,
        weight: Tensor,
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        given = (None, stride, padding, dilation, groups)
        blank = grad_output.new_zeros(tuple(input_size))
        return slope(blank, grad_output, lambda x: convolution(x, weight, *given))

    def of_weight(
        input: Tensor,
        weight_size: Any,
        grad_output: Tensor,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        given = (None, stride, padding, dilation, groups)
        blank = grad_output.new_zeros(tuple(weight_size))
        return slope(blank, grad_output, lambda w: convolution(input, w, *given))

    for function, what in ((of_input, "input"), (of_weight, "weight")):
        function.__name__ = function.__qualname__ = f"conv{dims}d_{what}"
        function.__doc__ = TEXT.format(dims=dims, what=what)
    return of_input, of_weight


TEXT = """The gradient of a `conv{dims}d` for its {what}.

    Parameters
    ----------
    {what}_size : sequence of int
        The shape of the result.
    grad_output : Tensor
        The gradient of the convolution's result, of its shape.
    stride, padding, dilation : int or tuple of int
    groups : int
        As of the convolution.

    Returns
    -------
    Tensor

    Raises
    ------
    RuntimeError
        If the shapes are not those of a convolution.
    """

conv1d_input, conv1d_weight = gradients(1)
conv2d_input, conv2d_weight = gradients(2)
conv3d_input, conv3d_weight = gradients(3)
