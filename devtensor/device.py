"""Devices by name. Every device is one object, so devices are compared by identity."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, ClassVar

from .backend import Backend, kinds, load


class device:
    """A place where tensors live: ``device("cpu")``, ``device("cuda:1")``, ``device("xpu", 0)``.

    Parameters
    ----------
    type : str or int or device
        The kind, with or without an index; a bare number is an index of the current accelerator.
    index : int, optional
        Which device of that kind.

    Raises
    ------
    RuntimeError
        If no installed backend serves that kind, or the text cannot be read.
    """

    __slots__ = ("_backend", "index", "type")
    _made: ClassVar[dict[tuple[str, int | None], device]] = {}
    type: str
    index: int | None
    _backend: Backend | None

    def __new__(cls, type: Any = None, index: int | None = None, *, device: Any = None) -> device:
        type = device if type is None else type
        if isinstance(type, cls):
            return type
        if isinstance(type, int) and not isinstance(type, bool):
            type, index = accelerator_kind() or "cuda", type
        if not isinstance(type, str):
            raise TypeError(
                f"device(): argument 'type' must be str or device, not {type.__class__.__name__}"
            )
        kind, colon, number = type.partition(":")
        if colon:
            if index is not None:
                raise RuntimeError(
                    "type (string) must not include an index because index was passed "
                    f"explicitly: {type}"
                )
            if not number.isdecimal() or (len(number) > 1 and number[0] == "0"):
                raise RuntimeError(
                    f"Invalid device string: '{type}'. Write it as 'cpu' or 'cuda:0'."
                )
            index = int(number)
        made = cls._made.get((kind, index))
        if made is None:
            if kind not in kinds() and kind not in ELSEWHERE:
                raise RuntimeError(
                    f"Expected one of {', '.join(sorted(kinds()))} device type at start of device "
                    f"string: {type}. "
                    "These are the installed backends; see `python -m devtensor`."
                )
            made = object.__new__(cls)
            made.type, made.index, made._backend = kind, index, None
            made = cls._made.setdefault((kind, index), made)
        return made

    @property
    def backend(self) -> Backend:
        """The backend that serves this device, loaded on first use."""
        backend = self._backend
        if backend is None:
            if self.type not in kinds():
                raise RuntimeError(
                    f"there is no backend for the device {self}; those installed are for "
                    f"{', '.join(sorted(kinds()))}, see `python -m devtensor`"
                )
            backend = self._backend = load(self.type)
        return backend

    def resolve(self) -> device:
        """The device with its index filled in, as tensors carry it; the host has none."""
        backend = self.backend
        if backend.host:
            return self if self.index is None or self.index else device(self.type)
        index = backend.current()
        if self.index is None or index is None:
            return device(self.type, index)
        if self.index >= backend.count():
            raise RuntimeError(
                f"invalid device ordinal: {self}; there are {backend.count()} such devices"
            )
        return self

    def __enter__(self) -> device:
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        _entered.set(_entered.get()[:-1])

    def __repr__(self) -> str:
        return (
            f"device(type='{self.type}')"
            if self.index is None
            else f"device(type='{self.type}', index={self.index})"
        )

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return device, (self.type, self.index)


ELSEWHERE = ("hip", "hpu", "ipu", "mps", "mtia", "vulkan", "xla")
"""Kinds of device that programs written for PyTorch name, to ask whether a tensor is there."""

ACCELERATORS = ("cuda", "xpu")
"""Kinds of device that a bare number can mean, the preferred first."""


def usable(kind: str) -> bool:
    """Whether there is a device of this kind; asking imports the library behind it."""
    if kind not in kinds():
        return False
    try:
        return load(kind).count() > 0
    except (RuntimeError, ImportError):
        return False


def accelerator_kind() -> str | None:
    """The kind of the accelerator of this machine; None without one."""
    return next(filter(usable, ACCELERATORS), None)


_entered: ContextVar[tuple[device, ...]] = ContextVar("entered", default=())
_default: device | None = None


def get_default_device() -> device:
    """The device on which tensors are made if none is named."""
    global _default
    if entered := _entered.get():
        return entered[-1]
    if _default is None:
        _default = device("cpu")
    return _default


Device = device  # which the parameter of the next function hides


def set_default_device(device: Any) -> None:
    """Make tensors on `device` from now on; None returns to the cpu."""
    global _default
    _default = None if device is None else Device(device)


def resolve(place: Any) -> device:
    """The device that `place` names, with its index; the default one for None."""
    if place.__class__ is not device:
        place = get_default_device() if place is None else device(place)
    backend = place._backend
    if backend is not None and backend.host and place.index is None:
        return place
    found: device = place.resolve()
    return found
