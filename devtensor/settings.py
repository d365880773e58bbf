"""Settings that PyTorch programs make, most of which have nothing to change here.

Tensors are dense and in row order, and operations give the same numbers each time, but where a
device adds up floats in any order. So most of these functions take what they are given and say
what is true.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

__all__ = [
    "are_deterministic_algorithms_enabled",
    "channels_last",
    "channels_last_3d",
    "compile",
    "contiguous_format",
    "get_deterministic_debug_mode",
    "get_float32_matmul_precision",
    "get_num_interop_threads",
    "get_num_threads",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_vulkan_available",
    "is_warn_always_enabled",
    "jagged",
    "layout",
    "memory_format",
    "preserve_format",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_num_interop_threads",
    "set_num_threads",
    "set_warn_always",
    "sparse_bsc",
    "sparse_bsr",
    "sparse_coo",
    "sparse_csc",
    "sparse_csr",
    "strided",
    "use_deterministic_algorithms",
]


class memory_format:
    """An order of dimensions in memory; only rows are used."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")
channels_last_3d = memory_format("channels_last_3d")


class layout:
    """How a tensor's elements lie in memory."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


strided = layout("strided")
sparse_coo, sparse_csr, sparse_csc = (
    layout("sparse_coo"),
    layout("sparse_csr"),
    layout("sparse_csc"),
)
sparse_bsr, sparse_bsc = layout("sparse_bsr"), layout("sparse_bsc")
jagged = layout("jagged")


def usual_threads() -> int:
    """What the environment asks for, or the processors that this process may use."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        asked = os.environ.get(name, "").split(",")[0]
        if asked.isdigit() and int(asked):
            return int(asked)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


_settings: dict[str, Any] = {"matmul": "highest", "warn": False, "deterministic": 0}
_followers: list[Callable[[int], object]] = []
USUAL_THREADS = usual_threads()


def get_num_threads() -> int:
    """How many threads an operation on the CPU may use.

    At first what ``OMP_NUM_THREADS`` says, or the number of processors.
    """
    threads: int = _settings.get("threads", USUAL_THREADS)
    return threads


def set_num_threads(int: int) -> None:
    """Let operations on the CPU use a number of threads, the caller's own among them.

    Large activations, normalizations, losses, convolutions and attention are shared among them,
    and the library that multiplies matrices is told.

    Raises
    ------
    RuntimeError
        If it is not positive.
    """
    if int <= 0:
        raise RuntimeError(f"set_num_threads expects a positive integer, but got {int}")
    _settings["threads"] = int
    for tell in _followers:
        tell(int)


def follow_threads(tell: Callable[[int], object]) -> None:
    """Have `tell` called with each number of threads set, and with one that was set already."""
    _followers.append(tell)
    if "threads" in _settings:
        tell(_settings["threads"])


def get_num_interop_threads() -> int:
    """1: operations run one after another."""
    return 1


def set_num_interop_threads(int: int) -> None:
    """Accepted and without effect."""


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Add up in a fixed order what ``cuda`` does not: floats that go to the same place of an array.

    All else gives the same numbers each time, so nothing is refused.
    """
    _settings["deterministic"] = 0 if not mode else 1 if warn_only else 2


def are_deterministic_algorithms_enabled() -> bool:
    """Whether it was asked for by `use_deterministic_algorithms`."""
    return bool(_settings["deterministic"])


def get_float32_matmul_precision() -> str:
    """The precision last asked for; products are always computed in full."""
    return str(_settings["matmul"])


def set_float32_matmul_precision(precision: str) -> None:
    """Note a precision; products are always computed in full.

    Raises
    ------
    ValueError
        If it is none of ``"highest"``, ``"high"``, ``"medium"``.
    """
    if precision not in ("highest", "high", "medium"):
        raise ValueError(f"precision must be 'highest', 'high' or 'medium', not {precision!r}")
    _settings["matmul"] = precision


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
    **others: Any,
) -> Any:
    """Return `model` to be run as it is: there is no compiler here (``torch.compile``).

    Parameters
    ----------
    model : callable or Module, optional
        A module gets another one around it, as in PyTorch, so that keys of its ``state_dict`` begin
        with ``_orig_mod``. Without `model` a decorator is returned.
    backend : str or callable
        Without effect, but that one which counts frames counts a function that it is given.
    disable : bool
        Whether a module, too, is returned as it is.
    fullgraph, dynamic, mode, options, others
        Accepted and without effect; others are `name`, `recompile_limit`, `isolate_recompiles` and
        `shapes_spec`.

    Raises
    ------
    RuntimeError
        If both `mode` and `options` are given.
    TypeError
        If another option is.
    """
    known = ("name", "recompile_limit", "isolate_recompiles", "shapes_spec")
    for name in others:
        if name not in known:
            raise TypeError(f"compile() got an unexpected keyword argument {name!r}")
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )

    def as_it_is(function: Any) -> Any:
        if hasattr(backend, "frame_count") and not disable:
            backend.frame_count += 1
        if disable or not hasattr(function, "_parameters"):
            return function
        from devtensor.nn.compiled import OptimizedModule

        return OptimizedModule(function)

    return as_it_is if model is None else as_it_is(model)


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """`use_deterministic_algorithms` by another name.

    Parameters
    ----------
    debug_mode : int or str
        0 or ``"default"``, 1 or ``"warn"``, 2 or ``"error"``; the latter two are the same here.

    Raises
    ------
    TypeError, RuntimeError
        If it is none of these.
    """
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    names = ("default", "warn", "error")
    if debug_mode not in (names if isinstance(debug_mode, str) else range(3)):
        expected = "`default`, `warn`, `error`" if isinstance(debug_mode, str) else "0, 1, or 2"
        raise RuntimeError(
            f"invalid value of debug_mode, expected one of {expected}, but got {debug_mode}"
        )
    _settings["deterministic"] = (
        names.index(debug_mode) if isinstance(debug_mode, str) else int(debug_mode)
    )


def get_deterministic_debug_mode() -> int:
    """0 by default; 1 or 2 after `use_deterministic_algorithms`."""
    return int(_settings["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether it was asked for with ``warn_only``."""
    return _settings["deterministic"] == 1


def set_warn_always(b: bool) -> None:
    """Note whether warnings should be repeated; Python's filters decide."""
    _settings["warn"] = bool(b)


def is_warn_always_enabled() -> bool:
    """What was last asked for; False at first."""
    return bool(_settings["warn"])


def set_flush_denormal(mode: bool) -> bool:
    """False: the array library decides on the smallest numbers."""
    return False


def is_vulkan_available() -> bool:
    """False."""
    return False
