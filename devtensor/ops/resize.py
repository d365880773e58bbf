"""Images in other sizes: mixtures of neighbouring pixels along one dimension at a time."""

from __future__ import annotations

from typing import Any

from devtensor.dtype import float32, of
from devtensor.op import derivative, op
from devtensor.ops.linalg import matmul
from devtensor.pixels import weight

MORE: dict[str, Any] = {"dim": 2, "size": 5, "step": 0.6, "align": False, "cubic": False}
FEWER: dict[str, Any] = {"dim": 1, "size": 3, "step": 1.5, "align": True, "cubic": True}


@op(
    public=False,
    examples=[(4, 3, 1.5, False, True, False, float32), (4, 2, 2.0, False, False, True, float32)],
    oracle=None,
)
def pixel_shares(
    xp: Any, /, n: int, m: int, step: float, align: bool, cubic: bool, antialias: bool, dtype: Any
) -> Any:
    """How much each of `n` pixels counts in each of `m` new ones: a matrix (m, n).

    Parameters
    ----------
    n, m : int
    step : float
        From one new pixel to the next, in old ones.
    align : bool
        Whether the first of both stand at one place; otherwise their borders do.
    cubic : bool
        Whether four pixels are mixed, instead of two.
    antialias : bool
        Whether more are where the image shrinks.
    dtype : dtype
    """
    new = xp.reshape(xp.arange(m, dtype=dtype), (m, 1))
    centre = new * step if align else (new + 0.5) * step - 0.5
    old = xp.reshape(xp.arange(n, dtype=dtype), (1, n))
    if antialias:
        found = weight(xp, xp.abs(old - centre) / max(step, 1.0), cubic, -0.5)
        return found / xp.sum(found, axis=1, keepdims=True)
    if not cubic:
        return weight(xp, xp.abs(old - xp.clip(centre, min=0, max=n - 1)), False)
    total: Any = 0
    for tap in range(-1, 3):
        place = xp.floor(centre) + tap
        share = weight(xp, xp.abs(place - centre), True)
        there = xp.clip(place, min=0, max=n - 1) == old  # beyond the border, the border
        total = total + xp.where(there, share, xp.zeros_like(share))
    return total


def mixed(xp: Any, input: Any, dim: int, share: Any) -> Any:
    """The products of a matrix with what lies along a dimension."""
    share = xp.astype(share, input.dtype, copy=False)
    if dim == input.ndim - 1:
        return matmul.kernel(xp, input, xp.permute_dims(share, (1, 0)))
    found = matmul.kernel(xp, share, xp.moveaxis(input, dim, -2))
    return xp.moveaxis(found, -2, dim)


def fine(xp: Any, x: Any) -> Any:
    """The type in which shares are computed; not float64 for all, as some devices have none."""
    return x.dtype if of(x.dtype).itemsize >= 8 else xp.float32


@op(
    public=False,
    ordered=True,
    promotes=None,
    accepts=("float",),
    node="UpsampleBackward0",
    examples=[((1, 2, 3), MORE), ((2, 4, 2), FEWER)],
    oracle=None,
)
def resized(
    xp: Any, input: Any, /, dim: int, size: int, step: float, align: bool, cubic: bool
) -> Any:
    """`size` pixels along `dim`, each a mixture of those that stand near its place."""
    share = pixel_shares.kernel(
        xp, input.shape[dim], size, step, align, cubic, False, fine(xp, input)
    )
    return mixed(xp, input, dim, share)


@op(
    public=False,
    ordered=True,
    promotes=None,
    accepts=("float",),
    node="UpsampleBackwardBackward0",
    examples=[((1, 2, 5), MORE | {"size": 3}), ((2, 3, 2), FEWER | {"size": 4})],
    oracle=None,
)
def resized_spread(
    xp: Any, g: Any, /, dim: int, size: int, step: float, align: bool, cubic: bool
) -> Any:
    """The adjoint of `resized`: each number of `g` divided among the pixels that it was made of."""
    share = pixel_shares.kernel(xp, size, g.shape[dim], step, align, cubic, False, fine(xp, g))
    return mixed(xp, g, dim, xp.permute_dims(share, (1, 0)))


derivative(
    resized,
    input=lambda xp, g, input_shape, dim, step, align, cubic: xp.resized_spread(
        g, dim, input_shape[dim], step, align, cubic
    ),
)
derivative(
    resized_spread,
    g=lambda xp, g, g_shape, dim, step, align, cubic: xp.resized(
        g, dim, g_shape[dim], step, align, cubic
    ),
)
