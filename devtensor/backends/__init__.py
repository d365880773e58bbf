"""What PyTorch's own libraries are asked for (``torch.backends``): none of them is here.

Each is a module that says so. Its flags can be read and set, and change nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

__all__ = [
    "cpu",
    "cuda",
    "cudnn",
    "mha",
    "mkl",
    "mkldnn",
    "mps",
    "nnpack",
    "openmp",
    "opt_einsum",
    "quantized",
]


def _absent(name: str, **flags: Any) -> Any:
    """A library that is not available, with the flags that programs set."""
    made = ModuleType(f"{__name__}.{name}", f"Says that {name} is not here.")

    @contextlib.contextmanager
    def set_for_a_block(**changed: Any) -> Iterator[None]:
        """Set flags inside a block; they change nothing there, either."""
        before = {key: getattr(made, key, None) for key in changed}
        vars(made).update(changed)
        try:
            yield
        finally:
            vars(made).update(before)

    vars(made).update(
        is_available=lambda: False, is_built=lambda: False, enabled=False, flags=set_for_a_block
    )
    vars(made).update(flags)
    return made


def _switch(name: str, value: bool) -> dict[str, Any]:
    """The two functions that set a way to compute attention and ask for it."""
    now = [value]

    def enable(enabled: bool) -> None:
        now[0] = bool(enabled)

    return {f"enable_{name}": enable, f"{name}_enabled": lambda: now[0]}


@contextlib.contextmanager
def _sdp_kernel(
    enable_flash: bool = True,
    enable_math: bool = True,
    enable_mem_efficient: bool = True,
    enable_cudnn: bool = True,
) -> Iterator[None]:
    """A block in which attention is computed as everywhere: there is one way."""
    yield


def _preferred(name: str) -> Any:
    """A function that takes a preference and says ``default``."""
    return lambda backend=None: f"{name}.Default"


cudnn = _absent(
    "cudnn", benchmark=False, benchmark_limit=10, deterministic=True, allow_tf32=False,
    version=lambda: None, is_acceptable=lambda tensor: False,
)  # fmt: skip
mps = _absent("mps", is_macos_or_newer=lambda major, minor: False)
mkl = _absent("mkl")
mkldnn = _absent("mkldnn", deterministic=True, allow_tf32=False)
openmp = _absent("openmp")
nnpack = _absent("nnpack", set_flags=lambda enabled: (False,))
mha = _absent("mha", get_fastpath_enabled=lambda: False, set_fastpath_enabled=lambda value: None)
opt_einsum = _absent("opt_einsum", strategy=None, get_opt_einsum=lambda: None)
quantized = _absent("quantized", engine="none", supported_engines=["none"])
cpu = _absent("cpu", get_cpu_capability=lambda: "DEFAULT")
cuda = _absent(
    "cuda",
    matmul=_absent(
        "cuda.matmul", allow_tf32=False, allow_fp16_reduced_precision_reduction=False,
        allow_bf16_reduced_precision_reduction=False, fp32_precision="ieee",
    ),
    cufft_plan_cache=_absent("cuda.cufft_plan_cache", size=0, max_size=0, clear=lambda: None),
    sdp_kernel=_sdp_kernel,
    preferred_linalg_library=_preferred("_LinalgBackend"),
    preferred_blas_library=_preferred("_BlasBackend"),
    **_switch("flash_sdp", False), **_switch("mem_efficient_sdp", False),
    **_switch("math_sdp", True), **_switch("cudnn_sdp", False),
)  # fmt: skip
