"""PyTorch's way of working, on the array library you have.

One device-agnostic `Tensor` and one tape of derivatives over NumPy, CuPy or dpnp.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

# isort: off
from devtensor import fast as _fast  # makes the forms in which operations are called
from devtensor import ops as _ops  # the catalogue
from devtensor import methods as _methods
from devtensor import protocols as _protocols
from devtensor import look as _look
from devtensor import members as _members
from devtensor import scarce as _scarce
from devtensor import neighbours as _neighbours
from devtensor.autograd import ontensor as _ontensor
from devtensor.autograd.anomaly import (
    is_anomaly_check_nan_enabled,
    is_anomaly_enabled,
    set_anomaly_enabled,
)
from devtensor.autograd.mode import is_grad_enabled, is_inference_mode_enabled
from devtensor.autograd.modes import enable_grad, inference_mode, no_grad, set_grad_enabled
from devtensor.errors import (
    DevtensorWarning,
    OutOfMemoryError,
    UntrackedViewWarning,
    UnusedModeWarning,
)
from devtensor.ledger import ledger
from devtensor.host import as_tensor, asarray, from_dlpack, from_numpy, frombuffer, tensor
from devtensor.op import catalogue as _catalogue
from devtensor.op import in_place as _in_place
from devtensor.ops.convert import detach
from devtensor.printing import set_printoptions
from devtensor.queries import *
from devtensor.size import Size
from devtensor.tensor import Tensor


def _shelf() -> dict[str, Any]:
    """The catalogue's public names at the top of the package."""
    shelf: dict[str, Any] = {}
    for entry in _catalogue.values():
        if entry.public and entry.home == "":
            for name in (entry.name, *entry.aliases):
                shelf[name] = entry.function
                if entry.op is not None and entry.op.inplace and len(entry.op.inputs) == 1:
                    shelf[f"{name}_"] = _in_place(entry.function)
    return shelf


globals().update(_shelf())

# The classes hide the modules of their names, so they come after all that reads those.
from devtensor.device import device, get_default_device, set_default_device
from devtensor.dtype import (
    bfloat16, can_cast, complex64, complex128, dtype, float16, float32, float64,
    get_default_dtype, int8, int16, int32, int64, promote_types, set_default_dtype, uint8, uint16,
    uint32, uint64,
)  # fmt: skip
from devtensor.dtype import bool_ as bool

from math import e, inf, nan, pi

newaxis = None
half, double, cfloat, cdouble, short, long = float16, float64, complex64, complex128, int16, int64
float, int = float32, int32

from devtensor import (
    accelerator,
    autograd,
    linalg,
    nn,
    optim,
    random,
    serialization,
    special,
    utils,
    xpu,
)
from devtensor.random import (
    Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state,
)  # fmt: skip
from devtensor.serialization import load, save
from devtensor.settings import *
from devtensor.legacy import *
from devtensor.later import find as __getattr__
# isort: on
