"""The base class of distributions."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import devtensor as dt
from devtensor.distributions import constraints
from devtensor.distributions.utils import lazy_property
from devtensor.size import Size
from devtensor.tensor import Tensor

__all__ = ["Distribution"]


class Distribution:
    """A probability distribution, or a batch of them.

    A sample has the shape ``sample_shape + batch_shape + event_shape``: how many are drawn, how
    many distributions there are, and what one event looks like.

    Parameters
    ----------
    batch_shape : Size
    event_shape : Size
    validate_args : bool, optional
        Whether parameters and values are checked against their constraints. By default they are,
        unless Python runs with ``-O``; see `set_default_validate_args`.

    Raises
    ------
    ValueError
        If a parameter lies outside its constraint.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Distribution, constraints
    >>> class Coin(Distribution):
    ...     arg_constraints = {"p": constraints.unit_interval}
    ...     support = constraints.boolean
    ...     def __init__(self, p):
    ...         self.p = p
    ...         super().__init__(p.shape)
    ...     def log_prob(self, value):
    ...         return dt.where(value == 1, self.p, 1 - self.p).log()
    >>> Coin(dt.tensor([0.5, 0.25])).log_prob(dt.tensor([0.0, 1.0]))
    tensor([-0.6931, -1.3863])
    """

    has_rsample: Any = False
    """Whether samples have gradients: whether there is `rsample`."""
    has_enumerate_support: Any = False
    """Whether there is `enumerate_support`."""
    _validate_args = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Turn validation on or off for the distributions that do not say.

        Raises
        ------
        ValueError
            If `value` is neither True nor False.
        """
        if value not in (True, False):
            raise ValueError(f"validate_args is True or False, not {value!r}")
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Sequence[int] = Size(),
        event_shape: Sequence[int] = Size(),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._validate_parameters()

    def _validate_parameters(self) -> None:
        try:
            found = self.arg_constraints
        except NotImplementedError:
            warnings.warn(
                f"{type(self)} does not define `arg_constraints`. Please set `arg_constraints = "
                "{}` or initialize the distribution with `validate_args=False` to turn off "
                "validation.",
                stacklevel=3,
            )
            return
        for name, constraint in found.items():
            computed = isinstance(getattr(type(self), name, None), lazy_property)
            if constraints.is_dependent(constraint) or (computed and name not in self.__dict__):
                continue
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                    f"{constraint!r}, but found invalid values:\n{value}"
                )

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> Any:
        """The same distribution with a larger batch, whose parameters share memory with these.

        Parameters
        ----------
        batch_shape : sequence of int
            A shape that `batch_shape` broadcasts to.

        Raises
        ------
        NotImplementedError
            If the class has a constructor of its own, and no method `expand`.
        """
        # A family of ours has its parameters in attributes of the names of its constraints, and
        # other distributions whose batch begins with its own; whatever else it has stays.
        family = next(
            kind for kind in type(self).__mro__ if kind.__module__.startswith(f"{__package__}.")
        )
        if family.__init__ is Distribution.__init__:  # type: ignore[misc]
            raise NotImplementedError(f"{type(self).__name__} does not implement expand")
        new = self._get_checked_instance(family, _instance)
        size, parameters = Size(batch_shape), self._parameters()
        for name, value in self.__dict__.items():
            if name in new.__dict__:
                continue
            if name in parameters and isinstance(value, Tensor):
                value = value.expand(size + value.shape[value.ndim - parameters[name] :])
            elif isinstance(value, Distribution):
                own, inner = self._batch_shape, value.batch_shape
                if inner[: len(own)] == own:
                    value = value.expand(size + inner[len(own) :])
            elif isinstance(getattr(type(self), name, None), lazy_property):
                continue
            new.__dict__[name] = value
        new._batch_shape = size
        return new

    def _parameters(self) -> dict[str, int]:
        """The names of the parameters, and how many dimensions one value of each has."""
        found = {}
        for kind in reversed(type(self).__mro__):
            own = kind.__dict__.get("arg_constraints")
            if isinstance(own, property) and kind is not Distribution:
                own = own.fget(self) if own.fget is not None else None
            if isinstance(own, dict):
                found.update({name: constraint.event_dim for name, constraint in own.items()})
        return found

    @property
    def batch_shape(self) -> Size:
        """The shape of the distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one event."""
        return self._event_shape

    @property
    def arg_constraints(self) -> Any:
        """A constraint to each parameter, by name."""
        raise NotImplementedError

    @property
    def support(self) -> Any:
        """The constraint that samples satisfy."""
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The expectation."""
        raise NotImplementedError

    @property
    def mode(self) -> Tensor:
        """The most likely value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self) -> Tensor:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Tensor:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draw samples of shape ``sample_shape + batch_shape + event_shape``, without gradients."""
        with dt.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = Size()) -> Tensor:
        """Draw samples through which gradients reach the parameters."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Tensor:
        """Draw `n` samples; ``sample((n,))`` does the same."""
        warnings.warn(
            "`sample_n(n)` will be deprecated. Use `sample((n,))` instead.",
            FutureWarning,
            stacklevel=2,
        )
        return self.sample((n,))

    def log_prob(self, value: Tensor) -> Tensor:
        """The logarithm of the density, or of the probability, of each event in `value`."""
        raise NotImplementedError

    def cdf(self, value: Tensor) -> Tensor:
        """The probability of being at most `value`."""
        raise NotImplementedError

    def icdf(self, value: Tensor) -> Tensor:
        """The inverse of `cdf`."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """All possible values along a first dimension, for each of the batch if `expand`."""
        raise NotImplementedError

    def entropy(self) -> Tensor:
        """The entropy, of each distribution of the batch."""
        raise NotImplementedError

    def perplexity(self) -> Tensor:
        """The exponential of the entropy."""
        return dt.exp(self.entropy())

    def _extended_shape(self, sample_shape: Sequence[int] = Size()) -> Size:
        """The shape of samples."""
        return Size(sample_shape) + self._batch_shape + self._event_shape

    def _check_sample(self, value: Any) -> None:
        """Validate `value` if that is wanted."""
        if self._validate_args:
            self._validate_sample(value)

    def _validate_sample(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise ValueError(
                "The value argument to log_prob must be a Tensor, and it is a "
                f"{type(value).__name__}"
            )
        size = value.shape
        if size[len(size) - len(self._event_shape) :] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {size} vs "
                f"{self._event_shape}."
            )
        expected = self._batch_shape + self._event_shape
        for i, j in zip(reversed(size), reversed(expected), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{size} vs {expected}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{type(self)} does not define `support` to enable sample validation. Please "
                "initialize the distribution with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        if not support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(size)}) to be "
                f"within the support ({support!r}) of the distribution {self!r}, but found "
                f"invalid values:\n{value}"
            )

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        """A blank object for `expand`, which knows the parameters of `cls` only."""
        if _instance is None and type(self).__init__ is not cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ "
                "method must also define a custom .expand() method."
            )
        return self.__new__(type(self)) if _instance is None else _instance

    def __repr__(self) -> str:
        own = self.__dict__
        shown = [
            f"{name}: {own[name] if own[name].numel() == 1 else own[name].shape}"
            for name in self.arg_constraints
            if name in own
        ]
        return f"{type(self).__name__}({', '.join(shown)})"
