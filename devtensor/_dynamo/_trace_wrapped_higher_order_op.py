"""Indexing by tensors while tracing, which is nothing special here."""

from contextlib import nullcontext as TransformGetItemToIndex

__all__ = ["TransformGetItemToIndex"]
