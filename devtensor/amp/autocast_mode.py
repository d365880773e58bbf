"""The blocks of mixed precision, and its settings (``torch.autocast``)."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import Any

import devtensor as dt
from devtensor.accelerator import BY_KIND
from devtensor.amp._cast import Cast, Untouched, casts, install
from devtensor.autograd.mode import Block, Entry, entries, push, remove, users_place
from devtensor.autograd.modes import decorated
from devtensor.backend import kinds, load
from devtensor.device import ELSEWHERE
from devtensor.dtype import dtype as Dtype
from devtensor.tensor import Tensor

__all__ = [
    "autocast",
    "autocast_decrement_nesting",
    "autocast_increment_nesting",
    "blocks_here",
    "clear_autocast_cache",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_cpu_dtype",
    "get_autocast_dtype",
    "get_autocast_gpu_dtype",
    "is_autocast_available",
    "is_autocast_cache_enabled",
    "is_autocast_cpu_enabled",
    "is_autocast_enabled",
    "set_autocast_cache_enabled",
    "set_autocast_cpu_dtype",
    "set_autocast_cpu_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled",
    "set_autocast_gpu_dtype",
]

LOWER = (dt.bfloat16, dt.float16)
_lower: dict[str, Dtype] = {"cpu": dt.bfloat16}
_caching = [True]


def is_autocast_available(device_type: str) -> bool:
    """Whether there is mixed precision for a kind of device.

    Parameters
    ----------
    device_type : str
        Such as ``"cuda"``.
    """
    known = device_type in ("cpu", "cuda", "xpu")
    return known or (device_type in kinds() and load(device_type).data)


def named(device_type: Any) -> str:
    """A kind of device, if there is one of that name.

    Raises
    ------
    ValueError
        If it is not text.
    RuntimeError
        If there is none.
    """
    if not isinstance(device_type, str):
        raise ValueError(
            f"Expected `device_type` of type `str`, got: `{type(device_type)}`; of a device give "
            "its .type"
        )
    if not is_autocast_available(device_type):
        raise RuntimeError(
            f"User specified an unsupported autocast device_type '{device_type}'; there are cpu, "
            "cuda, xpu and those of installed backends"
        )
    return device_type


class autocast(Block):
    """A block in which operations run in the precision that each of them needs.

    Products and convolutions get what they are given in `dtype`, sums and losses in float32, by
    PyTorch's lists for the device; all others are computed in the type of what they are given.
    Float64 is left alone. It may be entered again, and be nested; as a decorator it covers the
    body of a function, a coroutine or a generator. Like a gradient mode it holds in the thread and
    task that opened it.

    Parameters
    ----------
    device_type : str
        The kind of device whose tensors are cast: ``"cpu"``, ``"cuda"``, ``"xpu"``.
    dtype : dtype, optional
        ``bfloat16`` or ``float16``; what :func:`get_autocast_dtype` says if not given.
    enabled : bool
        False makes a block of full precision in one of mixed precision.
    cache_enabled : bool, optional
        Whether a parameter that is used twice is cast once.

    Raises
    ------
    RuntimeError
        If there is no such kind of device.

    Examples
    --------
    >>> import devtensor as dt
    >>> weight = dt.ones(2, 2)
    >>> with dt.autocast("cpu", dtype=dt.float16):
    ...     print((weight @ weight).dtype, (weight + weight).dtype)
    torch.float16 torch.float32
    """

    kind = "cast"

    def __init__(
        self,
        device_type: str,
        dtype: Dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        super().__init__(None)
        self.device = named(device_type)
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if enabled and device_type == "cuda" and not BY_KIND["cuda"].is_available():
            warnings.warn(
                "CUDA is not available or torch_xla is imported. Disabling autocast.", stacklevel=2
            )
            enabled = False
        if enabled and self.fast_dtype not in LOWER:
            warnings.warn(
                f"In {device_type.upper()} autocast, but the target dtype is not supported. "
                f"Disabling autocast.\n{device_type.upper()} Autocast only supports dtype of "
                f"torch.bfloat16, torch.float16 currently, not {self.fast_dtype}.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled
        self._cache_enabled = _caching[0] if cache_enabled is None else cache_enabled

    def __enter__(self) -> autocast:
        if self._enabled:
            install()
        # Only while its entry is made, so that what it keeps ends with the block.
        self._value = Cast(self.device, self.fast_dtype, self._enabled, self._cache_enabled)
        self._open(sys._getframe(1))
        self._value = None
        return self

    def __call__(self, function: Callable[..., Any]) -> Any:
        def again() -> autocast:
            return type(self)._of(self)

        return decorated(function, again)

    @classmethod
    def _of(cls, other: autocast) -> autocast:
        made = cls.__new__(cls)
        vars(made).update(vars(other), _entries=[])
        return made


def blocks_here() -> list[Any]:
    """The blocks that make elsewhere the precision that holds here, to be entered in turn."""
    blocks: list[Any] = [Untouched()]
    for kind, cast in casts().items():
        block = autocast.__new__(autocast)
        vars(block).update(
            device=kind, fast_dtype=cast.dtype, _enabled=cast.enabled, _cache_enabled=cast.caches,
            _entries=[],
        )  # fmt: skip
        blocks.append(block)
    return blocks


# ---- settings


def is_autocast_enabled(device_type: str | None = None) -> bool:
    """Whether a block is open for a kind of device; without one, for any accelerator."""
    found = casts()
    if device_type is not None:
        known = device_type in ELSEWHERE  # by name: there nothing runs, in no precision
        return not known and named(device_type) in found and found[device_type].enabled
    return any(cast.enabled for kind, cast in found.items() if kind != "cpu")


def get_autocast_dtype(device_type: str) -> Dtype:
    """The lower precision for a kind of device: that of the open block, or the one that is set."""
    found = casts().get(named(device_type))
    if found is not None and found.dtype is not None:
        return found.dtype
    return _lower.get(device_type, dt.float16)


def set_autocast_dtype(device_type: str, dtype: Dtype) -> None:
    """Set the lower precision of the open block, or without one that of blocks that name none."""
    found = casts().get(named(device_type))
    if found is not None:
        found.dtype = dtype
    else:
        _lower[device_type] = dtype


def set_autocast_enabled(device_type: Any, enabled: Any = None) -> None:
    """Turn mixed precision on or off from here on, until the end of an enclosing block.

    Parameters
    ----------
    device_type : str or bool
        The kind of device; without one, CUDA's.
    enabled : bool

    Raises
    ------
    TypeError
        If `enabled` is no bool.
    RuntimeError
        If there is no such kind of device.

    Examples
    --------
    >>> import devtensor as dt
    >>> dt.set_autocast_enabled("cpu", True)
    >>> (dt.ones(2, 2) @ dt.ones(2, 2)).dtype
    torch.bfloat16
    >>> dt.set_autocast_enabled("cpu", False)
    """
    kind, place = (device_type, 2) if enabled is not None else ("cuda", 1)
    value = device_type if enabled is None else enabled
    if not isinstance(value, bool):
        raise TypeError(
            f"set_autocast_enabled(): argument 'enabled' (position {place}) must be bool, "
            f"not {type(value).__name__}"
        )
    asked = Cast(named(kind), get_autocast_dtype(kind), value, _caching[0])
    if value:
        install()
    for last in entries()[-1:]:  # of calls in a row only the last one counts
        if last.kind == "cast" and not last.open and last.value.kind == kind:
            remove(last)
    if value or is_autocast_enabled(kind):
        push(Entry("cast", asked, None, False, users_place(2)))


def is_autocast_cache_enabled() -> bool:
    """Whether blocks keep parameters that they have cast."""
    return _caching[0]


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Say whether blocks keep parameters that they have cast."""
    _caching[0] = bool(enabled)


def clear_autocast_cache() -> None:
    """Forget the parameters that the open blocks have cast."""
    for cast in casts().values():
        cast.cache.clear()


def is_autocast_cpu_enabled() -> bool:
    """Whether a block is open for the host."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """Turn mixed precision on or off for the host; see `set_autocast_enabled`."""
    set_autocast_enabled("cpu", enabled)


def set_autocast_cpu_dtype(dtype: Dtype) -> None:
    """Set the lower precision for the host."""
    set_autocast_dtype("cpu", dtype)


def set_autocast_gpu_dtype(dtype: Dtype) -> None:
    """Set the lower precision for CUDA devices."""
    set_autocast_dtype("cuda", dtype)


def get_autocast_cpu_dtype() -> Dtype:
    """The lower precision for the host."""
    return get_autocast_dtype("cpu")


def get_autocast_gpu_dtype() -> Dtype:
    """The lower precision for CUDA devices."""
    return get_autocast_dtype("cuda")


def autocast_increment_nesting() -> int:
    """The number of open blocks; they count themselves."""
    return len(casts())


autocast_decrement_nesting = autocast_increment_nesting


# ---- Functions of the user's own


def cast(value: Any, device_type: str, dtype: Dtype) -> Any:
    """An argument with its tensors of a kind of device in a type; float64 and integers stay."""
    if isinstance(value, Tensor):
        fits = value.is_floating_point() and value.device.type == device_type
        return value.to(dtype) if fits and value.dtype is not dt.float64 else value
    if isinstance(value, dict):
        return {cast(k, device_type, dtype): cast(v, device_type, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(cast(one, device_type, dtype) for one in value)
    return value


def custom_fwd(
    fwd: Callable[..., Any] | None = None,
    *,
    device_type: str,
    cast_inputs: Dtype | None = None,
) -> Any:
    """Make the forward of an `autograd.Function` fit for mixed precision.

    Parameters
    ----------
    fwd : callable
        Not given where it is written with arguments, as a decorator.
    device_type : str
    cast_inputs : dtype, optional
        The type in which the forward gets its tensors inside a block, which does not hold within.
    """
    named(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def call(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        context._dtype = get_autocast_dtype(device_type)
        inside = is_autocast_enabled(device_type)
        if cast_inputs is None:
            context._fwd_used_autocast = inside
            return fwd(*args, **kwargs)
        context._fwd_used_autocast = False
        if not inside:
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(
                context,
                *cast(args[1:], device_type, cast_inputs),
                **cast(kwargs, device_type, cast_inputs),
            )

    return call


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Make the backward of an `autograd.Function` run in the precision of its forward.

    Parameters
    ----------
    bwd : callable
        Not given where it is written with arguments, as a decorator.
    device_type : str
    """
    named(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def call(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        with autocast(device_type, context._dtype, enabled=context._fwd_used_autocast):
            return bwd(*args, **kwargs)

    return call
