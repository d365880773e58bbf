"""Warnings and errors of devtensor's own; everything else raises what PyTorch raises."""

from __future__ import annotations


class DevtensorWarning(UserWarning):
    """Base of every warning that has no counterpart in PyTorch."""


class UnusedModeWarning(DevtensorWarning):
    """A grad mode was made, as in a bare ``no_grad()``, but never entered."""


class UntrackedViewWarning(DevtensorWarning):
    """A view taken with recording off stands in for its tracked base: no gradient reaches it."""


class OutOfMemoryError(RuntimeError):
    """The device has not enough free memory for the result."""
