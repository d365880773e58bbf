"""Operators of one's own by name (``torch.library``)."""

from __future__ import annotations

from devtensor.refusal import refused

__all__ = [
    "Library",
    "custom_op",
    "define",
    "get_ctx",
    "impl",
    "opcheck",
    "register_autocast",
    "register_autograd",
    "register_fake",
    "register_kernel",
    "register_torch_dispatch",
    "register_vmap",
    "triton_op",
    "wrap_triton",
]

WHY = (
    "there is no dispatcher to enter operators in; write an autograd.Function, or an operation of "
    "the catalogue by devtensor.op.op"
)

Library = refused("library.Library", WHY)
custom_op = refused("library.custom_op", WHY)
triton_op = refused("library.triton_op", WHY)
wrap_triton = refused("library.wrap_triton", WHY)
define = refused("library.define", WHY)
impl = refused("library.impl", WHY)
get_ctx = refused("library.get_ctx", WHY)
opcheck = refused("library.opcheck", WHY)
register_fake = refused("library.register_fake", WHY)
register_kernel = refused("library.register_kernel", WHY)
register_autograd = refused("library.register_autograd", WHY)
register_autocast = refused("library.register_autocast", WHY)
register_vmap = refused("library.register_vmap", WHY)
register_torch_dispatch = refused("library.register_torch_dispatch", WHY)
