"""The further arguments of a call: where the result is put, and whether gradients are wanted."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import devtensor.dtype as dtypes
from devtensor.autograd.mode import INFERENCE, current
from devtensor.autograd.node import Leaf
from devtensor.autograd.view import requires_grad
from devtensor.device import resolve
from devtensor.launch import launch
from devtensor.op import Op, catalogue
from devtensor.tensor import Tensor


def create(
    op: Op,
    params: dict[str, Any],
    device: Any = None,
    requires_grad: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Launch an operation without inputs: a factory."""
    if out is not None:
        if not isinstance(out, Tensor):
            raise TypeError(
                f"{op.shown}(): argument 'out' must be Tensor, not {type(out).__name__}"
            )
        place = out._device
        if device is not None and resolve(device) is not place:
            raise RuntimeError(f"device {device} does not match out's device {place}")
    else:
        place = resolve(device)
    if requires_grad:
        require_derivatives(params.get("dtype"))
    tensor: Tensor = launch(op, [], params, place)
    if out is not None:
        check_out(op, tensor, out)
        return write_out(op.name, tensor, out, new=True)
    if requires_grad:
        require_derivatives(tensor.dtype)
        tensor._node = Leaf(tensor, tensor._node is INFERENCE)
    return tensor


def require_derivatives(dtype: dtypes.dtype | None) -> None:
    """Refuse gradients of a type that has none."""
    if dtype is not None and dtype.kind not in ("float", "complex"):
        raise RuntimeError(
            "Only Tensors of floating point and complex dtype can require gradients, got "
            f"requires_grad=True with {dtype!r}"
        )


def into(op: Op, inputs: list[Any], params: dict[str, Any], out: Any) -> Any:
    """Launch, and write the result into the tensor or tensors `out`."""
    several = op.outputs is not None and isinstance(out, (tuple, list))
    outs = list(out) if several else [out]
    for x in outs:
        if not isinstance(x, Tensor):
            raise TypeError(f"{op.shown}(): argument 'out' must be Tensor, not {type(x).__name__}")
    if current().recording and any(
        isinstance(x, Tensor) and requires_grad(x) for x in (*inputs, *outs)
    ):
        raise RuntimeError(
            f"{op.name}(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad. Leave out= away, or use "
            "no_grad()."
        )
    exact = op.exact_out(*inputs) if callable(op.exact_out) else op.exact_out
    exact = exact or (op.public and params.get("dtype") is not None)
    if params.get("dtype", out) is None and not exact and isinstance(out, Tensor):
        params["dtype"] = out.dtype  # in which it is computed, then
    result = launch(op, inputs, params)
    values = [result] if op.outputs is None else result
    if len(outs) != len(values):
        raise TypeError(
            f"{op.shown}(): argument 'out' must be a tuple of {len(values)} Tensors, not "
            f"{len(outs)}"
        )
    for value, x in zip(values, outs, strict=True):
        check_out(op, value, x, exact)
        read = [y for y in inputs if isinstance(y, Tensor) and crossed(op, y, x)]
        refuse_overlap(x, read, op.elementwise or value.shape == x.shape)
        if op.elementwise and value.shape != x.shape and any(x is y for y in inputs):
            raise RuntimeError(
                f"output with shape {list(x.shape)} doesn't match the broadcast shape "
                f"{list(value.shape)}: out= of {op.name}() is one of its inputs, which keep theirs"
            )
    for value, x in zip(values, outs, strict=True):
        write_out(op.name, value, x)
    if op.outputs is None:
        return out
    return op.packed(*outs) if op.packed is not list else out


def refuse_overlap(out: Tensor, inputs: Sequence[Tensor], kept: bool) -> None:
    """Raise if what is written would be read again, or is seen twice by a tensor that is `kept`.

    One of another shape than the result is given memory of its own.
    """
    backend = out._device.backend
    if kept and backend.overlaps(out._array):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single memory location. Please clone() the tensor before performing the operation: "
            f"out has shape {list(out.shape)} and strides {out.stride()}"
        )
    for x in inputs:
        if x is out or (x._device is out._device and backend.shares(x._array, out._array)):
            raise RuntimeError(
                "unsupported operation: some elements of the input tensor and the written-to "
                "tensor refer to a single memory location. Please clone() the tensor before "
                "performing the operation: out lies in the memory of an input"
            )


def crossed(op: Op, x: Tensor, out: Tensor) -> bool:
    """Whether an input may not lie where the result is written, as PyTorch sees it.

    Most operations compute first and write then. Those by elements may write where they have read,
    but not beside it, and what joins tensors copies them one by one.
    """
    if op.star is not None:
        return True
    if op.apart:
        return bool(x.ndim)
    if not op.elementwise or not (dense(x) and dense(out)):
        return False
    return not same_memory(x, out)


def same_memory(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors are the same places in the same order."""
    if x._device is not y._device or steps(x) != steps(y):
        return False
    pointer = y._device.backend.pointer
    return bool(pointer(x._array) == pointer(y._array))


def steps(x: Tensor) -> list[tuple[int, int]]:
    """The strides and lengths of the dimensions in which there is more than one place."""
    return [pair for pair in zip(x.stride(), x.shape, strict=True) if pair[1] != 1]


def dense(x: Tensor) -> bool:
    """Whether the elements fill a stretch of memory, in whatever order."""
    size = 1
    for stride, length in sorted(steps(x)):
        if stride != size:
            return False
        size *= length
    return True


def check_out(op: Op, value: Tensor, out: Tensor, exact: bool = False) -> None:
    """Refuse an `out` that cannot hold a result, or is not of its type if that is `exact`.

    Raises
    ------
    RuntimeError
        If it is on another device, or of a type that it cannot be cast to.
    """
    if value._device is not out._device:
        raise RuntimeError(
            f"Expected out tensor to have device {value._device}, but got {out._device} instead"
        )
    if not dtypes.can_cast(value.dtype, out.dtype):
        if op.star is not None:
            raise TypeError(
                f"{op.shown}(): input types can't be cast to the desired output type "
                f"{out.dtype.legacy}"
            )
        raise RuntimeError(
            f"result type {value.dtype.legacy} can't be cast to the desired output type "
            f"{out.dtype.legacy}: {op.name}() got out={out.dtype!r}"
        )
    if exact and value.dtype is not out.dtype:
        raise RuntimeError(
            f"Expected out tensor to have dtype {value.dtype}, but got {out.dtype} instead: "
            f"{op.shown}() casts nothing"
        )


def write_out(name: str, value: Tensor, out: Tensor, new: bool = False) -> Tensor:
    """Write a result into `out`, whose shape is changed if it does not fit.

    There is a warning if `out` had elements, unless the result is made of no other tensors.
    """
    if value._array.shape != out._array.shape:
        if not new and 0 not in out._array.shape:
            warnings.warn(
                f"An output with one or more elements was resized since it had shape "
                f"{list(out._array.shape)}, which does not match the required output shape "
                f"{list(value._array.shape)}. This behavior is deprecated, and in a future release "
                "outputs will not be resized unless they have zero elements.",
                UserWarning,
                stacklevel=4,
            )
        if out.is_inference() and not current().inference:
            raise RuntimeError(
                "Inplace update to inference tensor outside InferenceMode is not allowed: "
                f"out= of {name}()"
            )
        backend = out._device.backend
        place = backend.placed(out._device.index)
        out._array = backend.xp.empty(value._array.shape, dtype=out._array.dtype, **place)
        backend.write(out._array, value._array)
        return out
    catalogue["copy_"].function(out, value)
    return out
