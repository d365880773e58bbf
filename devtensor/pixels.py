"""How much a pixel counts at a place between others."""

from __future__ import annotations

from typing import Any


def weight(xp: Any, distance: Any, cubic: bool, a: float = -0.75) -> Any:
    """The weight of a pixel at a distance; `xp` has the functions for what it is given as."""
    if not cubic:
        return xp.clip(1 - distance, min=0)
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return xp.where(distance <= 1, near, xp.where(distance < 2, far, xp.zeros_like(far)))
