"""Divergences of Kullback and Leibler, by the classes of two distributions."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from devtensor.distributions.distribution import Distribution
from devtensor.distributions.exp_family import ExponentialFamily
from devtensor.distributions.utils import _sum_rightmost
from devtensor.tensor import Tensor

__all__ = ["kl_divergence", "register_kl"]

_REGISTRY: dict[tuple[type, type], Callable[[Any, Any], Tensor]] = {}
_FOUND: dict[tuple[type, type], Any] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """Make a decorator for the function that finds the divergence of two classes.

    It is used for their subclasses, too, unless there is one for a closer pair. If for one pair the
    closest first class and the closest second class belong to different functions, a warning asks
    to register one for both.

    Parameters
    ----------
    type_p, type_q : type
        Subclasses of `Distribution`.

    Raises
    ------
    TypeError
        If they are not.

    Examples
    --------
    >>> import devtensor as dt
    >>> from devtensor.distributions import Normal, kl_divergence, register_kl
    >>> class Fixed(Normal):
    ...     pass
    >>> @register_kl(Fixed, Fixed)
    ... def kl_fixed(p, q):
    ...     return ((p.loc - q.loc) / q.scale).pow(2) / 2
    >>> kl_divergence(Fixed(0.0, 1.0), Fixed(2.0, 1.0))
    tensor(2.)
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(kind, type):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind!r}")

    def decorator(function: Any) -> Any:
        _REGISTRY[type_p, type_q] = function
        _FOUND.clear()
        return function

    return decorator


def _closest(type_p: type, type_q: type) -> Any:
    """The function of the closest pair of base classes; None if there is none."""
    pairs = [(p, q) for p, q in _REGISTRY if issubclass(type_p, p) and issubclass(type_q, q)]
    if not pairs:
        return None
    order_p, order_q = type_p.__mro__.index, type_q.__mro__.index
    by_p = min(pairs, key=lambda pair: (order_p(pair[0]), order_q(pair[1])))
    by_q = min(pairs, key=lambda pair: (order_q(pair[1]), order_p(pair[0])))
    if _REGISTRY[by_p] is not _REGISTRY[by_q]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). Please "
            f"register_kl({by_p[0].__name__}, {by_q[1].__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _REGISTRY[by_p]


def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """How much longer messages from `p` get in a code made for `q`: ``E_p[log p(x) - log q(x)]``.

    Parameters
    ----------
    p, q : Distribution

    Returns
    -------
    Tensor
        Of the shape of the batch.

    Raises
    ------
    NotImplementedError
        If no formula is known for them; see `register_kl`.

    Examples
    --------
    >>> from devtensor.distributions import Normal, kl_divergence
    >>> kl_divergence(Normal(0.0, 1.0), Normal(1.0, 1.0))
    tensor(0.5000)
    """
    pair = type(p), type(q)
    if pair not in _FOUND:
        _FOUND[pair] = _closest(*pair)
    function = _FOUND[pair]
    if function is None:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type "
            f"{type(q).__name__}"
        )
    return function(p, q)


@register_kl(ExponentialFamily, ExponentialFamily)
def _kl_expfamily_expfamily(p: ExponentialFamily, q: ExponentialFamily) -> Tensor:
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot be computed "
            f"using Bregman divergences: {type(p).__name__} and {type(q).__name__}"
        )
    natural, normalizer, means = p._moments()
    other = q._natural_params
    result = q._log_normalizer(*other) - normalizer
    for mine, theirs, mean in zip(natural, other, means, strict=True):
        term = (theirs - mine) * mean
        result = result - _sum_rightmost(term, term.ndim - result.ndim)
    return result
