"""Operations on tensors of some size beside PyTorch: ``python tests/benchmarks/sizes.py``.

Each call, and then each call with its way back, by both libraries in turn in one process; a ratio
is that of the shortest times. Both use as many threads as they may. The slowest ones are shown.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from statistics import median

TARGET = 2.0
SECONDS = 0.004
"""In a block."""


def inputs(lib, size):
    """Tensors of one library; those of floats take part in gradients."""
    import numpy as np

    random = np.random.default_rng(0)

    def floats(*shape, low=None):
        array = random.standard_normal(shape).astype(np.float32)
        if low is not None:
            array = np.abs(array) + np.float32(low)
        return lib.from_numpy(array).requires_grad_()

    edge = max(4, size // 8)
    found = {
        "x": floats(size, size), "y": floats(size, size), "p": floats(size, size, low=0.1),
        "v": floats(size), "im": floats(8, 16, edge, edge), "w": floats(16, 16, 3, 3),
        "i": lib.from_numpy(random.integers(0, size, (size,))),
        "j": lib.from_numpy(random.integers(0, size, (size, size))),
        "b": lib.from_numpy(random.random((size, size)) > 0.5),
    }  # fmt: skip
    found["u"] = found["p"].detach() % 1
    return {**found, "t": lib, "F": lib.nn.functional, "n": size}


CALLS = """
x + y|x * v|x * v[:, None]|x / p|x ** 3|-x|x > y|t.maximum(x, y)|x.clamp(-1, 1)|t.lerp(x, y, 0.3)
p.exp()|p.log()|p.sqrt()|p.rsqrt()|x.sin()|x.tanh()|x.sigmoid()|x.erf()|p.log1p()|x.expm1()|x.abs()
x.sign()|x.square()|t.atan2(x, y)|p ** 1.5
F.relu(x)|F.leaky_relu(x)|F.relu6(x)|F.hardtanh(x)|F.hardswish(x)|F.elu(x)|F.selu(x)|F.gelu(x)
F.silu(x)|F.mish(x)|F.softplus(x)|F.logsigmoid(x)
x.softmax(1)|x.log_softmax(1)|x.softmax(0)|x.logsumexp(1)
x.sum()|x.sum(0)|x.sum(1)|x.mean(1)|x.var(1)|x.norm(dim=1)|x.amax(1)|x.max(0)[0]|x.argmax(1)
x.cumsum(0)|x.cumsum(1)|x.prod(1)|x.median(1)[0]|x.sort(1)[0]|x.topk(3, 1)[0]
t.where(b, x, y)|x.masked_fill(b, 0.0)|x[b]|x[i]|x[:, i]|x.gather(1, j)|x.scatter_add(1, j, y)
x.index_add(0, i, y)|x.nonzero()|t.cat([x, y], 1)|t.stack([x, y])|x.t().contiguous()|x + x.t()
x.flip(0)|x.roll(3, 1)|x.tril()|F.one_hot(i)|F.pad(im, (1, 1, 1, 1))
im.permute(0, 2, 3, 1).contiguous()
x @ y|x @ v|F.linear(x, y, v)|t.einsum("ij,kj->ik", x, y)
F.layer_norm(x, (n,), v, v)|F.rms_norm(x, (n,), v)|F.batch_norm(im, None, None, training=True)
F.group_norm(im, 4)|F.conv2d(im, w, padding=1)|F.conv2d(im, w[:, :1], padding=1, groups=16)
F.conv_transpose2d(im, w, stride=2)|F.max_pool2d(im, 2)|F.avg_pool2d(im, 2)|im.mean((2, 3))
F.interpolate(im, scale_factor=2)|F.dropout(x, 0.5)|F.embedding(i, x)|F.normalize(x)
F.cross_entropy(x, i)|F.mse_loss(x, y)|F.smooth_l1_loss(x, y)|F.cosine_similarity(x, y)
F.binary_cross_entropy_with_logits(x, u)
t.zeros(n, n)|t.arange(n * n)|t.rand(n, n)|t.randn(n, n)|t.randint(0, 10, (n, n))|t.randperm(n * n)
x.half()|x.double()|x.long()|j + j|j // 3|j.sum(1)|b & b|b.sum(1)
"""


def calls():
    """The calls, as they are written."""
    return [call for line in CALLS.strip().splitlines() for call in line.split("|")]


def made(lib, names, text, back):
    """A call of one library, with its way back if there is one; None if that is wanted and is not.

    The leaves are those tensors that have gradients.
    """
    run = eval(f"lambda: {text}", names)
    leaves = [x for x in names.values() if getattr(x, "requires_grad", False)]
    if not back:

        def forth():
            with lib.no_grad():
                return run()

        return forth
    result = run()
    if not result.requires_grad:
        return None
    slope = lib.ones_like(result.detach())

    def both():
        for leaf in leaves:
            leaf.grad = None
        run().backward(slope)

    return both


def seconds(functions, rounds):
    """The shortest times of functions that take turns."""
    counts = []
    for function in functions:
        function()
        begun = time.perf_counter()
        function()
        counts.append(max(1, math.ceil(SECONDS / max(time.perf_counter() - begun, 1e-7))))
    found = [math.inf] * len(functions)
    for _ in range(rounds):
        for place, (function, count) in enumerate(zip(functions, counts, strict=True)):
            begun = time.perf_counter()
            for _ in range(count):
                function()
            found[place] = min(found[place], (time.perf_counter() - begun) / count)
    return found


def compare(libraries, size, back, rounds):
    """By call: the ratio, and both times."""
    names = [inputs(lib, size) for lib in libraries]
    found = {}
    for text in calls():
        pair = [made(lib, x, text, back) for lib, x in zip(libraries, names, strict=True)]
        if None not in pair:
            ours, theirs = seconds(pair, rounds)
            found[text] = (ours / theirs, ours, theirs)
    return found


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split(":")[0])
    parser.add_argument("--size", type=int, default=512, help="rows and columns")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--show", type=int, default=25, help="how many of the slowest")
    options = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(options.threads)
    import torch

    import devtensor

    libraries = (devtensor, torch)
    for lib in libraries:
        lib.set_num_threads(options.threads)
    for back in (False, True):
        found = compare(libraries, options.size, back, options.rounds)
        ratios = [ratio for ratio, _, _ in found.values()]
        above = sum(ratio > TARGET for ratio in ratios)
        print(
            f"{'there and back' if back else 'without gradients'}, {options.size} x {options.size},"
            f" {options.threads} threads: median {median(ratios):.2f} x torch, {above} of "
            f"{len(ratios)} above {TARGET:g}"
        )
        slowest = sorted(found.items(), key=lambda item: -item[1][0])
        for text, (ratio, ours, theirs) in slowest[: options.show]:
            print(f"{ratio:8.2f} {ours * 1e6:10.1f} {theirs * 1e6:10.1f} us  {text}")


if __name__ == "__main__":
    main()
