"""The geometric distribution."""

from __future__ import annotations

from collections.abc import Sequence

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions._either import ProbsOrLogits
from devtensor.distributions.utils import broadcast_all
from devtensor.nn import functional as F
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Geometric"]


class Geometric(ProbsOrLogits):
    """The distribution of the number of failures before the first success.

    Parameters
    ----------
    probs : Tensor or float, optional
        The probability of success.
    logits : Tensor or float, optional
        The logarithm of its odds; one of the two must be given.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        Unless one of `probs` and `logits` is given, or if success is impossible.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Geometric
    >>> Geometric(0.5).log_prob(dt.tensor(1.0)).exp()
    tensor(0.2500)
    """

    support = constraints.nonnegative_integer

    def __init__(
        self,
        probs: Tensor | float | None = None,
        logits: Tensor | float | None = None,
        validate_args: bool | None = None,
    ) -> None:
        self._choose(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)
        if self._validate_args and probs is not None and not (self.probs > 0).all():
            raise ValueError(
                f"Expected parameter probs ({type(self.probs).__name__} of shape "
                f"{tuple(self.probs.shape)}) of distribution {self!r} to be positive but found "
                f"invalid values:\n{self.probs.detach()[~(self.probs > 0)]}"
            )

    @property
    def mean(self) -> Tensor:
        return 1 / self.probs - 1

    @property
    def mode(self) -> Tensor:
        return dt.zeros_like(self.probs)

    @property
    def variance(self) -> Tensor:
        return (1 / self.probs - 1) / self.probs

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with dt.no_grad():
            share = self.probs.new_empty(self._extended_shape(sample_shape))
            share.uniform_(dt.finfo(share.dtype).tiny, 1)
            return (share.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        value, probs = broadcast_all(value, self.probs)
        certain = (probs == 1) & (value == 0)
        return value * (-dt.where(certain, 0.0, probs)).log1p() + self.probs.log()

    def entropy(self) -> Tensor:
        both = F.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")
        return both / self.probs
