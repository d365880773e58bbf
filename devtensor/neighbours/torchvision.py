"""What torchvision has in compiled code alone and detectors need: suppression and pooling."""

from __future__ import annotations

from typing import Any

import devtensor
from devtensor.library import register_kernel
from devtensor.neighbours import _regions
from devtensor.tensor import Tensor


def meet(extension: Any) -> None:
    """Enter the operator, and let it be called without torchvision's compiled library."""
    if extension.torch is not devtensor:  # it was imported for PyTorch
        return
    for function in (nms, *[getattr(_regions, name) for name in _regions.__all__]):
        register_kernel(f"torchvision::{function.__name__}", None, function)
    extension._assert_has_ops = lambda: None


def nms(dets: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Which boxes are left if each takes away those of lower scores that cover too much of it.

    Parameters
    ----------
    dets : Tensor
        Boxes of shape ``(n, 4)``, each ``(left, top, right, bottom)``.
    scores : Tensor
        Of shape ``(n,)``.
    iou_threshold : float
        The largest quotient of what two boxes share by what they cover together.

    Returns
    -------
    Tensor
        Their numbers in int64, from the highest score to the lowest.

    Raises
    ------
    RuntimeError
        If the shapes do not fit.
    """
    if dets.ndim != 2:
        raise RuntimeError(f"boxes should be a 2d tensor, got {dets.ndim}D")
    if dets.shape[1] != 4:
        raise RuntimeError(f"boxes should have 4 elements in dimension 1, got {dets.shape[1]}")
    if scores.ndim != 1:
        raise RuntimeError(f"scores should be a 1d tensor, got {scores.ndim}D")
    if len(dets) != len(scores):
        raise RuntimeError(
            "boxes and scores should have same number of elements in dimension 0, got "
            f"{len(dets)} and {len(scores)}"
        )
    boxes, left = dets.detach(), scores.detach().argsort(descending=True, stable=True)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    kept = []
    while len(left):
        best, left = left[:1], left[1:]
        kept.append(best)
        box, others = boxes[best], boxes[left]
        sides = others[:, 2:].minimum(box[:, 2:]) - others[:, :2].maximum(box[:, :2])
        shared = sides.clamp(min=0).prod(1)
        left = left[~(shared / (areas[best] + areas[left] - shared) > iou_threshold)]
    return devtensor.cat(kept) if kept else left
