"""PyTorch's counter of arithmetic (``torch.utils.flop_counter``), which may be made in advance."""

from __future__ import annotations

from typing import Any

__all__ = ["FlopCounterMode"]


class FlopCounterMode:
    """A counter that can be made and read, and counts nothing: entering it is refused.

    Parameters
    ----------
    mods : Module or list of Module, optional
    depth : int
    display : bool
    custom_mapping : dict, optional

    Examples
    --------
    >>> from devtensor.utils.flop_counter import FlopCounterMode
    >>> FlopCounterMode(display=False).get_total_flops()
    0
    """

    def __init__(
        self, mods: Any = None, depth: int = 2, display: bool = True, custom_mapping: Any = None
    ) -> None:
        self.mods, self.depth, self.display = mods, depth, display
        self.custom_mapping = custom_mapping

    def get_total_flops(self) -> int:
        """What was counted: nothing."""
        return 0

    def get_flop_counts(self) -> dict[str, dict[Any, int]]:
        """What was counted in each module: nothing."""
        return {}

    def __enter__(self) -> FlopCounterMode:
        """Refuse: arithmetic is not counted here.

        Raises
        ------
        NotImplementedError
            Always.
        """
        raise NotImplementedError(
            "torch.utils.flop_counter.FlopCounterMode: arithmetic is not counted here; "
            "devtensor.ledger() tells what is launched"
        )

    def __exit__(self, *_: object) -> None:
        """Never reached."""
