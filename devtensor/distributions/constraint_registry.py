"""Transforms from unconstrained space to where a constraint holds.

``biject_to(constraint)`` is a bijection, whose Jacobian is known where it matters, as for Monte
Carlo; ``transform_to(constraint)`` need not be one, and is cheaper and better to optimize through.

Examples
--------
>>> import devtensor as dt
>>> from devtensor.distributions import biject_to, constraints, transform_to
>>> transform_to(constraints.simplex)(dt.zeros(2)), biject_to(constraints.simplex)(dt.zeros(1))
(tensor([0.5000, 0.5000]), tensor([0.5000, 0.5000]))
"""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

from devtensor.distributions import constraints, transforms

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """Transforms by the classes of constraints."""

    def __init__(self) -> None:
        self._registry: dict[type, Callable[[Any], Any]] = {}

    def register(self, constraint: Any, factory: Callable[[Any], Any] | None = None) -> Any:
        """Say what makes transforms for a class of constraints; can be a decorator.

        Parameters
        ----------
        constraint : Constraint or type
            A class of constraints, or one of it.
        factory : callable
            Called with the constraint, it returns a transform.

        Raises
        ------
        TypeError
            If it is no constraint.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        if isinstance(constraint, constraints.Constraint):
            constraint = type(constraint)
        if not (isinstance(constraint, type) and issubclass(constraint, constraints.Constraint)):
            raise TypeError(
                "Expected constraint to be either a Constraint subclass or instance, but got "
                f"{constraint}"
            )
        self._registry[constraint] = factory
        return factory

    def __call__(self, constraint: Any) -> Any:
        """A transform whose values satisfy `constraint`.

        Raises
        ------
        NotImplementedError
            If none is known.
        """
        try:
            factory = self._registry[type(constraint)]
        except KeyError:
            raise NotImplementedError(
                f"Cannot transform {type(constraint).__name__} constraints: register a transform "
                "for them"
            ) from None
        return factory(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _above(constraint: Any) -> Any:
    shift = transforms.AffineTransform(constraint.lower_bound, 1)
    return transforms.ComposeTransform([transforms.ExpTransform(), shift])


def _below(constraint: Any) -> Any:
    turn = transforms.AffineTransform(constraint.upper_bound, -1)
    return transforms.ComposeTransform([transforms.ExpTransform(), turn])


def _between(constraint: Any) -> Any:
    low, high = constraint.lower_bound, constraint.upper_bound
    if all(isinstance(x, Number) for x in (low, high)) and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    stretch = transforms.AffineTransform(low, high - low)
    return transforms.ComposeTransform([transforms.SigmoidTransform(), stretch])


def _structured(registry: ConstraintRegistry) -> None:
    """Constraints that are made of others."""
    registry.register(
        constraints.independent,
        lambda c: transforms.IndependentTransform(
            registry(c.base_constraint), c.reinterpreted_batch_ndims
        ),
    )
    registry.register(
        constraints.cat,
        lambda c: transforms.CatTransform([registry(x) for x in c.cseq], c.dim, c.lengths),
    )
    registry.register(
        constraints.stack,
        lambda c: transforms.StackTransform([registry(x) for x in c.cseq], c.dim),
    )


for _registry in (biject_to, transform_to):
    _structured(_registry)
    for _constraint, _factory in (
        (constraints.real, lambda c: transforms.identity_transform),
        (constraints.greater_than, _above),
        (constraints.greater_than_eq, _above),
        (constraints.less_than, _below),
        (constraints.interval, _between),
        (constraints.half_open_interval, _between),
        (constraints.corr_cholesky, lambda c: transforms.CorrCholeskyTransform()),
    ):
        _registry.register(_constraint, _factory)
biject_to.register(constraints.simplex, lambda c: transforms.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: transforms.SoftmaxTransform())
transform_to.register(constraints.lower_cholesky, lambda c: transforms.LowerCholeskyTransform())
transform_to.register(
    constraints.positive_definite, lambda c: transforms.PositiveDefiniteTransform()
)
transform_to.register(
    constraints.positive_semidefinite, lambda c: transforms.PositiveDefiniteTransform()
)
