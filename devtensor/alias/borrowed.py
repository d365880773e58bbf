"""PyTorch's own helpers of tests (``torch.testing._internal``), from its files if it is installed.

Its test files, and those that libraries wrote after them, begin by importing these. They are Python
and know PyTorch by its public names, but for a few, which are put in place before the first one.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import devtensor
from devtensor.dtype import NAMES, dtype
from devtensor.refusal import QUANTIZED, absent, refused
from devtensor.tensor import Tensor

__all__ = ["borrowed"]

LENT = ("torch.testing._", "torch.utils._import_utils", "torch.utils._dtype_abbrs",
        "torch._vendor")  # fmt: skip
"""How the names of the modules begin that are taken from PyTorch's files."""

INSTRUCTIONS = [f"_is_{name}_supported" for name in ("avx2", "avx512", "amx_tile", "vnni")]
"""Questions about the processor: what depends on it in PyTorch does not here."""

OWN = str(Path(__file__).parent)
QUANTIZATION = ("ao", "ao.nn", *[f"ao.nn.{name}" for name in (
    "qat", "qat.modules", "quantizable", "quantizable.modules", "quantized", "quantized.modules",
)])  # fmt: skip
"""Packages whose layers the helpers list: none, here."""

REFERENCES = ("_refs", "_refs.fft", "_refs.linalg", "_refs.nn", "_refs.nn.functional",
              "_refs.special", "_refs._conversions")  # fmt: skip
"""Parts of PyTorch's compiler that the helpers' database of operations names."""

SCHEMES = ("qscheme", "per_tensor_affine", "per_tensor_symmetric", "per_channel_affine",
           "per_channel_symmetric", "per_channel_affine_float_qparams")  # fmt: skip
"""Ways of quantizing, which the helpers list."""

TYPES = {
    "complex": ("complex32",),
    "float": ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
              "float8_e8m0fnu", "float4_e2m1fn_x2"),
    "int": ("qint8", "quint8", "qint32", "quint4x2", "quint2x4"),
}  # fmt: skip
"""Types that the helpers list among the others, by kind; no tensor here is of one of them."""

INNER = ("_chunk_cat", "_native_batch_norm_legit", "_scaled_mm", "_scaled_mm_v2",
         "_softmax_backward_data", "_unsafe_masked_index",
         "_unsafe_masked_index_put_accumulate")  # fmt: skip
"""Functions within PyTorch's own ones, which the helpers' database of operations names."""

ATEN = ("_batch_norm_with_update", "_efficient_attention_forward", "_flash_attention_forward",
        "_softmax_backward_data", "_safe_softmax", "copy", "max_pool2d_with_indices_backward",
        "native_dropout_backward", "slice")  # fmt: skip

INSIDE = "it is within PyTorch's own functions"

loaded: dict[str, ModuleType] = {}
prepared: list[str] = []


def borrowed(name: str) -> ModuleType | None:
    """A module of PyTorch's helpers of tests; None if it is no such one, or PyTorch is not there.

    Parameters
    ----------
    name : str
        Such as ``"torch.testing._internal.common_utils"``.
    """
    if name in loaded:
        return loaded[name]
    if not name.startswith(LENT):
        return None
    spec = PathFinder.find_spec("torch", [place for place in sys.path if place != OWN])
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0], *name.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not file.is_file():
        return None
    from devtensor.alias import counterpart

    if not prepared:
        prepared.append(name)
        prepare(counterpart)
    inner = [str(path)] if path.is_dir() else None
    made = spec_from_file_location(name, file, submodule_search_locations=inner)
    assert made is not None and made.loader is not None
    module = module_from_spec(made)
    outer, _, last = name.rpartition(".")
    loaded[name] = sys.modules[name] = module
    try:
        made.loader.exec_module(module)
    except BaseException:
        del loaded[name]
        raise
    finally:
        del sys.modules[name]  # what imports it would find its own loader there, and run it again
    setattr(counterpart(outer), last, module)
    return module


def prepare(counterpart: Callable[[str], ModuleType]) -> None:
    """Put in place what the helpers ask PyTorch for at once and is nowhere else here."""
    for place, names in private().items():
        try:
            module = import_module(f"devtensor.{place}".rstrip("."))
        except ModuleNotFoundError:
            outer, _, last = place.rpartition(".")
            module = ModuleType(f"devtensor.{place}")
            sys.modules[module.__name__] = module
            setattr(import_module(f"devtensor.{outer}".rstrip(".")), last, module)
        for name, value in names.items():
            if not hasattr(module, name):
                setattr(module, name, value)
    for kind, types in TYPES.items():
        for name in types:
            NAMES[name] = dtype(name, kind, 1, name)
            setattr(devtensor, name, NAMES[name])
    for name in ATEN:
        made = refused(f"ops.aten.{name}", INSIDE)
        made.default = made.Tensor = made
        setattr(devtensor.ops.aten, name, made)
    for name in (*REFERENCES, *QUANTIZATION):
        outer, _, last = name.rpartition(".")
        missing: Any = absent(name)
        missing.__all__ = []
        setattr(counterpart(f"torch.{outer}".rstrip(".")), last, missing)
        sys.modules[f"torch.{name}"] = missing
    vars(devtensor)["chalf"] = NAMES["complex32"]
    for name in ("_comparison", "_creation", "_utils"):
        import_module(f"torch.testing.{name}")


def private() -> dict[str, dict[str, Any]]:
    """By modules: their names and values."""
    from devtensor.backends import cpu
    from devtensor.nn import modules

    modules.__name__ = "torch.nn.modules"
    layers = [k for k, v in vars(modules).items() if isinstance(v, type) and k[0] != "_"]
    why = "programs run as they are; compile nothing"
    scripts = ("ScriptDict", "ScriptFunction", "ScriptList", "ScriptMethod")
    return {
        "": {
            **{name: refused(name, QUANTIZED) for name in SCHEMES},
            **{name: refused(name, INSIDE) for name in INNER},
            "_disable_dynamo": lambda fn=None, recursive=True: fn or (lambda given: given),
        },
        "cuda.jiterator": dict.fromkeys(
            ("_create_jit_fn", "_create_multi_output_jit_fn"),
            lambda *code, **options: refused("cuda.jiterator", "kernels are the array library's"),
        ),
        "autograd.gradcheck": {
            "_get_numerical_jacobian": numerical_jacobian,
            "_iter_tensors": tensors_in,
        },
        "backends.python_native": {"available_dsls": (), "all_dsls": ()},
        "backends.xnnpack": {"enabled": False},
        "backends": {"disable_global_flags": lambda: None},
        "cpu": {
            "get_capabilities": dict,
            **dict.fromkeys(INSTRUCTIONS, lambda: False),
        },
        "_C": {
            **{name: refused(f"jit.{name}", why) for name in scripts},
            "_get_cpu_capability": cpu.get_cpu_capability,
            "_get_privateuse1_backend_name": lambda: "privateuseone",
            "_TorchFunctionState": SimpleNamespace(
                ENABLED=0, SUBCLASSES_DISABLED=1, ALL_DISABLED=2
            ),
            "_get_torch_function_state": lambda: 0,
            "_set_torch_function_state": lambda state: None,
            "_len_torch_function_stack": lambda: 0,
            "_DisableFuncTorch": nullcontext,
            "has_lapack": True,
            "has_spectral": True,
            "_get_graph_executor_optimize": lambda *value: False,
        },
        "_logging": {"__path__": []},
        "_logging.scribe": {"open_source_signpost": lambda **about: None},
        "_utils": {"_is_privateuse1_backend_available": lambda: False},
        "utils._triton": dict.fromkeys(("has_triton", "has_triton_package"), lambda: False),
        "_utils_internal": {"get_writable_path": writable},
        "nn": {"Container": refused("nn.Container", "use nn.Module")},
        "nn.modules": {"__all__": layers},
        "_dynamo.config": {"compiled_autograd": False, "suppress_errors": False},
        "utils._mode_utils": {"no_dispatch": nullcontext},
        "overrides": {"enable_reentrant_dispatch": lambda: None},
    }


def tensors_in(value: Any, only_requiring_grad: bool = False) -> Iterator[Tensor]:
    """The tensors in a tensor, or in what is nested around some."""
    if isinstance(value, Tensor):
        if value.requires_grad or not only_requiring_grad:
            yield value
    elif isinstance(value, Iterable) and not isinstance(value, str):
        for part in value:
            yield from tensors_in(part, only_requiring_grad)


def numerical_jacobian(
    fn: Callable[..., Any],
    inputs: Any,
    outputs: Any = None,
    target: Any = None,
    eps: float = 1e-3,
    is_forward_ad: bool = False,
) -> tuple[Any, ...]:
    """For each input, or each target, the Jacobians of all outputs by finite differences."""
    from devtensor.autograd.jacobians import as_tuple, numerical

    given = as_tuple(inputs)
    wanted = tuple(tensors_in(given if target is None else target, True))
    call = lambda *_: fn(*given)  # noqa: E731  # which sees the changes that are made in place
    return tuple(tuple(numerical(call, wanted, place, eps)) for place in range(len(wanted)))


def writable(path: str) -> str:
    """The path, or that of a new folder if it cannot be written to."""
    return path if os.access(path, os.W_OK) else tempfile.mkdtemp(suffix=os.path.basename(path))
