"""Von Mises' distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, ClassVar

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.distribution import Distribution
from devtensor.distributions.utils import broadcast_all, lazy_property, uniform
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["VonMises"]


class VonMises(Distribution):
    """Von Mises' distribution of an angle.

    Parameters
    ----------
    loc : Tensor or float
        The mean angle, in radians.
    concentration : Tensor or float
        The larger, the closer to it.
    validate_args : bool, optional

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import VonMises
    >>> VonMises(dt.tensor([0.0]), dt.tensor([1.0])).log_prob(dt.tensor([0.0]))
    tensor([-1.0738])
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real,
        "concentration": constraints.positive,
    }
    support = constraints.real
    mean = mode = property(attrgetter("loc"))

    def __init__(
        self,
        loc: Tensor | float,
        concentration: Tensor | float,
        validate_args: bool | None = None,
    ) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @lazy_property
    def variance(self) -> Tensor:
        """The circular variance."""
        return 1 - dt.special.i1e(self.concentration) / dt.special.i0e(self.concentration)

    def log_prob(self, value: Tensor) -> Tensor:
        self._check_sample(value)
        shape = self.concentration
        norm = math.log(2 * math.pi) + dt.special.i0e(shape).log() + shape
        return shape * dt.cos(value - self.loc) - norm

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        # Best and Fisher, "Efficient simulation of the von Mises distribution", 1979: proposals
        # are those of a wrapped Cauchy distribution.
        shape = self._extended_shape(sample_shape)
        with dt.no_grad():
            kappa = self.concentration.double()
            tau = 1 + (1 + 4 * kappa**2).sqrt()
            rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
            r = dt.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))
            angle = dt.zeros(shape, dtype=dt.float64, device=self.loc.device)
            waiting = dt.ones(shape, dtype=dt.bool, device=self.loc.device)
            while waiting.any():
                turn, accept, side = uniform(kappa, (3, *shape)).unbind()
                z = dt.cos(math.pi * turn)
                f = (1 + r * z) / (r + z)
                c = kappa * (r - f)
                good = (c * (2 - c) > accept) | ((c / accept).log() + 1 - c >= 0)
                angle = dt.where(waiting & good, (side - 0.5).sign() * f.clamp(-1, 1).acos(), angle)
                waiting = waiting & ~good
            angle = (angle + math.pi + self.loc) % (2 * math.pi) - math.pi
            return angle.to(self.loc.dtype)
