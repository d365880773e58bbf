"""The layers of a Transformer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.nn import functional as F
from devtensor.nn.attention import MultiheadAttention
from devtensor.nn.dropout import Dropout
from devtensor.nn.linear import Linear
from devtensor.nn.module import Module
from devtensor.nn.normalization import LayerNorm
from devtensor.tensor import Tensor

__all__ = ["TransformerDecoderLayer", "TransformerEncoderLayer"]


def activation_of(activation: Any) -> Callable[[Tensor], Tensor]:
    """Find the activation named so; functions and modules are one already."""
    if not isinstance(activation, str):
        found: Callable[[Tensor], Tensor] = activation
        return found
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    named: Callable[[Tensor], Tensor] = getattr(F, activation)
    return named


class Layer(Module):
    """What encoder and decoder layers share: attention, two linear maps, norms and dropouts.

    Its blocks have PyTorch's names, by which subclasses replace them.
    """

    _blocks: int

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int,
        dropout: float,
        activation: Any,
        layer_norm_eps: float,
        batch_first: bool,
        norm_first: bool,
        bias: bool,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        place = {"device": device, "dtype": dtype}

        def attention() -> MultiheadAttention:
            return MultiheadAttention(
                d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, **place
            )

        self.self_attn = attention()
        if self._blocks == 3:
            self.multihead_attn = attention()
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **place)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **place)
        self.norm_first = norm_first
        for number in range(1, self._blocks + 1):
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **place)
            setattr(self, f"norm{number}", norm)
        for number in range(1, self._blocks + 1):
            setattr(self, f"dropout{number}", Dropout(dropout))
        self.activation = activation_of(activation)

    def _ff_block(self, x: Tensor) -> Tensor:
        x = self.linear2(self.dropout(self.activation(self.linear1(x))))
        output: Tensor = getattr(self, f"dropout{self._blocks}")(x)
        return output

    def _sa_block(
        self, x: Tensor, attn_mask: Any, key_padding_mask: Any, is_causal: bool = False
    ) -> Tensor:
        return self._look(self.self_attn, x, x, attn_mask, key_padding_mask, is_causal, 1)

    def _look(
        self, attention: Module, x: Tensor, memory: Tensor, mask: Any, padding: Any, causal: bool,
        number: int,
    ) -> Tensor:  # fmt: skip
        output: Tensor = attention(
            x,
            memory,
            memory,
            attn_mask=mask,
            key_padding_mask=padding,
            is_causal=causal,
            need_weights=False,
        )[0]
        dropped: Tensor = getattr(self, f"dropout{number}")(output)
        return dropped

    def _around(self, number: int, x: Tensor, block: Callable[[Tensor], Tensor]) -> Tensor:
        """Add a block to what comes in, with the norm before it or after the sum."""
        norm = getattr(self, f"norm{number}")
        if self.norm_first:
            return x + block(norm(x))
        result: Tensor = norm(x + block(x))
        return result


class TransformerEncoderLayer(Layer):
    """Self-attention and a feed-forward network.

    Parameters
    ----------
    d_model, nhead : int
        The width, divisible by the number of heads.
    dim_feedforward : int
        The width inside the feed-forward network.
    dropout : float
        The probability of leaving out, in training.
    activation : str or callable
        `"relu"`, `"gelu"` or a function.
    layer_norm_eps : float
        See `LayerNorm`.
    batch_first : bool
        Whether tensors have the shape (N, L, E) rather than (L, N, E).
    norm_first : bool
        Normalize before each block rather than after it.
    bias : bool
        Whether linear maps and norms have biases.
    """

    _blocks = 2

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, device, dtype,
        )  # fmt: skip

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        def look(x: Tensor) -> Tensor:
            return self._sa_block(x, src_mask, src_key_padding_mask, is_causal=is_causal)

        return self._around(2, self._around(1, src, look), self._ff_block)


class TransformerDecoderLayer(Layer):
    """Self-attention, attention to the encoder's output and a feed-forward network.

    Parameters are those of `TransformerEncoderLayer`.
    """

    _blocks = 3

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Any = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first,
            norm_first, bias, device, dtype,
        )  # fmt: skip

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        def look(x: Tensor) -> Tensor:
            return self._sa_block(x, tgt_mask, tgt_key_padding_mask, tgt_is_causal)

        def look_over(x: Tensor) -> Tensor:
            return self._mha_block(
                x, memory, memory_mask, memory_key_padding_mask, memory_is_causal
            )

        looked = self._around(2, self._around(1, tgt, look), look_over)
        return self._around(3, looked, self._ff_block)

    def _mha_block(
        self, x: Tensor, mem: Tensor, attn_mask: Any, key_padding_mask: Any, is_causal: bool = False
    ) -> Tensor:
        return self._look(self.multihead_attn, x, mem, attn_mask, key_padding_mask, is_causal, 2)
