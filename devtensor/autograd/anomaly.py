"""Anomaly mode: nodes remember the line that made them, and NaN in a gradient is an error."""

from __future__ import annotations

import sys
import warnings
from typing import Any

from devtensor.autograd.mode import Block
from devtensor.autograd.step import _anomaly


class set_detect_anomaly(Block):
    """Turn anomaly mode on or off, for a block or from here on.

    Parameters
    ----------
    mode : bool
    check_nan : bool
        Whether a NaN in a gradient is an error.
    """

    kind = "anomaly"

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        super().__init__(mode)
        self._before = list(_anomaly)
        _anomaly[:] = [mode, check_nan]
        self._open(sys._getframe(1))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        _anomaly[:] = self._before
        super().__exit__()


class detect_anomaly(set_detect_anomaly):
    """A block in which a NaN in a gradient is an error that names the forward's line.

    Parameters
    ----------
    check_nan : bool
    """

    def __init__(self, check_nan: bool = True) -> None:
        warnings.warn(
            "Anomaly Detection has been enabled. This mode will increase the runtime and should "
            "only be enabled for debugging.",
            UserWarning,
            stacklevel=2,
        )
        Block.__init__(self, True)
        self._check = check_nan

    def __enter__(self) -> None:
        self._before = list(_anomaly)
        _anomaly[:] = [True, self._check]
        self._open(sys._getframe(1))


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on, in any thread."""
    return bool(_anomaly[0])


def is_anomaly_check_nan_enabled() -> bool:
    """Whether NaN is looked for."""
    return bool(_anomaly[1])


def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Turn anomaly mode on or off from here on."""
    set_detect_anomaly(mode, check_nan)


_: Any = None
