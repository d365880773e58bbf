"""New tensors: constant, counted, spaced, windows.

All take the keywords ``device`` (the default device if None), ``requires_grad`` and ``out`` (a
tensor to write into). ``layout``, ``pin_memory`` and ``memory_format`` are accepted and have no
effect: tensors are dense and in row order.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from math import ceil, isfinite, pi
from numbers import Number
from operator import index as as_int
from typing import Any

from devtensor.dtype import bool_, float32, get_default_dtype, int64, of_number
from devtensor.dtype import dtype as Dtype
from devtensor.example import ints, positive
from devtensor.op import composite, derivative, op
from devtensor.ops.arguments import require_tensors
from devtensor.ops.elementwise import half, in_range
from devtensor.ops.results import with_out
from devtensor.ops.shape import broadcast_tensors, stack
from devtensor.settings import sparse_bsc, sparse_bsr, sparse_coo, sparse_csc, sparse_csr
from devtensor.tensor import Tensor

_IGNORED = ("layout", "pin_memory", "memory_format", "generator")


def _place(name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The keywords that every operation without inputs takes, out of those given."""
    if not given:
        return given
    for key in _IGNORED:
        given.pop(key, None)
    for key in given:
        if key not in ("device", "requires_grad", "out"):
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
    return given


def _type(asked: Dtype | None, place: dict[str, Any], otherwise: Dtype | None = None) -> Dtype:
    """The type of a new tensor: the one asked for, or that of `out`, or the default.

    Raises
    ------
    RuntimeError
        If `out` has another type than the one asked for.
    """
    out = place.get("out") if place else None
    if not isinstance(out, Tensor):
        return asked or otherwise or get_default_dtype()
    if asked is not None and asked is not out.dtype:
        raise RuntimeError(
            f"dtype {asked.legacy} does not match dtype of out parameter ({out.dtype.legacy})"
        )
    return out.dtype


def _size(name: str, size: Sequence[Any]) -> tuple[int, ...]:
    """A shape, given as ints or as one sequence of them."""
    if (
        len(size) == 1
        and not isinstance(size[0], int)
        and hasattr(size[0], "__len__")
        and not isinstance(size[0], Tensor)
    ):
        size = size[0]
    try:
        lengths = tuple(map(as_int, size))
    except TypeError:
        wrong = next((n for n in size if not hasattr(n, "__index__")), size[0])
        raise TypeError(
            f"{name}(): argument 'size' must be tuple of ints, not {type(wrong).__name__}"
        ) from None
    for n in lengths:
        if n < 0:
            raise RuntimeError(
                f"{name}: Dimension size must be non-negative. Trying to create tensor with "
                f"negative dimension {n}: "
                f"{list(lengths)}"
            )
    return lengths


def _number(value: Any) -> Any:
    """A Python number, also out of a 0-d tensor or a scalar of the host's library."""
    if value.__class__ in PLAIN or not hasattr(value, "item") or value.ndim:
        return value
    return value.item()


PLAIN = {bool, int, float, builtins.complex}
"""Classes of numbers that are what they are."""


def _dtype_of(value: Any) -> Dtype:
    return value.dtype if isinstance(value, Tensor) else of_number(_number(value))


def converted(value: Any, dtype: Dtype) -> Any:
    """`value` as a Python number of the kind of `dtype`.

    Raises
    ------
    RuntimeError
        If it does not fit.
    """
    if (value.__class__, dtype.kind) in AS_IT_IS:
        return value
    if not isinstance(value, Number):
        raise TypeError(
            f"the value must be Number, not {type(value).__name__}: it fills a {dtype!r} tensor"
        )
    if dtype.kind == "bool":
        return bool(value)
    given = value
    if isinstance(value, builtins.complex) and dtype.kind != "complex" and value.imag == 0:
        value = value.real
    fits = dtype.kind == "complex" or not isinstance(value, builtins.complex)
    if fits and dtype.kind == "int":
        fits = isfinite(value)
        if fits:
            value = int(value)
            reach = 2 ** (8 * dtype.itemsize - dtype.is_signed)
            fits = -reach <= value < reach
            if not dtype.is_signed:  # small negative numbers wrap around, as in C
                value %= reach
    if not fits:
        raise RuntimeError(
            f"value cannot be converted to type {dtype.name} without overflow: {given}"
        )
    return value


AS_IT_IS = {
    (bool, "bool"), (int, "float"), (float, "float"), (int, "complex"), (float, "complex"),
    (builtins.complex, "complex"),
}  # fmt: skip
"""Classes of numbers and the kinds of dtype that have room for all of them."""


# ---- constant


@op(public=False, examples=[((2, 3), 1.5, float32), ((), 2, int64)])
def filled(xp: Any, /, size: Any, value: Any, dtype: Any) -> Any:
    """A tensor full of one number."""
    return xp.full(size, value, dtype=dtype)


@op(public=False, examples=[((2, 3), float32)])
def unset(xp: Any, /, size: Any, dtype: Any) -> Any:
    """A tensor of unset memory."""
    return xp.empty(size, dtype=dtype)


@op(promotes=None, public=False, examples=[([1.5, 2.0],), ([[1, 2]], int64)])
def constant(xp: Any, /, data: Any, dtype: Any = None) -> Any:
    """Numbers from nested sequences or a host array."""
    made = xp.asarray(data, copy=True)
    return made if dtype is None else xp.astype(made, dtype, copy=False)


def tensor_of(data: Any, device: Any, dtype: Dtype | None = None) -> Any:
    """Numbers, nested sequences or a host array as a tensor."""
    if dtype is not None and isinstance(data, Number):
        return filled((), converted(data, dtype), dtype=dtype, device=device)
    return constant(
        list(data) if isinstance(data, builtins.range) else data, dtype=dtype, device=device
    )


def _full(
    name: str, size: Sequence[Any], value: Any, dtype: Dtype | None, place: dict[str, Any]
) -> Any:
    dtype = _type(dtype, place)
    return filled(_size(name, size), converted(value, dtype), dtype=dtype, **_place(name, place))


@composite(method=False, examples=[(2, 3), ((2, 3),), (0, {"dtype": int64}), ((),)])
def zeros(*size: Any, dtype: Dtype | None = None, **place: Any) -> Any:
    """A tensor of zeros.

    Parameters
    ----------
    *size : int or sequence of int
    dtype : dtype, optional
        The default dtype if not given.
    device, requires_grad, out
        As for all new tensors.
    """
    if place or not size:
        (size,) = _sized("zeros", size, place)
        if place.get("layout") in SCARCE:
            return _without_entries("zeros", size, dtype, place)
    return _full("zeros", size, 0, dtype, place)


@composite(method=False, examples=[(2, 3), ((2, 3),), (0, {"dtype": int64})])
def ones(*size: Any, dtype: Dtype | None = None, **place: Any) -> Any:
    """A tensor of ones.

    Parameters
    ----------
    *size : int or sequence of int
    dtype : dtype, optional
        The default dtype if not given.
    device, requires_grad, out
        As for all new tensors.
    """
    if not size:
        (size,) = _sized("ones", size, place)
    return _full("ones", size, 1, dtype, place)


def _without_entries(
    name: str, size: tuple[Any, ...], dtype: Dtype | None, place: dict[str, Any]
) -> Any:
    """A sparse tensor of zeros."""
    from devtensor.sparse import sparse_coo_tensor  # stands above this file

    layout = place["layout"]
    if layout in (sparse_bsr, sparse_bsc):
        raise RuntimeError(
            f"{name}_sparse_compressed expected sparse compressed (non-block) tensor layout but "
            f"got {layout.name.title().replace('_', '')}; use torch.{layout.name}_tensor"
        )
    made: Any = sparse_coo_tensor(size=_size(name, size), dtype=dtype, **_place(name, place))
    return made if layout is sparse_coo else getattr(made, f"to_{layout.name}")()


SCARCE = (sparse_coo, sparse_csr, sparse_csc, sparse_bsr, sparse_bsc)


def _sized(name: str, size: tuple[Any, ...], place: dict[str, Any]) -> tuple[tuple[Any, ...]]:
    """The sizes, also where they were given by keyword."""
    if size:
        return (size,)
    if "size" not in place:
        raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
    return ((place.pop("size"),),)


@composite(method=False, examples=[(2, 3), ((2, 3),), (0, {"dtype": int64})])
def empty(*size: Any, dtype: Dtype | None = None, **place: Any) -> Any:
    """A tensor whose elements are not set.

    Parameters
    ----------
    *size : int or sequence of int
    dtype : dtype, optional
        The default dtype if not given.
    device, requires_grad, out
        As for all new tensors.
    """
    if place or not size:
        (size,) = _sized("empty", size, place)
        if place.get("layout") in SCARCE:
            return _without_entries("empty", size, dtype, place)
    return unset(_size("empty", size), dtype=_type(dtype, place), **_place("empty", place))


@op(public=False, examples=[((2, 3), (1, 2), float32)])
def unset_strided(xp: Any, /, size: Any, stride: Any, dtype: Any) -> Any:
    """A tensor of unset memory with strides of your own."""
    reach = builtins.sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
    memory = xp.empty((0 if 0 in size else reach,), dtype=dtype)
    return xp.empty(size, dtype=dtype) if 0 in size else xp.as_strided(memory, size, stride, 0)


def _strides(name: str, size: Any, stride: Any) -> dict[str, tuple[int, ...]]:
    """Sizes and strides of one length, as parameters."""
    size, stride = _size(name, (size,)), tuple(as_int(step) for step in stride)
    if len(size) != len(stride):
        raise RuntimeError(
            f"dimensionality of sizes ({len(size)}) must match dimensionality of strides "
            f"({len(stride)}): {name}() got size={size} and stride={stride}"
        )
    if any(step < 0 for step in stride):
        raise RuntimeError(f"{name}: Negative strides are not supported, got strides: {stride}")
    return {"size": size, "stride": stride}


@composite(method=False, examples=[((2, 3), (1, 2)), ((2,), (3,), {"dtype": int64})])
def empty_strided(
    size: Sequence[int], stride: Sequence[int], *, dtype: Dtype | None = None, **place: Any
) -> Any:
    """A tensor whose elements are not set, with strides of your own.

    Parameters
    ----------
    size, stride : sequences of int
        The shape, and the steps in elements.
    dtype : dtype, optional
        The default dtype if not given.
    device, requires_grad
        As for all new tensors.

    Raises
    ------
    RuntimeError
        If there are more strides than sizes, or fewer.
    """
    layout = _strides("empty_strided", size, stride)
    return unset_strided(**layout, dtype=_type(dtype, place), **_place("empty_strided", place))


@composite(method=False, examples=[((2, 3), [1, 0]), ((2, 3, 4), [0, 2, 1])])
def empty_permuted(
    size: Sequence[int],
    physical_layout: Sequence[int],
    *,
    dtype: Dtype | None = None,
    **place: Any,
) -> Any:
    """A tensor whose elements are not set, with its dimensions in an order of your own in memory.

    Parameters
    ----------
    size : sequence of int
    physical_layout : sequence of int
        The dimensions from the one with the longest steps to the one with the shortest.
    dtype : dtype, optional
        The default dtype if not given.
    device, requires_grad
        As for all new tensors.

    Raises
    ------
    RuntimeError
        If `physical_layout` does not name every dimension once.
    """
    size = _size("empty_permuted", (size,))
    if len(physical_layout) != len(size):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; i.e. "
            f"len(size) = {len(size)} is not equal to len(physical_layout) = "
            f"{len(physical_layout)}"
        )
    if sorted(physical_layout) != list(builtins.range(len(size))):
        raise RuntimeError(
            f"empty_permuted: physical_layout must name every dimension once (Duplicate dim not "
            f"allowed, Dimension out of range), got {tuple(physical_layout)} for size={size}"
        )
    stride, step = [1] * len(size), 1
    for dim in reversed(physical_layout):
        stride[dim] = step
        step *= max(1, size[dim])
    return empty_strided(size, stride, dtype=dtype, **place)


@composite(
    method=False, examples=[((2, 3), 1.5), ((2,), 3), ((), True), ((2,), 2, {"dtype": float32})]
)
def full(size: Sequence[int], fill_value: Any, *, dtype: Dtype | None = None, **place: Any) -> Any:
    """A tensor full of one number.

    Parameters
    ----------
    size : sequence of int
    fill_value : number
    dtype : dtype, optional
        That of the number if not given: bool, int64, or the default dtype.
    device, requires_grad, out
        As for all new tensors.
    """
    if isinstance(size, int):
        raise TypeError("full(): argument 'size' (position 1) must be tuple of ints, not int")
    if dtype is None and place.get("out") is None:
        dtype = _dtype_of(fill_value)
    return _full("full", (size,), _number(fill_value), dtype, place)


def _following(name: str, input: Any, dtype: Dtype | None, place: dict[str, Any]) -> dict[str, Any]:
    """The keywords for a tensor of the dtype and device of `input`."""
    if not isinstance(input, Tensor):
        raise TypeError(
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
        )
    place = _place(name, place)
    if place.get("device") is None:
        place["device"] = input.device
    place["dtype"] = dtype or input.dtype
    return place


@composite(method=False, examples=[((2, 3),)])
def zeros_like(input: Any, *, dtype: Dtype | None = None, **place: Any) -> Any:
    """Zeros in the shape, dtype and device of `input`."""
    given = _following("zeros_like", input, dtype, place)
    return filled(tuple(input._array.shape), 0, **given)


@composite(method=False, examples=[((2, 3),)])
def ones_like(input: Any, *, dtype: Dtype | None = None, **place: Any) -> Any:
    """Ones in the shape, dtype and device of `input`."""
    given = _following("ones_like", input, dtype, place)
    return filled(tuple(input._array.shape), 1, **given)


@composite(method=False, examples=[((2, 3),), (ints(2), {"dtype": float32})])
def empty_like(input: Any, *, dtype: Dtype | None = None, **place: Any) -> Any:
    """A tensor, not set, in the shape, dtype and device of `input`."""
    given = _following("empty_like", input, dtype, place)
    return unset(tuple(input._array.shape), **given)


@composite(method=False, examples=[((2, 3), 2.5)])
def full_like(input: Any, fill_value: Any, *, dtype: Dtype | None = None, **place: Any) -> Any:
    """A tensor full of one number, in the shape, dtype and device of `input`."""
    given = _following("full_like", input, dtype, place)
    return filled(tuple(input.shape), converted(_number(fill_value), given["dtype"]), **given)


@composite(method=True, examples=[((2, 3), 2), (ints(3), (2, 2))])
def new_zeros(input: Any, *size: Any, dtype: Dtype | None = None, **place: Any) -> Any:
    """Zeros of shape `size` in the dtype and device of `input`."""
    (size,) = _sized("new_zeros", size, place)
    return filled(_size("new_zeros", size), 0, **_following("new_zeros", input, dtype, place))


@composite(method=True, examples=[((2, 3), 2), (ints(3), (2, 2))])
def new_ones(input: Any, *size: Any, dtype: Dtype | None = None, **place: Any) -> Any:
    """Ones of shape `size` in the dtype and device of `input`."""
    (size,) = _sized("new_ones", size, place)
    return filled(_size("new_ones", size), 1, **_following("new_ones", input, dtype, place))


@composite(method=True, examples=[((2, 3), 2), (ints(3), (2, 2))])
def new_empty(input: Any, *size: Any, dtype: Dtype | None = None, **place: Any) -> Any:
    """A tensor of shape `size`, not set, in the dtype and device of `input`."""
    (size,) = _sized("new_empty", size, place)
    return unset(_size("new_empty", size), **_following("new_empty", input, dtype, place))


@composite(method=True, examples=[((2, 3), (2, 2), (1, 2))])
def new_empty_strided(
    input: Any,
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: Dtype | None = None,
    **place: Any,
) -> Any:
    """A tensor with strides of your own, not set, in the dtype and device of `input`."""
    layout = _strides("new_empty_strided", size, stride)
    return unset_strided(**layout, **_following("new_empty_strided", input, dtype, place))


@composite(method=True, examples=[((2, 3), (2,), 1.5), (ints(3), (2, 2), 4)])
def new_full(
    input: Any, size: Sequence[int], fill_value: Any, *, dtype: Dtype | None = None, **place: Any
) -> Any:
    """A tensor of shape `size` full of one number, in the dtype and device of `input`."""
    given = _following("new_full", input, dtype, place)
    return filled(
        _size("new_full", (size,)), converted(_number(fill_value), given["dtype"]), **given
    )


@composite(method=True, examples=[((2, 3), [1.5, 2.5]), (ints(3), [1, 2])])
def new_tensor(input: Any, data: Any, *, dtype: Dtype | None = None, **place: Any) -> Any:
    """A tensor of its own memory from `data`, in the dtype and device of `input`."""
    given = _following("new_tensor", input, dtype, place)
    if isinstance(data, Tensor):
        data = data.detach().to(given["device"]).to(given["dtype"]).clone()
        return data.requires_grad_() if given.get("requires_grad") else data
    from devtensor.host import tensor  # which knows of tensors in lists, and stands above

    return tensor(data, **given)


@op(public=False, examples=[(2, 3, float32)])
def identity(xp: Any, /, n: int, m: int, dtype: Any) -> Any:
    """Ones on the diagonal."""
    return xp.eye(n, m, dtype=dtype)


@composite(method=False, examples=[(3,), (2, 3), (3, {"dtype": int64})])
def eye(n: int, m: int | None = None, *, dtype: Dtype | None = None, **place: Any) -> Any:
    """A matrix with ones on the diagonal and zeros elsewhere.

    Parameters
    ----------
    n, m : int
        Rows and columns; as many columns as rows by default.
    dtype : dtype, optional
        The default dtype if not given.
    device, requires_grad, out
        As for all new tensors.
    """
    m = n if m is None else m
    for name, value in (("n", n), ("m", m)):
        if value < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {value}")
    return identity(n, m, dtype=_type(dtype, place), **_place("eye", place))


# ---- counted and spaced


@op(public=False, examples=[(1, 2, 4, int64), (0.5, 0.25, 3, float32)])
def counted(xp: Any, /, start: Any, step: Any, count: int, dtype: Any) -> Any:
    """``start``, ``start + step``, ...: `count` numbers."""
    if isinstance(start, int) and isinstance(step, int) and xp.isdtype(dtype, "integral"):
        # in int64 first: a negative start wraps in unsigned types
        whole = xp.arange(start, start + step * count, step or 1, dtype=xp.int64)
        return xp.astype(whole, dtype)
    # computed in double precision, so that no error adds up
    return xp.astype(xp.arange(count, dtype=xp.float64) * step + start, dtype)


@composite(
    method=False, examples=[(5,), (1, 7, 2), (0.0, 1.0, 0.25), (3, 0, -1), (2, {"dtype": float32})]
)
def arange(
    start: Any = 0, end: Any = None, step: float = 1, *, dtype: Dtype | None = None, **place: Any
) -> Any:
    """Numbers from `start` up to, not including, `end`.

    Parameters
    ----------
    start, end, step : number
        One number alone is `end`.
    dtype : dtype, optional
        int64 if all three are ints, else the default dtype.
    device, requires_grad, out
        As for all new tensors.

    Raises
    ------
    RuntimeError
        If `step` is 0 or leads away from `end`.
    ValueError
        If `step` is a fraction of 1 and the numbers are int64.
    """
    if end is None:
        start, end = 0, start
    start, end, step = [_number(value) for value in (start, end, step)]
    whole = isinstance(start, int) and isinstance(end, int) and isinstance(step, int)
    dtype = _type(dtype, place, int64 if whole else None)
    if dtype is bool_:
        raise NotImplementedError("\"arange_cpu\" not implemented for 'Bool'")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (isfinite(start) and isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (end - start) * (1 if step > 0 else -1) < 0:
        raise RuntimeError(
            f"upper bound and lower bound inconsistent with step sign: start={start}, end={end}, "
            f"step={step}"
        )
    if dtype is int64 and isfinite(step):
        if not int(step):
            raise ValueError(f"step must be nonzero: {step} is cut to 0 for torch.int64")
        start, end, step = int(start), int(end), int(step)
    whole = isinstance(start, int) and isinstance(end, int) and isinstance(step, int)
    count = -((start - end) // step) if whole else ceil((end - start) / step)
    if dtype.kind == "int":
        start, step = int(start), int(step)
        if not step:
            return _full("arange", (count,), start, dtype, place)
    return counted(start, step, count, dtype=dtype, **_place("arange", place))


@composite(method=False, examples=[(0, 4), (1.0, 2.0, 0.25)])
def range(
    start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Dtype | None = None, **place: Any
) -> Any:
    """Numbers from `start` up to and including `end`; :func:`arange` is the usual choice."""
    if end is None:
        start, end = 0, start
    start, end, step = [_number(value) for value in (start, end, step)]
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * (1 if step > 0 else -1) < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    return counted(
        start,
        step,
        int((end - start) / step) + 1,
        dtype=_type(dtype, place),
        **_place("range", place),
    )


def _line(xp: Any, start: Any, end: Any, steps: int, dtype: Any) -> Any:
    """`steps` numbers between two, rounded as PyTorch rounds them: each half counts from its end.

    The ends and the distance have the type `dtype`. Half precision rounds every product and
    sum, the wider types round ``start + distance * index`` once.
    """
    work = xp.float64 if xp.isdtype(dtype, "integral") else dtype
    ends = xp.astype(xp.asarray([start, end], dtype=xp.float64), work)
    distance = (ends[1:] - ends[:1]) / xp.full((1,), max(steps - 1, 1), dtype=work)
    index = xp.arange(steps, dtype=xp.float64)
    first = index < max(steps // 2, 1)
    index = xp.where(first, index, steps - 1 - index)
    if half(ends):
        index = xp.astype(index, work)
    else:
        ends, distance = xp.astype(ends, xp.float64), xp.astype(distance, xp.float64)
    anchor = xp.where(first, ends[:1], ends[1:])
    distance = xp.where(first, distance, -distance)
    if work != xp.float64:  # products of float32 are exact in float64
        return anchor + distance * index
    high = distance * (2.0**27 + 1)  # Dekker: two factors of 26 bits, whose products are exact
    high = high - (high - distance)
    step, rest = high * index, (distance - high) * index
    total = anchor + step
    lost = total - anchor
    total = total + ((anchor - (total - lost)) + (step - lost) + rest)
    return xp.where(xp.isfinite(total), total, anchor + distance * index)


@op(public=False, examples=[(0.0, 1.0, 5, None, float32), (0.0, 2.0, 3, 10.0, float32)])
def spaced(xp: Any, /, start: Any, end: Any, steps: int, base: Any, dtype: Any) -> Any:
    """`steps` numbers from `start` to `end`, or `base` to their power."""
    if isinstance(start, builtins.complex) or isinstance(end, builtins.complex):
        place = xp.arange(steps, dtype=xp.float64) / max(steps - 1, 1)
        line = xp.astype(place, xp.complex128) * (end - start) + start
    elif base is None:
        return xp.astype(_line(xp, start, end, steps, dtype), dtype)
    else:
        line = xp.linspace(float(start), float(end), steps, dtype=xp.float64)
    return xp.astype(line if base is None else base**line, dtype)


def _spaced(
    name: str,
    start: Any,
    end: Any,
    steps: int,
    base: Any,
    dtype: Dtype | None,
    place: dict[str, Any],
) -> Any:
    for end_name, value in (("start", start), ("end", end)):
        if isinstance(value, Tensor) and value.ndim:
            raise RuntimeError(
                f"{name} only supports 0-dimensional start and end tensors, but got {end_name} "
                f"with {value.ndim} dimension(s)"
            )
    start, end = _number(start), _number(end)
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative, got steps={steps}")
    complex_ends = isinstance(start, builtins.complex) or isinstance(end, builtins.complex)
    dtype = _type(dtype, place, get_default_dtype().to_complex() if complex_ends else None)
    if dtype is bool_:
        raise NotImplementedError(f"\"{name}_cpu\" not implemented for 'Bool'")
    if dtype.kind == "int":
        start, end = int(start), int(end)
        in_range(start, dtype, name)
        in_range(end, dtype, name)
    return spaced(start, end, as_int(steps), base, dtype=dtype, **_place(name, place))


@composite(
    method=False, examples=[(0, 1, 5), (-2.0, 2.0, 4), (3, 3, 1), (0, 10, 4, {"dtype": int64})]
)
def linspace(start: Any, end: Any, steps: int, *, dtype: Dtype | None = None, **place: Any) -> Any:
    """`steps` numbers in equal distances from `start` to `end`, both included.

    Parameters
    ----------
    start, end : number
        For integers they are cut to integers first.
    steps : int
    dtype : dtype, optional
        The default dtype if not given.
    device, requires_grad, out
        As for all new tensors.
    """
    return _spaced("linspace", start, end, steps, None, dtype, place)


@composite(method=False, examples=[(0, 2, 3), (-1.0, 1.0, 5, 2.0)])
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Dtype | None = None,
    **place: Any,
) -> Any:
    """`base` to the power of `steps` numbers in equal distances from `start` to `end`.

    Parameters
    ----------
    start, end : number
        For integers they are cut to integers first.
    steps : int
    base : float
    dtype : dtype, optional
        The default dtype if not given.
    device, requires_grad, out
        As for all new tensors.
    """
    return _spaced("logspace", start, end, steps, float(base), dtype, place)


@op(public=False, examples=[(3, 4, 1, True, int64), (3, 4, 0, False, int64)])
def triangle(xp: Any, /, row: int, col: int, offset: int, upper: bool, dtype: Any) -> Any:
    """The coordinates on one side of a diagonal, as two rows."""
    beyond = xp.reshape(xp.arange(col), (1, -1)) - xp.reshape(xp.arange(row), (-1, 1))
    return xp.astype(xp.stack(xp.nonzero(beyond >= offset if upper else beyond <= offset)), dtype)


def _triangle(
    name: str, row: int, col: int, offset: int, dtype: Dtype | None, place: dict[str, Any]
) -> Any:
    for label, value in (("row", row), ("col", col)):
        if value < 0:
            raise RuntimeError(f"{label} must be non-negative, got {value}")
    return triangle(
        row, col, offset, name == "triu_indices", dtype=dtype or int64, **_place(name, place)
    )


@composite(method=False, examples=[(3, 3), (3, 4, 1), (4, 3, -1)])
def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Dtype | None = None, **place: Any
) -> Any:
    """The coordinates on and below a diagonal of a `row` by `col` matrix: a tensor of two rows."""
    return _triangle("tril_indices", row, col, offset, dtype, place)


@composite(method=False, examples=[(3, 3), (3, 4, 1), (4, 3, -1)])
def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Dtype | None = None, **place: Any
) -> Any:
    """The coordinates on and above a diagonal of a `row` by `col` matrix: a tensor of two rows."""
    return _triangle("triu_indices", row, col, offset, dtype, place)


@composite(method=False, examples=[((3,),), ((3,), 2, True)])
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers of a vector, as columns.

    Parameters
    ----------
    x : Tensor
        A vector.
    N : int, optional
        How many powers; the length of `x` by default.
    increasing : bool
        Whether to begin with the power 0.
    """
    if x.ndim != 1:
        raise RuntimeError(f"x must be a one-dimensional tensor, got shape {list(x.shape)}")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise RuntimeError(f"N must be non-negative, got {count}")
    if not count:
        return new_empty(x, (x.shape[0], 0))
    if x.dtype.kind in ("int", "bool"):
        x = x.to(int64)
    powers = [ones_like(x)]
    while len(powers) < count:
        powers.append(powers[-1] * x)
    return stack(powers if increasing else powers[::-1], dim=1)


# ---- complex


@op(promotes=None, public=False, node="ComplexBackward0", examples=[((2, 3), (2, 3))])
def complex_of(xp: Any, real: Any, imag: Any, /) -> Any:
    """A complex tensor from its parts."""
    return xp.view_as_complex(xp.stack([real, imag], axis=-1))


derivative(complex_of, real=lambda xp, g: xp.real(g), imag=lambda xp, g: xp.imag(g))


def _same_floats(one: Any, two: Any) -> None:
    if one.dtype.kind != "float" or two.dtype.kind != "float":
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{one.dtype.legacy} and {two.dtype.legacy}"
        )
    if one.dtype is not two.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {one.dtype.legacy} but got scalar type "
            f"{two.dtype.legacy} for second argument"
        )


@composite(method=False, examples=[((2, 3), (2, 3)), ((2, 1), (3,)), ((), ())])
@with_out(over=True)
def complex(real: Any, imag: Any) -> Any:
    """A complex tensor from its real and imaginary parts, which broadcast.

    Raises
    ------
    RuntimeError
        If they are not of one real floating type.
    """
    require_tensors("complex", real=real, imag=imag)
    _same_floats(real, imag)
    return complex_of(*broadcast_tensors(real, imag))


@composite(method=False, examples=[(positive(2, 3), (2, 3)), (positive(2, 1), (3,))])
@with_out(over=True)
def polar(abs: Any, angle: Any) -> Any:
    """A complex tensor from its absolute values and angles.

    Raises
    ------
    RuntimeError
        If they are not of one real floating type.
    """
    require_tensors("polar", abs=abs, angle=angle)
    _same_floats(abs, angle)
    return complex(abs * angle.cos(), abs * angle.sin())


# ---- windows


@op(public=False, examples=[(5, 5, (0.5, 0.5), float32)])
def window(xp: Any, /, length: int, period: int, weights: Any, dtype: Any) -> Any:
    """A sum of cosines, ``weights[k] * cos(2 pi k n / period)``."""
    place = xp.arange(length, dtype=xp.float64) * (2 * pi / max(period, 1))
    total = xp.full((length,), float(weights[0]), dtype=xp.float64)
    for k, weight in enumerate(weights[1:], 1):
        total = total + weight * xp.cos(k * place)
    return xp.astype(total, dtype)


@op(public=False, examples=[(5, 4, float32), (1, 1, float32)])
def bartlett(xp: Any, /, length: int, period: int, dtype: Any) -> Any:
    """A triangle."""
    return xp.astype(
        1 - xp.abs(xp.arange(length, dtype=xp.float64) * (2 / max(period, 1)) - 1), dtype
    )


@op(public=False, examples=[(5, 5, 12.0, float32)])
def kaiser(xp: Any, /, length: int, period: int, beta: float, dtype: Any) -> Any:
    """Kaiser's window, of Bessel functions."""
    place = xp.arange(length, dtype=xp.float64) * (2 / max(period, 1)) - 1
    root = xp.sqrt(xp.maximum(1 - place * place, xp.zeros_like(place)))
    return xp.astype(xp.i0(beta * root) / xp.i0(xp.full((), float(beta), dtype=xp.float64)), dtype)


def _window(
    make: Any,
    name: str,
    length: int,
    periodic: bool,
    rest: tuple[Any, ...],
    dtype: Dtype | None,
    place: dict[str, Any],
) -> Any:
    dtype = dtype or get_default_dtype()
    if not dtype.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    if length == 1:
        return _full(name, (1,), 1, dtype, place)
    return make(
        length, length if periodic else length - 1, *rest, dtype=dtype, **_place(name, place)
    )


@composite(method=False, examples=[(5,), (5, False), (1,), (0,)])
def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Dtype | None = None, **place: Any
) -> Any:
    """Hann's window: a raised cosine.

    Parameters
    ----------
    window_length : int
    periodic : bool
        Whether it is to be repeated, as for a Fourier transform; else it is symmetric.
    dtype : dtype, optional
        The default dtype if not given.
    device, requires_grad
        As for all new tensors.
    """
    return _window(window, "hann_window", window_length, periodic, ((0.5, -0.5),), dtype, place)


@composite(method=False, examples=[(5,), (5, False), (6, True, 0.6, 0.4)])
def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    *,
    dtype: Dtype | None = None,
    **place: Any,
) -> Any:
    """Hamming's window, ``alpha - beta * cos``; for the others see :func:`hann_window`."""
    return _window(
        window, "hamming_window", window_length, periodic, ((alpha, -beta),), dtype, place
    )


@composite(method=False, examples=[(5,), (5, False)])
def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Dtype | None = None, **place: Any
) -> Any:
    """Blackman's window, of two cosines; the arguments are those of :func:`hann_window`."""
    return _window(
        window, "blackman_window", window_length, periodic, ((0.42, -0.5, 0.08),), dtype, place
    )


@composite(method=False, examples=[(5,), (5, False), (6,)])
def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Dtype | None = None, **place: Any
) -> Any:
    """Bartlett's window: a triangle; the arguments are those of :func:`hann_window`."""
    return _window(bartlett, "bartlett_window", window_length, periodic, (), dtype, place)


@composite(method=False, examples=[(5,), (5, False), (6, True, 4.0)])
def kaiser_window(
    window_length: int,
    periodic: bool = True,
    beta: float = 12.0,
    *,
    dtype: Dtype | None = None,
    **place: Any,
) -> Any:
    """Kaiser's window, wider for a smaller `beta`; for the others see :func:`hann_window`."""
    return _window(kaiser, "kaiser_window", window_length, periodic, (beta,), dtype, place)
