"""Distributions of transformed variables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.independent import Independent
from devtensor.distributions.transforms import ComposeTransform, Transform
from devtensor.distributions.utils import _sum_rightmost
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """The distribution of a variable of another distribution after some transforms.

    Parameters
    ----------
    base_distribution : Distribution
    transforms : Transform or list of Transform
        The first is applied first. If their parameters broadcast to a larger shape, the base
        distribution is expanded.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        If `transforms` is something else, or takes events of more dimensions.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import ExpTransform, Normal, TransformedDistribution
    >>> log_normal = TransformedDistribution(Normal(0.0, 1.0), ExpTransform())
    >>> log_normal.log_prob(dt.tensor(1.0))
    tensor(-0.9189)
    """

    arg_constraints: ClassVar[Any] = {}
    has_rsample = property(attrgetter("base_dist.has_rsample"))

    def __init__(
        self, base_distribution: Any, transforms: Any, validate_args: bool | None = None
    ) -> None:
        listed = [transforms] if isinstance(transforms, Transform) else transforms
        if not isinstance(listed, list) or not all(isinstance(t, Transform) for t in listed):
            raise ValueError(
                f"transforms must be a Transform or a list of Transforms, but was {transforms}"
            )
        self.transforms = listed
        whole = ComposeTransform(listed)
        own_dim = len(base_distribution.event_shape)
        shape = base_distribution.batch_shape + base_distribution.event_shape
        taken, given = whole.domain.event_dim, whole.codomain.event_dim
        if len(shape) < taken:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {taken}, but got "
                f"{shape}."
            )
        forward = Size(whole.forward_shape(shape))
        expanded = Size(whole.inverse_shape(forward))
        if shape != expanded:
            base_distribution = base_distribution.expand(expanded[: len(expanded) - own_dim])
        if taken > own_dim:
            base_distribution = Independent(base_distribution, taken - own_dim)
        self.base_dist = base_distribution
        cut = len(forward) - max(given, own_dim + given - taken)
        super().__init__(forward[:cut], forward[cut:], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        more = len(self.event_shape) - support.event_dim
        return constraints.independent(support, more) if more > 0 else support

    def _forward(self, value: Tensor) -> Tensor:
        for transform in self.transforms:
            value = transform(value)
        return value

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with dt.no_grad():
            return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        return self._forward(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        event_dim = len(self.event_shape)
        result: Any = 0.0
        for transform in reversed(self.transforms):
            before = transform.inv(value)
            event_dim += transform.domain.event_dim - transform.codomain.event_dim
            slope = transform.log_abs_det_jacobian(before, value)
            result = result - _sum_rightmost(slope, event_dim - transform.domain.event_dim)
            value = before
        base = self.base_dist.log_prob(value)
        return result + _sum_rightmost(base, event_dim - len(self.base_dist.event_shape))

    def _turned(self, value: Tensor) -> Tensor:
        """Probabilities counted from the other end, where the transforms decrease."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return value
        return sign * (value - 0.5) + 0.5

    def cdf(self, value: Tensor) -> Tensor:
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Tensor) -> Tensor:
        return self._forward(self.base_dist.icdf(self._turned(value)))


def of_base(name: str) -> Any:
    """An attribute that is the base distribution's."""
    found: Callable[[Any], Any] = attrgetter(f"base_dist.{name}")
    return property(found)
