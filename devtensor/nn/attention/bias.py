"""Triangles of attention that need no memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.tensor import Tensor

__all__ = ["CausalBias", "CausalVariant", "causal_lower_right", "causal_upper_left"]


class CausalVariant(IntEnum):
    """Which corner the triangle of a `CausalBias` begins in, where it is no square."""

    UPPER_LEFT = 1
    LOWER_RIGHT = 2


class CausalBias(Tensor):
    """A mask for `nn.functional.scaled_dot_product_attention` under which nobody looks ahead.

    Parameters
    ----------
    variant : CausalVariant
        Where it begins.
    seq_len_q, seq_len_kv : int
        How many queries and keys there are.

    Examples
    --------
    >>> from devtensor.nn.attention.bias import causal_lower_right
    >>> causal_lower_right(2, 3)
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """

    variant: CausalVariant
    seq_len_q: int
    seq_len_kv: int

    def __new__(cls, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> CausalBias:
        """Make one, without the memory that its size would take."""
        bias: CausalBias = dt.empty(0, device="cpu").as_subclass(cls)
        return bias

    def __init__(self, variant: CausalVariant, seq_len_q: int, seq_len_kv: int) -> None:
        if not isinstance(variant, CausalVariant):
            raise AssertionError(f"variant must be a CausalVariant, got {type(variant).__name__}")
        self.variant, self.seq_len_q, self.seq_len_kv = variant, seq_len_q, seq_len_kv
        if seq_len_q > seq_len_kv and variant is CausalVariant.LOWER_RIGHT:
            warnings.warn(
                "Lower right causal bias will produce NaNs in the output when seq_len_q > "
                "seq_len_kv!",
                stacklevel=2,
            )

    def _materialize(self, device: Any = "cpu") -> Tensor:
        """The mask itself."""
        lower = self.variant is CausalVariant.LOWER_RIGHT
        allowed = dt.ones(self.seq_len_q, self.seq_len_kv, device=device, dtype=dt.bool)
        return allowed.tril(self.seq_len_kv - self.seq_len_q if lower else 0)

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Attend by the triangle; everything else is as of a tensor."""
        if func is F.scaled_dot_product_attention:
            return attended(*args, **(kwargs or {}))
        return super().__torch_function__(func, types, args, kwargs)  # type: ignore[misc]

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return repr(self._materialize())


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: CausalBias,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`scaled_dot_product_attention` with a triangle.

    Raises
    ------
    ValueError
        If `is_causal` asks for another one.
    """
    if is_causal:
        raise ValueError("CausalBias should not be used with causal=True")
    square = attn_mask.seq_len_q == attn_mask.seq_len_kv
    known = square or attn_mask.variant is CausalVariant.UPPER_LEFT
    mask = None if known else attn_mask._materialize(query.device)
    output: Tensor = F.scaled_dot_product_attention(
        query, key, value, mask, dropout_p, known, scale=scale, enable_gqa=enable_gqa
    )
    return output


def sizes(name: str, size: tuple[int, ...]) -> tuple[int, int]:
    """Two sizes."""
    if len(size) != 2:
        raise AssertionError(f"{name} only supports 2D tensors, got {len(size)} sizes")
    return size[0], size[1]


def causal_upper_left(*size: int) -> CausalBias:
    """A triangle that begins in the upper left corner, as with ``is_causal=True``."""
    return CausalBias(CausalVariant.UPPER_LEFT, *sizes("causal_upper_left", size))


def causal_lower_right(*size: int) -> CausalBias:
    """A triangle that ends in the lower right corner: the last query sees all keys."""
    return CausalBias(CausalVariant.LOWER_RIGHT, *sizes("causal_lower_right", size))
