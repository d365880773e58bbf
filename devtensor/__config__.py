"""What the package is built of, as text (``torch.__config__``)."""

from __future__ import annotations

__all__ = ["parallel_info", "show"]


def show() -> str:
    """The versions of what was found, as ``python -m devtensor`` prints them."""
    from devtensor.commands.environment import report

    return report()


def parallel_info() -> str:
    """The number of threads that was asked for."""
    from devtensor.settings import get_num_threads

    return f"threads asked for: {get_num_threads()}; the array library decides"
