"""What programs that want the same results each time can set (``torch.utils.deterministic``)."""

__all__ = ["fill_uninitialized_memory"]

fill_uninitialized_memory = True
"""Whether new memory should be filled; it can be set, and has no effect."""
