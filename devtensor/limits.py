"""The limits of numeric types: `finfo`, `iinfo`."""

from __future__ import annotations

import devtensor.dtype as dtypes

# Bits of the exponent and of the fraction.
_FLOATS = {
    dtypes.float16: (5, 10),
    dtypes.bfloat16: (8, 7),
    dtypes.float32: (8, 23),
    dtypes.float64: (11, 52),
}
# Of types that no array library here has, and whose limits programs ask: `eps`, the largest
# number, and the power of two that is the smallest normal one; all as PyTorch gives them.
_NARROW = {
    "float8_e4m3fn": (0.125, 448.0, -6),
    "float8_e4m3fnuz": (0.125, 240.0, -7),
    "float8_e5m2": (0.25, 57344.0, -14),
    "float8_e5m2fnuz": (0.125, 57344.0, -15),
}


class finfo:
    """The limits of a floating type (``torch.finfo``).

    Attributes
    ----------
    bits : int
    eps : float
        The distance from 1 to the next number.
    max, min : float
        The largest and the smallest finite number.
    tiny, smallest_normal : float
        The smallest positive normal number.
    resolution : float
        The decimal digits that can be relied upon, as a power of ten.
    """

    def __init__(self, type: dtypes.dtype | None = None) -> None:
        narrow = getattr(type, "__name__", None) or getattr(type, "name", None)
        if narrow in _NARROW:
            self.eps, self.max, smallest = _NARROW[narrow]
            self.dtype, self.bits, self.min = narrow, 8, -self.max
            self.tiny = self.smallest_normal = 2.0**smallest
            self.resolution = 1.0
            return
        type = dtypes.get_default_dtype() if type is None else dtypes.of(type).to_real()
        if type not in _FLOATS:
            raise TypeError(
                f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                f"'torch.finfo': got {type!r}"
            )
        exponent, fraction = _FLOATS[type]
        top = 2 ** (exponent - 1)
        self.dtype, self.bits = type.name, 8 * type.itemsize
        self.eps = 2.0**-fraction
        self.max = (2.0 - self.eps) * 2.0 ** (top - 1)
        self.min = -self.max
        self.tiny = self.smallest_normal = 2.0 ** (2 - top)
        self.resolution = {10: 1e-3, 7: 1e-2, 23: 1e-6, 52: 1e-15}[fraction]

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{k}={getattr(self, k):g}"
            for k in ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        )
        return f"finfo({shown}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer type (``torch.iinfo``).

    Attributes
    ----------
    bits, max, min : int
    """

    def __init__(self, type: dtypes.dtype) -> None:
        type = dtypes.of(type)
        if type.kind != "int":
            raise TypeError(
                f"torch.iinfo() requires an integer input type. Use torch.finfo to handle "
                f"'torch.iinfo': got {type!r}"
            )
        self.dtype, self.bits = type.name, 8 * type.itemsize
        self.max = 2 ** (self.bits - type.is_signed) - 1
        self.min = -(2 ** (self.bits - 1)) if type.is_signed else 0

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"
