"""Mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.categorical import Categorical
from devtensor.distributions.distribution import Distribution
from devtensor.nn import functional as F
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A mixture of distributions of one family.

    Parameters
    ----------
    mixture_distribution : Categorical
        The weights of K components.
    component_distribution : Distribution
        The components, along the last of its batch dimensions.
    validate_args : bool, optional

    Raises
    ------
    ValueError
        If they are something else, or do not fit.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Categorical, MixtureSameFamily, Normal
    >>> weights = Categorical(dt.tensor([0.5, 0.5]))
    >>> mixture = MixtureSameFamily(weights, Normal(dt.tensor([-1.0, 1.0]), 0.1))
    >>> mixture.mean, mixture.variance
    (tensor(0.), tensor(1.0100))
    """

    arg_constraints: ClassVar[Any] = {}
    mixture_distribution = property(attrgetter("_mixture_distribution"))
    component_distribution = property(attrgetter("_component_distribution"))

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        for value, kind in (
            (mixture_distribution, Categorical),
            (component_distribution, Distribution),
        ):
            if not isinstance(value, kind):
                place = "Mixture" if kind is Categorical else "Component"
                raise ValueError(
                    f"The {place} distribution needs to be an instance of torch.distributions."
                    f"{kind.__name__}, not {type(value).__name__}"
                )
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        weights, batch = mixture_distribution.batch_shape, component_distribution.batch_shape[:-1]
        for one, two in zip(reversed(weights), reversed(batch), strict=False):
            if one != 1 and two != 1 and one != two:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({weights}) is not compatible with "
                    f"`component_distribution.batch_shape`({batch})"
                )
        given = mixture_distribution.logits.shape[-1]
        found = component_distribution.batch_shape[-1]
        if given != found:
            raise ValueError(
                f"`mixture_distribution component` ({given}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({found})"
            )
        event = component_distribution.event_shape
        super().__init__(batch, event, validate_args=validate_args)

    @constraints.dependent_property
    def support(self) -> Any:
        return constraints.MixtureSameFamilyConstraint(self._component_distribution.support)

    def _pad(self, x: Tensor) -> Tensor:
        """With a dimension for the components."""
        return x.unsqueeze(-1 - len(self._event_shape))

    def _mixed(self, values: Tensor) -> Tensor:
        """The mean over the components of something that each event has."""
        probs = self._mixture_distribution.probs
        probs = probs.reshape(probs.shape + (1,) * len(self._event_shape))
        return (probs * values).sum(-1 - len(self._event_shape))

    @property
    def mean(self) -> Tensor:
        return self._mixed(self._component_distribution.mean)

    @property
    def variance(self) -> Tensor:
        parts = self._component_distribution
        return self._mixed(parts.variance + (parts.mean - self._pad(self.mean)).pow(2))

    def cdf(self, x: Tensor) -> Tensor:
        parts = self._component_distribution.cdf(self._pad(x))
        return (parts * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        self._check_sample(x)
        weights = F.log_softmax(self._mixture_distribution.logits, dim=-1)
        return dt.logsumexp(self._component_distribution.log_prob(self._pad(x)) + weights, dim=-1)

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        with dt.no_grad():
            which = self._mixture_distribution.expand(self._batch_shape).sample(sample_shape)
            values = self._component_distribution.sample(sample_shape)
            axis, event = which.ndim, self._event_shape
            which = which.reshape(which.shape + (1,) * (1 + len(event)))
            which = which.expand(which.shape[: axis + 1] + event)
            return values.gather(axis, which).squeeze(axis)

    def __repr__(self) -> str:
        inner = f"\n  {self._mixture_distribution},\n  {self._component_distribution}"
        return f"MixtureSameFamily({inner})"
