"""The chi-squared distribution."""

from __future__ import annotations

from typing import Any, ClassVar

from devtensor.distributions import constraints
from devtensor.distributions.gamma import Gamma
from devtensor.tensor import Tensor

__all__ = ["Chi2"]


class Chi2(Gamma):
    """The distribution of the sum of squares of normal numbers.

    Parameters
    ----------
    df : Tensor or float
        How many: the degrees of freedom.
    validate_args : bool, optional

    Examples
    --------
    >>> from devtensor.distributions import Chi2
    >>> Chi2(3.0).mean, Chi2(3.0).variance
    (tensor(3.), tensor(6.))
    """

    arg_constraints: ClassVar[Any] = {"df": constraints.positive}

    def __init__(self, df: Tensor | float, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    @property
    def df(self) -> Tensor:
        """The degrees of freedom."""
        return self.concentration * 2
