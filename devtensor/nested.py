"""Nested tensors by name (``torch.nested``): each tensor has one shape here."""

from __future__ import annotations

from devtensor.refusal import refused

__all__ = ["as_nested_tensor", "masked_select", "narrow", "nested_tensor",
           "nested_tensor_from_jagged", "to_padded_tensor"]  # fmt: skip

WHY = "a tensor has one shape here; pad by nn.utils.rnn.pad_sequence and keep a mask"

as_nested_tensor = refused("nested.as_nested_tensor", WHY)
masked_select = refused("nested.masked_select", WHY)
narrow = refused("nested.narrow", WHY)
nested_tensor = refused("nested.nested_tensor", WHY)
nested_tensor_from_jagged = refused("nested.nested_tensor_from_jagged", WHY)
to_padded_tensor = refused("nested.to_padded_tensor", WHY)
