"""Data sets that come with the package, small enough to try things on without a download."""

from __future__ import annotations

import gzip
from importlib.resources import files
from typing import TYPE_CHECKING

import devtensor as dt

if TYPE_CHECKING:
    from devtensor.tensor import Tensor

__all__ = ["digits"]

_COUNT = 1797


def digits() -> tuple[Tensor, Tensor]:
    """Handwritten digits: 1797 small grey images and what they show.

    The data are the test part of *Optical Recognition of Handwritten Digits* by E. Alpaydin and
    C. Kaynak (UCI Machine Learning Repository, 1998; CC BY 4.0). The origin and licence stand in
    ``digits.md`` beside this module.

    Returns
    -------
    images : Tensor
        Shape ``(1797, 8, 8)``, dtype uint8, values 0 (paper) to 16 (ink).
    labels : Tensor
        Shape ``(1797,)``, dtype int64, values 0 to 9.
    """
    data = bytearray(gzip.decompress((files(__name__) / "digits.gz").read_bytes()))
    labels = dt.frombuffer(data, dtype=dt.uint8, count=_COUNT)
    images = dt.frombuffer(data, dtype=dt.uint8, offset=_COUNT)
    return images.reshape(_COUNT, 8, 8).clone(), labels.to(dt.int64)
