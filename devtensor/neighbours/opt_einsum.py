"""The functions that opt_einsum calls, in the form in which it calls them."""

from __future__ import annotations

from typing import Any

import devtensor


def meet(dispatch: Any) -> None:
    """Tell opt_einsum's dispatcher where the functions are."""
    dispatch._aliases["devtensor"] = __name__


def einsum(equation: str, *operands: Any) -> Any:
    """Sums of products, by Einstein's convention."""
    return devtensor.einsum(equation, *operands)


def tensordot(x: Any, y: Any, axes: Any = 2) -> Any:
    """Sums of products over several dimensions of both."""
    return devtensor.tensordot(x, y, dims=axes)


def transpose(x: Any, axes: Any) -> Any:
    """The dimensions in another order."""
    return devtensor.permute(x, axes)
