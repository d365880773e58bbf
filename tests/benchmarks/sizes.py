"""Operations on tensors of some size beside PyTorch: ``python tests/benchmarks/sizes.py``.

Each call, and then each call with its way back, by both libraries in turn in one process; a ratio
is that of the shortest times. Both use as many threads as they may. The slowest ones are shown.
``--threads 1 --cpu`` tells the kernels from what else the machine does.
"""

from __future__ import annotations

from statistics import median

from beside import clock_of, libraries, parser, turns

TARGET = 2.0
SECONDS = 0.004
"""In a block."""


def inputs(lib, size):
    """Tensors of one library; those of floats take part in gradients."""
    import numpy as np

    random = np.random.default_rng(0)

    def here(array):
        return lib.from_numpy(array).to(lib.get_default_device())

    def floats(*shape, low=None):
        array = random.standard_normal(shape).astype(np.float32)
        if low is not None:
            array = np.abs(array) + np.float32(low)
        return here(array).requires_grad_()

    edge = max(4, size // 8)
    found = {
        "x": floats(size, size), "y": floats(size, size), "p": floats(size, size, low=0.1),
        "v": floats(size), "im": floats(8, 16, edge, edge), "w": floats(16, 16, 3, 3),
        "i": here(random.integers(0, size, (size,))),
        "j": here(random.integers(0, size, (size, size))),
        "b": here(random.random((size, size)) > 0.5),
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
x % p|t.fmod(x, p)|t.hypot(x, y)|p.log2()|p.exp2()|x.floor()|x.tan()|x.atan()|x.sinh()|x.isnan()
t.logaddexp(x, y)|u.logit()|p.lgamma()|p.digamma()|t.addcmul(x, x, y)|x.nan_to_num()|t.xlogy(x, p)
F.hardsigmoid(x)|F.celu(x)|F.softshrink(x)|F.threshold(x, 0, 0)|F.glu(x)|F.prelu(x, v[:1])|x.std()
x.mean()|x.max()|x.amin(0)|x.any(1)|x.norm()|x.cumprod(1)|x.cummax(1)[0]|x.logcumsumexp(1)
x.count_nonzero()|x.nansum()|x.quantile(0.5, 1)|x.diff()|j.unique()|t.histc(x.detach(), 10)
t.searchsorted(v.sort()[0], x)|x.clone()|x.repeat(2, 1)|x.view(-1)|x.t()|x.chunk(2)[0]
x.unbind(0)[0]|x.triu()|x[1:, ::2]|x[..., 0]|x.index_select(0, i)|x.take(j)|x.scatter(1, j, y)
x.index_fill(0, i, 0.0)|x.masked_select(b)|t.meshgrid(v, v, indexing="ij")[0]|t.tril_indices(n, n)
t.eye(n)|t.full((n, n), 2.0)|t.linspace(0, 1, n)|t.zeros_like(x)|t.tensor([1.0, 2.0])
t.bmm(x[None], y[None])|t.addmm(v, x, y)|v @ v|t.outer(v, v)|t.linalg.inv(x + n * t.eye(n))
t.linalg.solve(x + n * t.eye(n), y)|t.cdist(x, y)|t.linalg.cholesky(x @ x.t() + n * t.eye(n))
t.fft.rfft(x).abs()|t.fft.irfft(t.fft.rfft(x))|F.instance_norm(im)
F.conv2d(im, w, stride=2, padding=1)|F.conv2d(im, w[:, :, :1, :1])|F.unfold(im, 3)
F.adaptive_avg_pool2d(im, 1)|F.adaptive_max_pool2d(im, 2)|F.max_pool2d(im, 3, 2, 1)
F.interpolate(im, scale_factor=2, mode="bilinear")|F.pad(im, (1, 1, 1, 1), mode="reflect")
F.pixel_shuffle(im, 2)|F.scaled_dot_product_attention(x[None, None], y[None, None], y[None, None])
F.nll_loss(x, i)|F.l1_loss(x, y)|F.huber_loss(x, y)|F.binary_cross_entropy(x.sigmoid(), u)
F.kl_div(x, u, reduction="sum")|F.gaussian_nll_loss(x, y, p)|F.triplet_margin_loss(x, y, p)
F.cross_entropy(x, i, label_smoothing=0.1)|F.cross_entropy(x, u)|F.pairwise_distance(x, y)|j * x
j.float()|b.float()|(x > 0).sum()|j.exp()|x.sum(1, dtype=t.float64)|x.reshape(shape=(-1,))
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
        return run
    result = run()
    if not result.requires_grad:
        return None
    slope = lib.ones_like(result.detach())

    def both():
        for leaf in leaves:
            leaf.grad = None
        run().backward(slope)

    return both


def compare(both, size, back, rounds, clock):
    """By call: the ratio, and both times."""
    names = [inputs(lib, size) for lib in both]
    found = {}
    for text in calls():
        pair = [made(lib, x, text, back) for lib, x in zip(both, names, strict=True)]
        if None in pair:
            continue
        with both[0].set_grad_enabled(back), both[1].set_grad_enabled(back):
            ours, theirs = map(min, turns(pair, rounds, SECONDS, clock))
        found[text] = (ours / theirs, ours, theirs)
    return found


def main():
    """Measure and print."""
    parsed = parser(__doc__.split(":")[0], 5)
    parsed.add_argument("--size", type=int, default=512, help="rows and columns")
    parsed.add_argument("--show", type=int, default=25, help="how many of the slowest")
    options = parsed.parse_args()
    both = libraries(options)
    clock, measure = clock_of(options, both)
    for back in (False, True):
        found = compare(both, options.size, back, options.rounds, clock)
        ratios = [ratio for ratio, _, _ in found.values()]
        above = sum(ratio > TARGET for ratio in ratios)
        print(
            f"{'there and back' if back else 'without gradients'}, {options.size} x {options.size},"
            f" {measure}: median {median(ratios):.2f} x torch, {above} of "
            f"{len(ratios)} above {TARGET:g}"
        )
        slowest = sorted(found.items(), key=lambda item: -item[1][0])
        for text, (ratio, ours, theirs) in slowest[: options.show]:
            print(f"{ratio:8.2f} {ours * 1e6:10.1f} {theirs * 1e6:10.1f} us  {text}")


if __name__ == "__main__":
    main()
