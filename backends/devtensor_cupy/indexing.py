"""Operations in which nobody needs to look at indices before they are used.

The kernels of `lookup` note what is out of range on their way, and the rules of gradients know that
nothing is. What is refused is said by the common kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from devtensor.ops import embedding
from devtensor.ops import index as common

from .extras_index import cast
from .lookup import STRICT, TRUST, WRAP, checked, read, write
from .masks import DIMS, Marked
from .runtime import cupy, home, on


def own(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that leaves to the common one what it returns nothing for, and what is refused."""
    plain = getattr(common, function.__name__).kernel

    def run(xp: Any, input: Any, /, *rest: Any, **params: Any) -> Any:
        try:
            found = function(input, *rest, **params) if input.ndim else None
        except IndexError:
            found = None
        return plain(xp, input, *rest, **params) if found is None else found

    run.__name__, run.__doc__ = function.__name__, f"`{function.__name__}`."
    return run


def beside(shape: Any, index: Any, dim: int) -> bool:
    """Whether an array of indices has the other dimensions of a shape."""
    return index.ndim == len(shape) and all(
        n == m or d == dim for d, (n, m) in enumerate(zip(shape, index.shape, strict=True))
    )


def gather_at(input: Any, index: Any, dim: int) -> Any:
    if index.ndim != input.ndim or not index.size:
        return None
    return read(common._cut(input, index.shape, dim), dim, index, True, STRICT)


def gather_spread(input: Any, index: Any, size: Any, dim: int) -> Any:
    return summed(input, index, size, dim, True) if beside(size, index, dim) else None


def index_select_at(input: Any, index: Any, dim: int) -> Any:
    return read(input, dim, index.reshape(-1), False, STRICT)


def index_select_spread(input: Any, index: Any, size: Any, dim: int) -> Any:
    return summed(input, index.reshape(-1), size, dim, False) if size else None


def embedding_at(
    xp: Any, weight: Any, indices: Any, /, padding: int = -1, by_frequency: bool = False
) -> Any:
    """`embedding_at`, without reading rows of a list first."""
    try:
        return read(weight, 0, indices, False, STRICT)
    except IndexError:  # which the common kernel says in its words
        return embedding.embedding_at.op.kernel(xp, weight, indices, padding, by_frequency)


def index_spread(input: Any, *indices: Any, size: Any, places: Any) -> Any:
    if len(indices) > 1:
        return None
    if indices[0].dtype.kind == "b":
        if indices[0].shape != tuple(size):
            return None
        out = cupy.zeros(size, input.dtype)
        Marked(indices[0]).fill(out, input)
        return out
    return summed(input, indices[0], size, places[0], False)


def nonzero_at(input: Any) -> Any:
    return Marked(input).coordinates() if input.ndim <= DIMS else None


def summed(input: Any, index: Any, size: Any, dim: int, each: bool) -> Any:
    """Zeros of a shape to which `input` is added at indices that are known to be in range."""
    out = cupy.zeros(size, input.dtype)
    write(out, dim, index, input, each, True, TRUST)
    return out


# ---- changes of a part of an array

Change = tuple[int, Any, Any, bool, bool]
"""The dimension, the indices, what is put there, whether each element has an index, and whether it
is added."""


def scattered(input: Any, index: Any, src: Any, dim: int, add: bool) -> Change | None:
    """What is put at indices along `dim`, or added there."""
    if not index.size or not beside(input.shape, index, dim):
        return None
    src = common._cut(src, index.shape) if src.ndim else cupy.broadcast_to(src, index.shape)
    return dim, index, cast(src, input.dtype), True, add


def scatter_at(input: Any, index: Any, src: Any, dim: int) -> Change | None:
    return scattered(input, index, src, dim, False)


def scatter_add_at(input: Any, index: Any, src: Any, dim: int) -> Change | None:
    return scattered(input, index, src, dim, True)


def index_add_at(input: Any, index: Any, source: Any, dim: int, alpha: Any = 1) -> Change | None:
    if alpha != 1:
        if source.dtype.kind == "u" and alpha < 0:
            return None
        source = source * alpha
    return dim, index.reshape(-1), cast(source, input.dtype), False, True


def index_copy_at(input: Any, index: Any, source: Any, dim: int) -> Change:
    return dim, index.reshape(-1), cast(source, input.dtype), False, False


def put_at(
    input: Any, values: Any, *indices: Any, places: Any, accumulate: bool = False
) -> Change | None:
    if len(indices) > 1 or indices[0].dtype.kind == "b" or places[0] >= input.ndim:
        return None
    (index,), (dim,) = indices, places
    shape = (*input.shape[:dim], *index.shape, *input.shape[dim + 1 :])
    return dim, index, cupy.broadcast_to(cast(values, input.dtype), shape), False, accumulate


def changed(plan: Callable[..., Change | None], look: str) -> Callable[..., Any]:
    """The operation that changes a copy."""

    def call(input: Any, *rest: Any, **params: Any) -> Any:
        change = plan(input, *rest, **params)
        if change is None:
            return None
        out = input.copy()
        write(out, *change, look)
        return out

    call.__name__ = plan.__name__
    return call


def changing(plan: Callable[..., Change | None], look: str) -> Callable[..., None]:
    """The operation that changes its first array itself, when all indices are known to be right."""
    plain = getattr(common, plan.__name__).kernel

    def call(xp: Any, out: Any, /, *rest: Any, **params: Any) -> None:
        with on(home(out)):
            try:
                change = plan(out, *rest, **params) if out.ndim else None
                if change is not None:
                    checked([(change[1], out.shape[change[0]])], look)
                    write(out, *change, TRUST)
                    return
            except (IndexError, ValueError):  # the common kernel says what is wrong
                pass
            out[...] = plain(xp, out, *rest, **params)

    return call


CHANGES = (scatter_at, scatter_add_at, index_add_at, index_copy_at)
FUNCTIONS: tuple[Callable[..., Any], ...] = (
    gather_at, gather_spread, index_select_at, index_select_spread, index_spread, nonzero_at,
    *[changed(plan, STRICT) for plan in CHANGES],
)  # fmt: skip
KERNELS = {function.__name__: own(function) for function in FUNCTIONS}
KERNELS["embedding_at"] = embedding_at
WRITERS: dict[str, Callable[..., None]] = {
    "put_at": changing(put_at, WRAP),
    **{plan.__name__: changing(plan, STRICT) for plan in CHANGES},
}
"""Those that write into their first array: `Backend.writers`."""
