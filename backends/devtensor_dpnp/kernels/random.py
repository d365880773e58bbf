"""Random bits: dpnp's own generators differ between devices, and cannot be set to a state."""

from __future__ import annotations

from typing import Any

from devtensor.ops import random as common

from ..launch import kernel, launch, takes_source, whole, word

PHILOX = """
__kernel void philox(__global uint* out, const ulong count, const ulong offset, const uint stream,
                     const uint key0, const uint key1) {
    ulong i = get_global_id(0), place = i + offset;
    uint c0 = (uint)place, c1 = (uint)(place >> 32), c2 = stream, c3 = 0, k0 = key0, k1 = key1;
    for (int round = 0; round < 10; round++) {
        uint h0 = mul_hi(0xD2511F53u, c0), l0 = 0xD2511F53u * c0;
        uint h1 = mul_hi(0xCD9E8D57u, c2), l1 = 0xCD9E8D57u * c2;
        c0 = h1 ^ c1 ^ k0; c1 = l1; c2 = h0 ^ c3 ^ k1; c3 = l0;
        k0 += 0x9E3779B9u; k1 += 0xBB67AE85u;
    }
    uint words[4] = {c1, c0, c3, c2};
    for (int j = 0; j < 4; j++) if (4 * i + j < count) out[4 * i + j] = words[j];
}"""


def philox(xp: Any, /, count: int, seed: int, offset: int, stream: int = 0) -> Any:
    """Random 32-bit words, in one pass over the memory."""
    out = xp.empty((count,), dtype=xp.uint32)
    if not takes_source(out):
        return common.philox.op.kernel(xp, count, seed, offset, stream)
    queue = out.sycl_queue
    run = kernel(queue, PHILOX, "philox")
    keys = word(seed & common.LOW), word(seed >> 32)
    launch(queue, run, [out, whole(count), whole(offset), word(stream), *keys], (-(-count // 4),))
    return out


KERNELS = {"philox": philox}
