"""Options of the compiler, which can be set and have no effect (``torch._dynamo.config``)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["patch"]

accumulated_cache_size_limit = accumulated_recompile_limit = 256
cache_size_limit = recompile_limit = 8
assume_static_by_default = True
automatic_dynamic_shapes = True
inline_inbuilt_nn_modules = True
optimize_ddp = True
specialize_float = False
specialize_int = False
allow_unspec_int_on_nn_module = False
capture_dynamic_output_shape_ops = False
capture_scalar_outputs = False
error_on_recompile = False
fail_on_recompile_limit_hit = False
force_parameter_static_shapes = True
force_unspec_int_unbacked_size_like_on_torchrec_kjt = False
suppress_errors = False
verbose = False


@contextmanager
def patch(arg1: Any = None, arg2: Any = None, **kwargs: Any) -> Iterator[None]:
    """A block, or a decorated function, within which options are others.

    Parameters
    ----------
    arg1 : str or dict, optional
        An option's name, whose value is `arg2`, or options with their values.
    **kwargs
        Options.

    Raises
    ------
    AttributeError
        If there is no such option.

    Examples
    --------
    >>> import devtensor as dt
    >>> with dt._dynamo.config.patch(verbose=True):
    ...     print(dt._dynamo.config.verbose)
    True
    """
    changes = {arg1: arg2} if isinstance(arg1, str) else {**(arg1 or {}), **kwargs}
    options = sys.modules[__name__]
    before = {name: getattr(options, name) for name in changes}
    for name, value in changes.items():
        setattr(options, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(options, name, value)
