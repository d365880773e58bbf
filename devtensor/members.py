"""Methods that tensors have and no function stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.autograd.mode import current
from devtensor.autograd.view import requires_grad
from devtensor.autograd.write import check_writable
from devtensor.host import made_of as constructed
from devtensor.look import check_format
from devtensor.methods import reshaped
from devtensor.op import catalogue
from devtensor.settings import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    memory_format,
    preserve_format,
)
from devtensor.storage import Memory
from devtensor.tensor import Tensor, on_tensor


def plain(name: str, tensor: Any) -> None:
    """Refuse what a function of Python's cannot be applied to.

    Raises
    ------
    RuntimeError, TypeError
        If the tensor is tracked, or is not in the host's memory.
    """
    if requires_grad(tensor):
        raise RuntimeError(
            f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() "
            "instead."
        )
    if not tensor._device.backend.host:
        raise TypeError(f"{name} is only implemented on CPU tensors: this one is on "
                        f"{tensor._device}; move it by .cpu()")  # fmt: skip


@on_tensor
class Members:
    """Methods that write, element by element or along a diagonal."""

    def apply_(self: Any, callable: Callable[[Any], Any]) -> Tensor:
        """Replace each element by what a function of Python makes of it; slow, and on the host.

        Raises
        ------
        RuntimeError
            If gradients are wanted.
        TypeError
            If the tensor is on an accelerator.
        """
        plain("apply_", self)
        return self.copy_(made_of(self, list(map(callable, self.reshape(-1).tolist()))))

    def map_(self: Any, tensor: Any, callable: Callable[[Any, Any], Any]) -> Tensor:
        """Replace each element by what a function makes of it and of that of another tensor.

        Raises
        ------
        RuntimeError
            If gradients are wanted, or the shapes do not broadcast.
        TypeError
            If a tensor is on an accelerator.
        """
        return mapped("map_", self, callable, tensor)

    def map2_(self: Any, x: Any, y: Any, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
        """The same with two other tensors."""
        return mapped("map2_", self, callable, x, y)

    def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Tensor:
        """Write a number along the main diagonal, of matrices and of cubes of any dimension.

        Parameters
        ----------
        fill_value : number
        wrap : bool
            Whether the diagonal of a tall matrix begins again below its end.

        Raises
        ------
        RuntimeError
            If there are fewer than two dimensions, or more than two of several lengths.
        """
        if self.ndim < 2:
            raise RuntimeError("dimensions must larger than 1")
        if self.ndim > 2 and len(set(self.shape)) > 1:
            raise RuntimeError("all dimensions of input must be of equal length")
        diagonal = self
        while diagonal.ndim > 1:
            diagonal = diagonal.diagonal()
        diagonal.fill_(fill_value)
        rows, columns = self.shape[:2]
        if wrap and self.ndim == 2:
            for start in range(columns + 1, rows, columns + 1):
                self[start:].diagonal().fill_(fill_value)
        return self

    def resize_as_(self: Any, the_template: Any, *, memory_format: Any = None) -> Tensor:
        """Give it the shape of another; what is new is unset."""
        if memory_format is not preserve_format:
            check_format("resize_as_", memory_format, the_template.ndim)
        return self.resize_(the_template.shape)

    def set_(
        self: Any,
        source: Any = None,
        storage_offset: Any = None,
        size: Any = None,
        stride: Any = None,
    ) -> Tensor:
        """Let it look at the memory of another tensor, or at a storage; at none, if none is given.

        Parameters
        ----------
        source : Tensor or storage, optional
        storage_offset : int, optional
            Where it begins, in elements behind the beginning of the source; with `size`.
        size, stride : sequence of int, optional
            The shape, and the steps in elements; by default those of the source, or of the shape
            in order.

        Raises
        ------
        RuntimeError
            If it is a leaf that requires gradients, or the types or devices differ.
        TypeError
            If the source is something else, or the arguments are not those of one of these forms:
            none, a source, or a source with an offset and a size.
        """
        placed = (storage_offset is not None) + (size is not None)
        whole = not placed and stride is None
        known = isinstance(source, (Tensor, Memory))
        if not (known and (whole or placed == 2)) and not (source is None and whole):
            raise TypeError(
                "set_() received an invalid combination of arguments: give nothing, a source, or "
                "a source, a storage_offset and a size, and perhaps a stride; a source is a tensor "
                f"or a storage, not {type(source).__name__}"
            )
        check_writable("set_", self, current(), requires_grad(self), memory=False)
        if source is None:
            source = self.new_empty(0)
        elif isinstance(source, Memory):
            row = source._row()
            raw = row.element_size() == 1 and row.numel() % self.element_size() == 0
            source = row.view(self.dtype) if raw else row
            size = (source.numel(),) if size is None else size
        if source.dtype is not self.dtype or source.device != self.device:
            raise RuntimeError(
                f"set_(): the source is {source.dtype!r} on {source.device}, and the tensor "
                f"{self.dtype!r} on {self.device}"
            )
        source = source.detach()
        if size is not None:
            in_order = self.new_empty(tuple(size), device="meta").stride()
            steps = in_order if stride is None else stride
            first = source.storage_offset() + (storage_offset or 0)
            source = source.as_strided(tuple(size), tuple(steps), first)
        self.data = source
        return self

    def dim_order(self: Any, *, ambiguity_check: Any = False) -> tuple[int, ...]:
        """The dimensions from that of the longest steps in memory to that of the shortest.

        Parameters
        ----------
        ambiguity_check : bool or list of memory_format
            True, or a list: raise if several orders describe the same memory, unless the tensor is
            in exactly one of the listed formats.

        Raises
        ------
        TypeError
            If `ambiguity_check` is something else.
        RuntimeError
            If there are several orders, and there must be one.
        """
        formats = [] if isinstance(ambiguity_check, bool) else ambiguity_check
        if not isinstance(formats, list) or not all(isinstance(x, memory_format) for x in formats):
            raise TypeError(
                "The ambiguity_check argument must be a bool or a list of memory formats, got "
                f"{ambiguity_check!r}"
            )
        steps = self.stride()
        rows, channels = lies_in(self, contiguous_format), lies_in(self, channels_last)
        equal = len({*steps}) < self.ndim or 0 in steps
        several = equal or 1 in self.shape
        one = [lies_in(self, x) for x in formats].count(True) == 1 and not (
            equal and rows == channels
        )
        if ambiguity_check is not False and several and not one:
            raise RuntimeError(
                "The tensor does not have unique dim order, or cannot map to exact one of the "
                f"given memory formats: its shape is {list(self.shape)}, its strides {steps}"
            )
        if rows != channels:
            return tuple(range(self.ndim)) if rows else LAST[channels_last]
        return tuple(sorted(range(self.ndim), key=lambda dim: -steps[dim]))

    def narrow_copy(self: Any, dim: int, start: int, length: int) -> Tensor:
        """A part along a dimension, copied."""
        return catalogue["narrow_copy"].function(self, dim, start, length)

    def unbind(self: Any, dim: int = 0) -> tuple[Tensor, ...]:
        """The parts along a dimension, as views; to a subclass another call than the function's."""
        parts: tuple[Tensor, ...] = catalogue["unbind"].function(self, dim)
        return parts

    def new(self: Any, *data: Any, device: Any = None) -> Tensor:
        """A tensor of the same type and place, of a shape or of data, as older programs say it."""
        return constructed(data, self.dtype, device or self.device)

    as_strided_ = reshaped(catalogue["as_strided"].function, "as_strided_")
    unsafe_chunk = catalogue["chunk"].function
    unsafe_split = catalogue["split"].function
    unsafe_split_with_sizes = catalogue["split_with_sizes"].function


LAST = {channels_last: (0, 2, 3, 1), channels_last_3d: (0, 2, 3, 4, 1)}
"""Formats of memory with the channels in the last place, and their orders of dimensions."""


def lies_in(tensor: Any, format: Any) -> bool:
    """Whether a tensor's elements are in such an order in memory."""
    if format in LAST:
        order = LAST[format]
        fits = len(order) == tensor.ndim and 0 not in tensor.shape
        return fits and tensor.detach().permute(order).is_contiguous()
    return format is contiguous_format and tensor.is_contiguous()


def made_of(like: Any, values: list[Any]) -> Any:
    """A tensor of the shape, type and place of another."""
    return like.new_tensor(values).reshape(like.shape)


def mapped(name: str, target: Any, function: Callable[..., Any], *others: Any) -> Any:
    """Write what a function makes of the elements of several tensors into the first."""
    for tensor in (target, *others):
        plain(name, tensor)
    columns = [x.expand(target.shape).reshape(-1).tolist() for x in (target, *others)]
    return target.copy_(made_of(target, [function(*row) for row in zip(*columns, strict=True)]))
