"""What the namespace can do, which types and which devices there are."""

from __future__ import annotations

from typing import Any

import devtensor as dt
from devtensor.array_api._types import isdtype
from devtensor.backend import kinds, load
from devtensor.device import device as Device
from devtensor.device import get_default_device, resolve
from devtensor.dtype import ALL
from devtensor.dtype import dtype as Dtype

TYPES = tuple([t for t in ALL if t.name not in ("float16", "bfloat16")])
"""The standard's types."""


class Info:
    """What :func:`__array_namespace_info__` returns."""

    def capabilities(self) -> dict[str, Any]:
        """What is optional in the standard and is there.

        Returns
        -------
        dict
            Bools of ``"boolean indexing"`` and ``"data-dependent shapes"``, and ``"max
            dimensions"``, which is that of NumPy.
        """
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> Device:
        """The device on which tensors are made if none is named."""
        return get_default_device()

    def default_dtypes(self, *, device: Any = None) -> dict[str, Dtype]:
        """The types of new tensors if none is named.

        Parameters
        ----------
        device : device or str, optional

        Returns
        -------
        dict
            Of ``"real floating"``, ``"complex floating"``, ``"integral"`` and ``"indexing"``.
        """
        real = dt.get_default_dtype()
        return {
            "real floating": real,
            "complex floating": real.to_complex(),
            "integral": dt.int64,
            "indexing": dt.int64,
        }

    def dtypes(
        self, *, device: Any = None, kind: str | tuple[str, ...] | None = None
    ) -> dict[str, Dtype]:
        """The standard's types that a device has.

        Parameters
        ----------
        device : device or str, optional
            By default the default device.
        kind : str or tuple of str, optional
            Only these, as in :func:`isdtype`.

        Returns
        -------
        dict
            The types by name.
        """
        there = resolve(device).backend.native
        return {t.name: t for t in TYPES if t in there and (kind is None or isdtype(t, kind))}

    def devices(self) -> list[Device]:
        """All devices that can be used; asking imports the libraries behind them."""
        found = []
        for kind in sorted(kinds()):
            try:
                backend = load(kind)
                count = backend.count()
            except (RuntimeError, ImportError):  # installed, but of no use on this machine
                continue
            found += [Device(kind)] if backend.host else [Device(kind, i) for i in range(count)]
        return found


def __array_namespace_info__() -> Info:
    """What the namespace can do, which types and which devices there are.

    Returns
    -------
    Info
        With the methods `capabilities`, `default_device`, `default_dtypes`, `dtypes`, `devices`.

    Examples
    --------
    >>> import devtensor.array_api as xp
    >>> info = xp.__array_namespace_info__()
    >>> list(info.dtypes(kind="complex floating"))
    ['complex64', 'complex128']
    """
    return Info()
