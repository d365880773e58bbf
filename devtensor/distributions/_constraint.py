"""Constraints that are not of numbers: those of other constraints, and those not yet known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import devtensor as dt
from devtensor.tensor import Tensor


class Constraint:
    """A region over which a variable is valid."""

    is_discrete: Any = False
    """Whether the region consists of separate points."""
    event_dim: Any = 0
    """How many of the last dimensions make up one event."""

    def check(self, value: Tensor) -> Tensor:
        """Whether each event lies inside; a tensor of bool."""
        raise NotImplementedError

    def __repr__(self) -> str:
        bounds = ("lower_bound", "upper_bound")
        shown = ", ".join(f"{k}={v}" for k, v in vars(self).items() if k in bounds)
        return f"{type(self).__name__.removeprefix('_')}({shown})"


# ---- of what is not known in advance


class _Dependent(Constraint):
    """A constraint that depends on other parameters, so that nothing can be checked."""

    def __init__(
        self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented
    ) -> None:
        self._is_discrete, self._event_dim = is_discrete, event_dim

    @property
    def is_discrete(self) -> Any:
        return self._known("is_discrete")

    @property
    def event_dim(self) -> Any:
        return self._known("event_dim")

    def _known(self, name: str) -> Any:
        value = getattr(self, f"_{name}")
        if value is NotImplemented:
            raise NotImplementedError(f".{name} cannot be determined statically")
        return value

    def __call__(
        self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented
    ) -> _Dependent:
        return _Dependent(
            is_discrete=self._is_discrete if is_discrete is NotImplemented else is_discrete,
            event_dim=self._event_dim if event_dim is NotImplemented else event_dim,
        )

    def check(self, value: Tensor) -> Tensor:
        raise ValueError("Cannot determine validity of dependent constraint")


class _DependentProperty(property, _Dependent):
    """A property of an object that is a constraint; of the class, a dependent constraint.

    Examples
    --------
    >>> from devtensor.distributions import constraints
    >>> class Below:
    ...     high = 3.0
    ...     @constraints.dependent_property(is_discrete=False, event_dim=0)
    ...     def support(self):
    ...         return constraints.less_than(self.high)
    >>> Below().support, Below.support.event_dim
    (LessThan(upper_bound=3.0), 0)
    """

    def __init__(
        self,
        fn: Callable[[Any], Any] | None = None,
        *,
        is_discrete: Any = NotImplemented,
        event_dim: Any = NotImplemented,
    ) -> None:
        property.__init__(self, fn)
        _Dependent.__init__(self, is_discrete=is_discrete, event_dim=event_dim)

    def __call__(self, fn: Callable[[Any], Any]) -> Any:  # type: ignore[override]
        return _DependentProperty(fn, is_discrete=self._is_discrete, event_dim=self._event_dim)


def is_dependent(constraint: Any) -> bool:
    """Whether a constraint depends on other parameters."""
    return isinstance(constraint, _Dependent)


# ---- of other constraints


def _constraint(value: Any) -> Any:
    if not isinstance(value, Constraint):
        raise AssertionError(
            f"base_constraint must be a Constraint, got {type(value).__name__}: {value!r}"
        )
    return value


def _all(result: Tensor, kept: int) -> Tensor:
    """Whether all are true, for each of the first dimensions."""
    rest = tuple(range(kept, result.ndim))
    return result.all(rest) if rest else result


class _Wrapped(Constraint):
    """A constraint that is made of another one."""

    base_constraint: Any

    @property
    def is_discrete(self) -> Any:
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> Any:
        return self.base_constraint.event_dim


class _IndependentConstraint(_Wrapped):
    """Holds where another constraint holds for all of some more dimensions."""

    def __init__(self, base_constraint: Any, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint = _constraint(base_constraint)
        if not isinstance(reinterpreted_batch_ndims, int) or reinterpreted_batch_ndims < 0:
            raise AssertionError(
                "reinterpreted_batch_ndims must be an int >= 0, got "
                f"{type(reinterpreted_batch_ndims).__name__} {reinterpreted_batch_ndims}"
            )
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    @property
    def event_dim(self) -> Any:
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Tensor:
        result = self.base_constraint.check(value)
        kept = result.ndim - self.reinterpreted_batch_ndims
        if kept < 0:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.ndim}")
        return _all(result, kept)

    def __repr__(self) -> str:
        return f"IndependentConstraint({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamilyConstraint(_Wrapped):
    """Holds where a constraint holds for all components of a mixture.

    Parameters
    ----------
    base_constraint : Constraint
        That of the components, whose last batch dimension numbers them.
    """

    def __init__(self, base_constraint: Any) -> None:
        self.base_constraint = _constraint(base_constraint)

    def check(self, value: Tensor) -> Tensor:
        kept = value.ndim - self.event_dim
        if kept < 0:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.ndim}")
        result = self.base_constraint.check(value.unsqueeze(-1 - self.event_dim))
        return _all(result, kept)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_constraint!r})"


class _Several(Constraint):
    """Constraints for the parts of a tensor along a dimension."""

    cseq: list[Any]
    dim: int

    def __init__(self, cseq: Sequence[Any], dim: int = 0) -> None:
        self.cseq, self.dim = [_constraint(c) for c in cseq], dim

    @property
    def is_discrete(self) -> Any:
        return any(c.is_discrete for c in self.cseq)

    @property
    def event_dim(self) -> Any:
        return max(c.event_dim for c in self.cseq)

    def _check_dim(self, value: Tensor) -> None:
        if not -value.ndim <= self.dim < value.ndim:
            raise AssertionError(
                f"dim {self.dim} out of range for value with {value.ndim} dimensions"
            )


class _Cat(_Several):
    """Parts of several lengths."""

    def __init__(
        self, cseq: Sequence[Any], dim: int = 0, lengths: Sequence[int] | None = None
    ) -> None:
        super().__init__(cseq, dim)
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.cseq):
            raise AssertionError(
                f"lengths ({len(self.lengths)}) must match cseq ({len(self.cseq)})"
            )

    def check(self, value: Tensor) -> Tensor:
        self._check_dim(value)
        checks, start = [], 0
        for constraint, length in zip(self.cseq, self.lengths, strict=True):
            checks.append(constraint.check(value.narrow(self.dim, start, length)))
            start += length
        return dt.cat(checks, self.dim)


class _Stack(_Several):
    """Slices."""

    @property
    def event_dim(self) -> Any:
        dim = super().event_dim
        return dim + (self.dim + dim < 0)

    def check(self, value: Tensor) -> Tensor:
        self._check_dim(value)
        slices = value.unbind(self.dim)
        return dt.stack([c.check(v) for c, v in zip(self.cseq, slices, strict=False)], self.dim)
