"""Attention as a layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import Any

import devtensor as dt
from devtensor.nn import functional as F
from devtensor.nn import init
from devtensor.nn.linear import NonDynamicallyQuantizableLinear
from devtensor.nn.module import Module
from devtensor.nn.parameter import Parameter
from devtensor.tensor import Tensor

__all__ = ["MultiheadAttention", "SDPBackend", "sdpa_kernel"]


class MultiheadAttention(Module):
    """Attends with several heads at once.

    Parameters
    ----------
    embed_dim, num_heads : int
        The width of the queries, divisible by the number of heads.
    dropout : float
        The probability of leaving out attention weights, in training.
    bias : bool
        Whether the projections have biases.
    add_bias_kv : bool
        Add one learned key and value.
    add_zero_attn : bool
        Add one key and value of zeros.
    kdim, vdim : int, optional
        The widths of keys and values; `embed_dim` when left out.
    batch_first : bool
        Whether tensors have the shape (N, L, E) rather than (L, N, E).
    """

    bias_k: Any
    bias_v: Any

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, "
                f"got embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")

        def empty(*shape: int) -> Parameter:
            return Parameter(dt.empty(shape, device=device, dtype=dtype))

        same = self._qkv_same_embed_dim
        widths = {"q": embed_dim, "k": self.kdim, "v": self.vdim}
        self.register_parameter("in_proj_weight", None)
        for name, width in widths.items():
            self.register_parameter(
                f"{name}_proj_weight", None if same else empty(embed_dim, width)
            )
        if same:
            self.in_proj_weight = empty(3 * embed_dim, embed_dim)
        self.register_parameter("in_proj_bias", empty(3 * embed_dim) if bias else None)
        self.out_proj = NonDynamicallyQuantizableLinear(
            embed_dim, embed_dim, bias=bias, device=device, dtype=dtype
        )
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, empty(1, 1, embed_dim) if add_bias_kv else None)
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if getattr(self, name) is not None:
                init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Parameters
        ----------
        query, key, value : Tensor
            Shapes (L, N, embed_dim), (S, N, kdim), (S, N, vdim), the first two dimensions turned
            round with `batch_first`; or without N.
        key_padding_mask : Tensor, optional
            Shape (N, S): True where a key does not count; or numbers to add to the scores.
        need_weights : bool
            Return the attention weights too; without them it is faster.
        attn_mask : Tensor, optional
            Shape (L, S) or (N * num_heads, L, S): True where a query may not look; or numbers.
        average_attn_weights : bool
            Return the mean of the weights over heads.
        is_causal : bool
            Says that `attn_mask` is causal.

        Returns
        -------
        tuple
            The output, shaped as `query`, and the weights or None.
        """
        turn = self.batch_first and query.ndim == 3
        if turn:
            # Where two are one tensor they must stay one, so that one product serves both.
            turned = {id(x): x.transpose(0, 1) for x in (query, key, value)}
            query, key, value = (turned[id(x)] for x in (query, key, value))
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return output.transpose(0, 1) if turn else output, weights


class SDPBackend(Enum):
    """Ways to compute attention, of which there is one here."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(
    backends: list[SDPBackend] | SDPBackend, set_priority: bool = False
) -> Iterator[None]:
    """Choose ways to compute attention in a block; it is computed as everywhere.

    Parameters
    ----------
    backends : SDPBackend or list of them
    set_priority : bool
        Accepted.

    Raises
    ------
    AssertionError
        If they are none.
    """
    listed = [backends] if isinstance(backends, SDPBackend) else backends
    if not (isinstance(listed, list) and all(isinstance(one, SDPBackend) for one in listed)):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of SDPBackend")
    yield
