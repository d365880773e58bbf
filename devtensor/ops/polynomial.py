"""Families of polynomials, each value from the two of the degrees below it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from devtensor.example import fixed, normal
from devtensor.op import op

Formula = Callable[[Any], Any]


class Family(NamedTuple):
    """Orthogonal polynomials, of which the one of degree 0 is 1."""

    whose: str
    first: Formula
    """The one of degree 1."""
    next: Callable[[int, Any, Any, Any], Any]
    """The one of degree ``k + 1`` from `k`, `x` and those of degrees `k` and ``k - 1``."""
    closed: Callable[[Any, Any, Any], Any] | None = None
    """Those of degrees `n` at `x`, by a formula for ``-1 <= x <= 1``; of `xp`, `n` and `x`."""
    moved: Formula = lambda x: x
    """Where on -1 to 1 an argument lies."""


def chebyshev(kind: str, first: Formula, shifted: bool = False) -> Family:
    """Chebyshev's polynomials of some kind, on -1 to 1, or on 0 to 1 if they are shifted."""
    moved: Formula = (lambda x: 2 * x - 1) if shifted else (lambda x: x)
    whose = f"Chebyshev's {'shifted ' if shifted else ''}polynomial of the {kind} kind"
    return Family(
        whose,
        lambda x: first(moved(x)),
        lambda k, x, here, below: 2 * moved(x) * here - below,
        lambda xp, n, x: waves(xp, kind, n, x),
        moved,
    )


def waves(xp: Any, kind: str, n: Any, x: Any) -> Any:
    """Chebyshev's polynomials of degrees `n` from -1 to 1, where they are quotients of waves."""
    angle = xp.acos(x)
    sign = 1 - 2 * (n - 2 * xp.floor(n / 2))
    if kind == "first":
        right, left, inner = xp.ones_like(x), sign, xp.cos(n * angle)
    elif kind == "second":
        right, left = n + 1, sign * (n + 1)
        inner = xp.sin((n + 1) * angle) / xp.sin(angle)
    elif kind == "third":
        right, left = xp.ones_like(x), sign * (2 * n + 1)
        inner = xp.cos((n + 0.5) * angle) / xp.cos(angle / 2)
    else:
        right, left = 2 * n + 1, sign
        inner = xp.sin((n + 0.5) * angle) / xp.sin(angle / 2)
    return xp.where(x == 1, right, xp.where(x == -1, left, inner))


KINDS: dict[str, tuple[str, Formula]] = {
    "t": ("first", lambda x: x),
    "u": ("second", lambda x: 2 * x),
    "v": ("third", lambda x: 2 * x - 1),
    "w": ("fourth", lambda x: 2 * x + 1),
}
FAMILIES = {
    **{f"chebyshev_polynomial_{k}": chebyshev(*kind) for k, kind in KINDS.items()},
    **{f"shifted_chebyshev_polynomial_{k}": chebyshev(*kind, True) for k, kind in KINDS.items()},
    "hermite_polynomial_h": Family(
        "Hermite's polynomial, as in physics",
        lambda x: 2 * x,
        lambda k, x, here, below: 2 * x * here - 2 * k * below,
    ),
    "hermite_polynomial_he": Family(
        "Hermite's polynomial, as in statistics",
        lambda x: x,
        lambda k, x, here, below: x * here - k * below,
    ),
    "laguerre_polynomial_l": Family(
        "Laguerre's polynomial",
        lambda x: 1 - x,
        lambda k, x, here, below: ((2 * k + 1 - x) * here - k * below) / (k + 1),
    ),
    "legendre_polynomial_p": Family(
        "Legendre's polynomial",
        lambda x: x,
        lambda k, x, here, below: ((2 * k + 1) * x * here - k * below) / (k + 1),
    ),
}


LOOK = 64
"""After so many degrees it is asked whether all that is wanted has overflown."""
CLOSED = 6
"""Above this degree a closed formula is used, as PyTorch does."""
MOST = 2**16
"""The largest degree that is computed step by step."""


def define(name: str, family: Family) -> None:
    """Put a family into the catalogue."""

    def kernel(xp: Any, input: Any, n: Any, /) -> Any:
        degree = xp.trunc(n) + xp.zeros_like(input)
        degree = xp.where(degree < 2.0**63, degree, -xp.ones_like(degree))  # no larger ones count
        x = input + xp.zeros_like(degree)
        below, here = xp.ones_like(x), family.first(x)
        found = xp.where(degree == 0, below, xp.where(degree < 0, xp.zeros_like(x), here))
        if 0 in degree.shape:
            return found
        if family.closed is not None:
            place = family.moved(x)
            inside = xp.logical_and(degree > CLOSED, xp.abs(place) <= 1)
            place = xp.where(inside, place, xp.zeros_like(place))
            found = xp.where(inside, family.closed(xp, degree, place), found)
            degree = xp.where(inside, -xp.ones_like(degree), degree)
        for k in range(1, int(xp.max(degree))):
            if k % LOOK == 0 and not xp.any(xp.logical_and(degree > k, xp.isfinite(here))):
                return xp.where(degree > k, xp.full_like(x, math.nan), found)
            if k == MOST:
                raise RuntimeError(
                    f"special_{name}: degrees are computed step by step, up to {MOST}, and `n` has "
                    f"{int(xp.max(degree))}"
                )
            below, here = here, family.next(k, x, here, below)
            found = xp.where(degree == k + 1, here, found)
        return found

    kernel.__name__ = f"special_{name}"
    kernel.__doc__ = f"""{family.whose}, of degree `n`, at `input`; 0 for negative degrees.

    Parameters
    ----------
    input, n : Tensor or number
        They broadcast; fractions of `n` are cut off. There is no derivative.

    Raises
    ------
    RuntimeError
        If a degree is above {MOST}, and neither a closed formula nor overflow spares the steps.
    """
    op(
        elementwise=True,
        promotes="float",
        accepts=("float",),
        numbers=("input", "n"),
        home="special",
        method=False,
        inplace=False,
        examples=[(normal(2, 3), fixed([0.0, 1.0, 5.0])), (normal(3), 4), (0.5, fixed([2, -1]))],
        oracle=lambda torch, *given: getattr(torch.special, name)(*given),
    )(kernel)


for _name, _family in FAMILIES.items():
    define(_name, _family)
