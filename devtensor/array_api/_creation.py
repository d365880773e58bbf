"""New tensors of numbers, and of what other libraries have."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.array_api._types import joined
from devtensor.device import resolve
from devtensor.dtype import NAMES
from devtensor.dtype import dtype as Dtype
from devtensor.host import adopted
from devtensor.tensor import Tensor

__all__ = ["arange", "asarray", "eye", "from_dlpack", "linspace"]


def asarray(
    obj: Any, /, *, dtype: Dtype | None = None, device: Any = None, copy: bool | None = None
) -> Tensor:
    """A tensor of almost anything.

    Parameters
    ----------
    obj : Tensor, array, number, nested sequence or buffer
        Of a tensor, and of tensors in a sequence, the result is differentiable.
    dtype : dtype, optional
        By default that of an array; for Python numbers bool, int64 or the default type.
    device : device or str, optional
        By default that of a tensor or a device's array, else the default device.
    copy : bool, optional
        True: always copy. False: never. None: as needed.

    Raises
    ------
    ValueError
        If `copy` is False and a copy is needed.
    OverflowError
        If a Python number does not fit its type.

    Examples
    --------
    >>> import devtensor.array_api as xp
    >>> xp.asarray([[1, 2], [3, 4]], dtype=xp.float64)
    tensor([[1., 2.],
            [3., 4.]], dtype=torch.float64)
    """
    if isinstance(obj, Tensor):
        made = obj.to(device=device, dtype=dtype)
        if copy is False and made is not obj:
            raise ValueError(
                f"a tensor of {obj.dtype!r} on {obj.device} cannot become one of {made.dtype!r} "
                f"on {made.device} without a copy, and copy=False was given"
            )
        return made.clone() if copy and made is obj else made
    over = borrowed(obj)
    if over is not None:
        place = resolve(device) if device is not None or over.device.backend.host else None
        return asarray(over, dtype=dtype, device=place, copy=copy)
    if copy is False:
        raise ValueError(f"a {type(obj).__name__} is copied into a tensor; copy=False was given")
    within = tensor_in(obj)
    if within is not None:
        parts = [asarray(part, device=device or within.device) for part in obj]
        return asarray(dt.stack(list(joined(*parts))), dtype=dtype)
    try:
        return dt.tensor(obj, dtype=dtype, device=device)
    except (RuntimeError, ValueError) as error:
        if "overflow" in str(error).lower():
            raise OverflowError(str(error)) from None
        raise


def tensor_in(obj: Any) -> Tensor | None:
    """The first tensor in nested sequences; None without one."""
    if isinstance(obj, (list, tuple)):
        return next((found for found in map(tensor_in, obj) if found is not None), None)
    return obj if isinstance(obj, Tensor) else None


def borrowed(obj: Any) -> Tensor | None:
    """A tensor over the memory of an array or a buffer; None for anything else."""
    over = adopted(obj)
    if over is not None:
        return over
    if hasattr(obj, "__dlpack__"):
        return dt.from_dlpack(obj)
    try:
        view = memoryview(obj)
    except TypeError:
        return None
    kind = KINDS.get(view.format[-1])
    name = f"{kind}{8 * view.itemsize}" if kind not in (None, "bool") else kind
    if name not in NAMES:
        raise TypeError(f"there is no dtype for a buffer of format {view.format!r}")
    shape = view.shape or ()
    if not view.nbytes:
        return dt.empty(shape, dtype=NAMES[name], device="cpu")
    memory = view if view.c_contiguous else view.tobytes()
    return dt.frombuffer(memory, dtype=NAMES[name]).reshape(shape)


KINDS = {"?": "bool", **dict.fromkeys("bhilq", "int"), **dict.fromkeys("BHILQ", "uint")}
"""The kinds of types by the letters of buffers."""
KINDS |= dict.fromkeys("efd", "float") | dict.fromkeys("FD", "complex")


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of another library's array, by the DLPack protocol.

    Parameters
    ----------
    x : object
        With ``__dlpack__`` and ``__dlpack_device__``.
    device : device or str, optional
        Where it shall be; by default where it is.
    copy : bool, optional
        True: always copy. False: never. None: as needed.

    Raises
    ------
    ValueError
        If `copy` is False and a copy is needed.
    """
    return asarray(dt.from_dlpack(x), device=device, copy=copy)


def arange(
    start: float,
    /,
    stop: float | None = None,
    step: float = 1,
    *,
    dtype: Dtype | None = None,
    device: Any = None,
) -> Tensor:
    """Evenly spaced numbers from `start` up to, and without, `stop`.

    Parameters
    ----------
    start : number
        If `stop` is not given, this is it, and they start at 0.
    stop, step : number, optional
    dtype : dtype, optional
        By default int64 if all are integers, else the default floating type.
    device : device or str, optional

    Returns
    -------
    Tensor
        Empty if `stop` lies behind `start`.
    """
    if stop is None:
        start, stop = 0, start
    if step and (stop - start) / step < 0:
        if dtype is None and any(isinstance(value, float) for value in (start, stop, step)):
            dtype = dt.get_default_dtype()
        stop = start
    return dt.arange(start, stop, step, dtype=dtype, device=device)


def linspace(
    start: complex,
    stop: complex,
    /,
    num: int,
    *,
    dtype: Dtype | None = None,
    device: Any = None,
    endpoint: bool = True,
) -> Tensor:
    """`num` evenly spaced numbers from `start` to `stop`.

    Parameters
    ----------
    start, stop : number
    num : int
    dtype : dtype, optional
        By default the default floating type, or the complex type of it.
    device : device or str, optional
    endpoint : bool, optional
        Whether `stop` is the last of them; else it would be the next one.

    Raises
    ------
    ValueError
        If `num` is negative.
    """
    if num < 0:
        raise ValueError(f"linspace(): argument 'num' must not be negative, got {num}")
    made = dt.linspace(start, stop, num + (not endpoint), dtype=dtype, device=device)
    return made if endpoint else made[:num]


def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: Dtype | None = None,
    device: Any = None,
) -> Tensor:
    """A matrix with ones on a diagonal and zeros elsewhere.

    Parameters
    ----------
    n_rows, n_cols : int
        Square by default.
    k : int, optional
        Which diagonal: above the main one if positive, else below.
    dtype : dtype, optional
    device : device or str, optional
    """
    rows = dt.arange(n_rows, device=device)
    columns = dt.arange(n_rows if n_cols is None else n_cols, device=device)
    return (rows[:, None] + k == columns).to(dtype or dt.get_default_dtype())
