"""Attention whose scores a function changes (``torch.nn.attention.flex_attention``).

PyTorch makes one kernel of the function and attention. Here the function is called for all scores
at once, so the scores are in memory, and blocks that a mask leaves out are computed like others.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from inspect import Parameter, signature
from typing import Any, NamedTuple

import devtensor as dt
from devtensor.tensor import Tensor

__all__ = [
    "AuxOutput", "AuxRequest", "BlockMask", "FlexKernelOptions", "and_masks", "create_block_mask",
    "create_mask", "flex_attention", "noop_mask", "or_masks",
]  # fmt: skip

Function = Callable[..., Any]
BLOCKS = ("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices")
_DEFAULT_SPARSE_BLOCK_SIZE = 128  # libraries import it
FlexKernelOptions = dict
"""What PyTorch's kernel may be told; it means nothing here."""


class AuxRequest(NamedTuple):
    """Which further results `flex_attention` should give."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """The further results: the logarithm of the sum of exponentials, and the largest score."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def noop_mask(batch: Any, head: Any, token_q: Any, token_kv: Any) -> Any:
    """A mask that leaves nothing out."""
    return batch.new_ones((), dtype=dt.bool)


def and_masks(*mask_mods: Function) -> Function:
    """The mask of what all of some masks leave in."""

    def mask(b: Any, h: Any, q: Any, kv: Any) -> Any:
        found = b.new_ones((), dtype=dt.bool)
        for one in mask_mods:
            found = found & one(b, h, q, kv)
        return found

    return mask


def or_masks(*mask_mods: Function) -> Function:
    """The mask of what one of some masks leaves in."""

    def mask(b: Any, h: Any, q: Any, kv: Any) -> Any:
        found = b.new_zeros((), dtype=dt.bool)
        for one in mask_mods:
            found = found | one(b, h, q, kv)
        return found

    return mask


def everywhere(function: Function, sizes: Any, device: Any, *scores: Tensor) -> Tensor:
    """What a function of places gives for all of them; it sees one place, as in PyTorch."""
    for place in reversed(range(4)):
        dims = [0 if place == k else None for k in range(4)]
        function = dt.vmap(function, in_dims=(*(0 for _ in scores), *dims))
    found: Tensor = function(*scores, *(dt.arange(n, device=device) for n in sizes))
    return found


def create_mask(
    mod_fn: Function, B: int | None, H: int | None, Q_LEN: int, KV_LEN: int, device: Any = None
) -> Tensor:
    """The mask of all places, shape ``(B, H, Q_LEN, KV_LEN)``.

    Parameters
    ----------
    mod_fn : callable
        ``mask(batch, head, query, key)``, true for scores that are left in; or a function that
        changes scores, with these before: then those that become minus infinity are left out.
    B, H, Q_LEN, KV_LEN : int
        The numbers of batches and heads, 1 if they are None, of queries and of keys.
    device : device, optional
    """
    sizes = (1 if B is None else B, 1 if H is None else H, Q_LEN, KV_LEN)
    named = signature(mod_fn).parameters.values()
    needed = [p for p in named if p.default is Parameter.empty and p.kind in (0, 1)]
    if len(needed) == 5:
        zeros = dt.zeros(sizes, device=device)
        return ~dt.isneginf(everywhere(mod_fn, sizes, device, zeros))
    return everywhere(mod_fn, sizes, device)


def ordered(blocks: Tensor) -> tuple[Tensor, Tensor]:
    """In each row of a table of blocks how many there are, and their places, in order."""
    places = blocks.to(dt.int32).argsort(-1, descending=True, stable=True)
    return blocks.sum(-1).to(dt.int32), places.to(dt.int32)


def table(count: Tensor, places: Tensor, columns: int) -> Tensor:
    """The table of blocks from the number and the places in each row."""
    there = dt.arange(places.shape[-1], device=places.device) < count.unsqueeze(-1)
    blocks = there.new_zeros((*places.shape[:-1], columns), dtype=dt.int32)
    return blocks.scatter_add(-1, places.long(), there.to(dt.int32)).bool()


class BlockMask:
    """A mask, and in which blocks of scores it leaves something in.

    Make one with :func:`create_block_mask`, or with :meth:`from_kv_blocks`.

    Attributes
    ----------
    kv_num_blocks, kv_indices : Tensor
        For each row of blocks how many are left in, in part, and which ones come first.
    full_kv_num_blocks, full_kv_indices : Tensor or None
        The same of blocks that are left in as a whole.
    seq_lengths : tuple of int
        The numbers of queries and keys.
    BLOCK_SIZE : tuple of int
    mask_mod : callable
    """

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None,
        BLOCK_SIZE: tuple[int, int] = (128, 128),
        mask_mod: Function = noop_mask,
    ) -> None:
        if kv_indices.ndim < 2:
            raise RuntimeError("BlockMask must have at least 2 dimensions")
        if (full_kv_num_blocks is None) != (full_kv_indices is None):
            raise AssertionError(
                "full_kv_num_blocks and full_kv_indices must be both provided or omitted"
            )
        self.seq_lengths, self.BLOCK_SIZE, self.mask_mod = seq_lengths, BLOCK_SIZE, mask_mod
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks, self.full_kv_indices = full_kv_num_blocks, full_kv_indices

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None,
        BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
        mask_mod: Function | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
    ) -> BlockMask:
        """A mask from its blocks, within which `mask_mod` holds."""
        size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
        lengths = seq_lengths or (kv_indices.shape[-2] * size[0], kv_indices.shape[-1] * size[1])
        blocks = (kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices)
        return cls(lengths, *blocks, size, mask_mod or noop_mask)

    @property
    def shape(self) -> tuple[int, ...]:
        """The numbers of batches, heads, queries and keys."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def numel(self) -> int:
        """The number of scores."""
        return math.prod(self.shape)

    def partly(self) -> Tensor:
        """The table of blocks that are left in, in part."""
        return table(self.kv_num_blocks, self.kv_indices, self.kv_indices.shape[-1])

    def wholly(self) -> Tensor | None:
        """The table of blocks that are left in as a whole."""
        if self.full_kv_num_blocks is None or self.full_kv_indices is None:
            return None
        columns = self.full_kv_indices.shape[-1]
        return table(self.full_kv_num_blocks, self.full_kv_indices, columns)

    def to_dense(self) -> Tensor:
        """The table of blocks in which something is left in."""
        whole = self.wholly()
        return self.partly() if whole is None else self.partly() | whole

    def sparsity(self) -> float:
        """How many percent of the scores are in blocks that are left out."""
        there = self.to_dense().sum().item() * math.prod(self.BLOCK_SIZE)
        return 100 * (1 - there / self.numel())

    def of_scores(self, sizes: Any, device: Any) -> Tensor:
        """The mask of all scores."""
        made = everywhere(self.mask_mod, sizes, device)
        rows, columns = self.BLOCK_SIZE

        def each(blocks: Tensor) -> Tensor:
            wide = blocks.to(device).repeat_interleave(rows, -2).repeat_interleave(columns, -1)
            return wide[..., : sizes[2], : sizes[3]]

        whole = self.wholly()
        inside = made & each(self.partly())
        return inside if whole is None else inside | each(whole)

    def _each(self, change: Function, mask_mod: Function) -> BlockMask:
        made = copy(self)
        made.mask_mod = mask_mod
        for name in BLOCKS:
            blocks = getattr(self, name)
            setattr(made, name, blocks if blocks is None else change(blocks))
        return made

    def to(self, device: Any) -> BlockMask:
        """The mask on another device; what its function uses stays where it is."""
        return self._each(lambda x: x.to(device), self.mask_mod)

    def __getitem__(self, index: Any) -> BlockMask:
        """Some batches, heads and rows of blocks; the function must be set anew."""

        def missing(*_: Any) -> Any:
            raise RuntimeError("Cannot use mask_mod from a sliced BlockMask; set its mask_mod")

        places = index if isinstance(index, tuple) else (index,)
        places = tuple([
            slice(i, i + 1 or None) if isinstance(i, int) else i for i in places
        ])  # fmt: skip
        return self._each(lambda x: x[places], missing)

    def __repr__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


def create_block_mask(
    mask_mod: Function,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: int | tuple[int, int] = _DEFAULT_SPARSE_BLOCK_SIZE,
    _compile: bool = False,
    separate_full_blocks: bool = True,
) -> BlockMask:
    """The blocks of scores that a mask leaves in.

    Parameters
    ----------
    mask_mod : callable
        ``mask_mod(batch, head, query, key)``: whether a score is left in.
    B, H, Q_LEN, KV_LEN : int
        The numbers of batches and heads, None if the mask is the same for all, of queries and keys.
    device : device, optional
        The default one if left out.
    BLOCK_SIZE : int or tuple of int
        How many queries and keys a block has.
    separate_full_blocks : bool
        Whether blocks that are left in as a whole are told from others.
    """
    rows, columns = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else BLOCK_SIZE
    mask = create_mask(mask_mod, B, H, Q_LEN, KV_LEN, device)
    wide = dt.nn.functional.pad(mask.to(dt.int32), (0, -KV_LEN % columns, 0, -Q_LEN % rows))
    count = wide.unflatten(-1, (-1, columns)).unflatten(-3, (-1, rows)).sum((-1, -3))
    whole = count == rows * columns
    if separate_full_blocks:
        blocks = (*ordered((count > 0) & ~whole), *ordered(whole))
        return BlockMask((Q_LEN, KV_LEN), *blocks, (rows, columns), mask_mod)
    return BlockMask(
        (Q_LEN, KV_LEN), *ordered(count > 0), BLOCK_SIZE=(rows, columns), mask_mod=mask_mod
    )


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Function | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Any = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """Attend with scores that a function changes.

    Parameters
    ----------
    query, key, value : Tensor
        Shapes ``(batch, heads, length, width)``.
    score_mod : callable, optional
        ``score_mod(score, batch, head, query, key)`` gives the score to take instead.
    block_mask : BlockMask, optional
        Which scores count.
    scale : float, optional
        What scores are multiplied by first; one over the root of the width if left out.
    enable_gqa : bool
        Whether several heads of queries may share one of keys and values.
    return_lse : bool
        Whether to return the logarithm of the sum of the scores' exponentials, too.
    kernel_options : optional
        Means nothing.
    return_aux : AuxRequest, optional
        Further results, which are returned as an `AuxOutput`.

    Raises
    ------
    NotImplementedError
        If an operand does not have 4 dimensions.
    ValueError
        If shapes, heads or the mask do not fit.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.nn.attention.flex_attention import flex_attention
    >>> x = dt.ones(1, 2, 3, 4)
    >>> flex_attention(x, x, x, lambda score, b, h, q, kv: score - (q - kv).abs() * h).shape
    torch.Size([1, 2, 3, 4])
    """
    for name, x in (("query", query), ("key", key), ("value", value)):
        if x.ndim != 4:
            raise NotImplementedError(f"NYI: {name} must be 4D, got shape {list(x.shape)}")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"Expect query and key/value to have the same embedding dimension but got "
            f"E={query.shape[-1]} and E={key.shape[-1]}."
        )
    batch, heads, length, width = query.shape
    shared = key.shape[1]
    if heads != shared and not enable_gqa:
        raise ValueError(
            f"Expect query and key/value to have the same number of heads but got Hq={heads} and "
            f"Hkv={shared}. Try setting enable_gqa=True for GQA."
        )
    if heads % shared:
        raise ValueError(
            f"Expect number of query heads to be a multiple of kv heads for GQA but got Hq={heads} "
            f"and Hkv={shared}."
        )
    sizes = (batch, heads, length, key.shape[2])
    if block_mask is not None and (
        block_mask.seq_lengths[0] < length or block_mask.seq_lengths[1] != sizes[3]
    ):
        raise ValueError(
            f"block_mask was created for block_mask.shape={block_mask.shape} but got "
            f"q_len={length} and kv_len={sizes[3]}. Create a new block mask with the correct "
            "length."
        )
    if heads != shared:
        key, value = (x.repeat_interleave(heads // shared, 1) for x in (key, value))
    exact = dt.float64 if query.dtype == dt.float64 else dt.float32
    factor = 1 / math.sqrt(width) if scale is None else scale
    scores = (query @ key.transpose(-2, -1) * factor).to(exact)
    if score_mod is not None:
        scores = everywhere(score_mod, sizes, query.device, scores).to(exact)
    if block_mask is not None:
        scores = scores.masked_fill(~block_mask.of_scores(sizes, query.device), -math.inf)
    top = scores.detach().amax(-1, keepdim=True)
    none = top == -math.inf
    shares = scores.masked_fill(none, 0.0).softmax(-1).masked_fill(none, 0.0)
    out = shares.to(value.dtype) @ value
    if return_aux is None and not return_lse:
        return out
    total = scores.masked_fill(none, 0.0).logsumexp(-1).masked_fill(none.squeeze(-1), -math.inf)
    if return_aux is None:
        return out, total
    return out, AuxOutput(
        total if return_aux.lse else None, top.squeeze(-1) if return_aux.max_scores else None
    )
