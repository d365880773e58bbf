"""Steps of training beside PyTorch: ``python tests/benchmarks/networks.py``.

Networks of the usual kinds, small, are trained by both libraries in turn in one process; a ratio is
that of the median times of a step, forth, back and the optimizer's. Both use as many threads as
they may.
"""

from __future__ import annotations

from statistics import median

from beside import clock_of, libraries, parser, turns

SECONDS = 0.06
"""In a block."""


class Networks:
    """The networks of one library, each as a function of a step."""

    def __init__(self, lib):
        import numpy as np

        self.t, self.nn, self.F = lib, lib.nn, lib.nn.functional
        random, device = np.random.default_rng(0), lib.get_default_device()

        def floats(*shape):
            return lib.from_numpy(random.standard_normal(shape).astype("float32")).to(device)

        def numbers(high, *shape):
            return lib.from_numpy(random.integers(0, high, shape)).to(device)

        self.rows, self.classes = floats(128, 784), numbers(10, 128)
        self.images, self.labels = floats(32, 3, 32, 32), numbers(10, 32)
        self.grey, self.letters = floats(16, 1, 32, 32), numbers(200, 32, 50)
        self.series, self.noise = floats(16, 64, 128), floats(64, 16, 1, 1)

    def step(self, model, loss, optimizer="Adam"):
        """A function that takes a step."""
        optimizer = getattr(self.t.optim, optimizer)(model.parameters(), lr=1e-3)

        def call():
            optimizer.zero_grad()
            loss(model).backward()
            optimizer.step()

        call.model = model
        return call

    def classify(self, model, x, labels, optimizer="Adam"):
        """A step of a classifier."""
        return self.step(model, lambda m: self.F.cross_entropy(m(x), labels), optimizer)

    def bent(self, *layers, act="ReLU"):
        """Convolutions, each with its normalization and an activation."""
        nn, found = self.nn, []
        for layer in layers:
            found += [layer, nn.BatchNorm2d(layer.out_channels), getattr(nn, act)()]
        return nn.Sequential(*found)

    def perceptron(self):
        """Three layers."""
        nn = self.nn
        model = nn.Sequential(
            nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )
        return self.classify(model, self.rows, self.classes)

    def autoencoder(self):
        """A variational one."""
        nn, t, F = self.nn, self.t, self.F
        down, up = nn.Linear(784, 400), nn.Linear(20, 400)
        both, back = nn.Linear(400, 40), nn.Linear(400, 784)
        goal = self.rows.sigmoid()

        def loss(model):
            mean, log_var = both(F.relu(down(goal))).chunk(2, 1)
            code = mean + t.randn_like(mean) * (0.5 * log_var).exp()
            found = back(F.relu(up(code))).sigmoid()
            spread = 0.5 * (1 + log_var - mean**2 - log_var.exp()).sum()
            return F.binary_cross_entropy(found, goal, reduction="sum") - spread

        return self.step(nn.ModuleList([down, up, both, back]), loss)

    def residual(self):
        """Convolutions with short cuts."""
        nn, F, bent = self.nn, self.F, self.bent

        class Block(nn.Module):
            def __init__(self, old, new, stride):
                super().__init__()
                self.first = bent(nn.Conv2d(old, new, 3, stride, 1, bias=False))
                self.second = nn.Sequential(
                    nn.Conv2d(new, new, 3, 1, 1, bias=False), nn.BatchNorm2d(new)
                )
                self.short = nn.Conv2d(old, new, 1, stride, bias=False)

            def forward(self, x):
                return F.relu(self.second(self.first(x)) + self.short(x))

        model = nn.Sequential(
            bent(nn.Conv2d(3, 16, 3, 1, 1)), Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
        )  # fmt: skip
        return self.classify(model, self.images, self.labels, "SGD")

    def by_depth(self):
        """Convolutions of each channel by itself, between such of single places."""
        nn, old = self.nn, 16
        layers = [self.bent(nn.Conv2d(3, old, 3, 2, 1), act="Hardswish")]
        for new in (16, 24, 40):
            wide = 3 * old
            layers += [
                self.bent(
                    nn.Conv2d(old, wide, 1, bias=False),
                    nn.Conv2d(wide, wide, 3, 2, 1, groups=wide, bias=False),
                    act="Hardswish",
                ),
                nn.Conv2d(wide, new, 1, bias=False),
                nn.BatchNorm2d(new),
            ]
            old = new
        model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(old, 10))
        return self.classify(model, self.images, self.labels)

    def hourglass(self):
        """Images to images, by a way through smaller ones and one beside it."""
        nn, t, F = self.nn, self.t, self.F

        def level(old, new):
            return nn.Sequential(nn.Conv2d(old, new, 3, padding=1), nn.GroupNorm(4, new), nn.SiLU())

        first, second, third = level(1, 16), level(16, 32), level(32, 16)
        up, last = nn.ConvTranspose2d(32, 16, 2, 2), nn.Conv2d(16, 1, 1)

        def loss(model):
            large = first(self.grey)
            small = second(F.max_pool2d(large, 2))
            found = last(third(t.cat([up(small), large], 1)))
            return F.mse_loss(found, self.grey)

        return self.step(nn.ModuleList([first, second, third, up, last]), loss)

    def generator(self):
        """Images from noise."""
        nn = self.nn
        model = nn.Sequential(
            nn.ConvTranspose2d(16, 64, 4), nn.BatchNorm2d(64), nn.ReLU(True),
            nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU(True),
            nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip
        return self.step(model, lambda m: m(self.noise).square().mean())

    def recurrent(self):
        """A language model of long short-term memory."""
        nn = self.nn
        table, out = nn.Embedding(200, 64), nn.Linear(128, 200)
        cells = nn.LSTM(64, 128, batch_first=True)

        def loss(model):
            found = out(cells(table(self.letters))[0])
            return self.F.cross_entropy(found.flatten(0, 1), self.letters.flatten())

        return self.step(nn.ModuleList([table, cells, out]), loss)

    def encoder(self):
        """A layer of a transformer."""
        model = self.nn.TransformerEncoderLayer(
            128, 4, 512, activation="gelu", norm_first=True, batch_first=True
        )
        return self.step(model, lambda m: m(self.series).square().mean(), "AdamW")


NAMES = (
    "perceptron", "autoencoder", "residual", "by_depth", "hourglass", "generator", "recurrent",
    "encoder",
)  # fmt: skip


def main():
    """Measure and print."""
    parsed = parser(__doc__.split(":")[0], 7)
    parsed.add_argument("names", nargs="*", default=NAMES)
    options = parsed.parse_args()
    both = libraries(options)
    networks = [Networks(lib) for lib in both]
    clock, measure = clock_of(options, both)
    print(measure)
    for name in options.names:
        steps = [getattr(of, name)() for of in networks]
        ours, theirs = map(median, turns(steps, options.rounds, SECONDS, clock))
        print(
            f"{name:14} devtensor {ours * 1e3:8.2f} ms  torch {theirs * 1e3:8.2f} ms  "
            f"{ours / theirs:5.2f} x torch",
            flush=True,
        )


if __name__ == "__main__":
    main()
