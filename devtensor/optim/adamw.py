"""AdamW, where PyTorch has it."""

from ._functional import adamw
from .adam import AdamW

__all__ = ["AdamW", "adamw"]
