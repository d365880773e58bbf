"""Trains a small network on handwritten digits, and compares the three ways to evaluate it."""

from __future__ import annotations

import argparse
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TextIO

import devtensor as dt
from devtensor import nn
from devtensor.datasets import digits
from devtensor.nn import functional as F
from devtensor.utils.data import DataLoader, TensorDataset

EPOCHS = {"cnn": 10, "mlp": 25}
HELD_BACK = 360
"""How many of the 1797 images are kept for testing."""
BATCH = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda:0 and the like")
    parser.add_argument("--model", choices=sorted(EPOCHS), default="cnn", help="default: cnn")
    parser.add_argument("--epochs", type=positive, help="default: 10 for cnn, 25 for mlp")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--losses", metavar="FILE", help="write the loss of each step as JSON")


def positive(text: str) -> int:
    """An option's number, which must be 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


# ---- the task


class Data(NamedTuple):
    """Images of digits and what they show, to learn from and to test with."""

    images: Any
    labels: Any
    test_images: Any
    test_labels: Any


def load(device: Any) -> Data:
    """The data set on a device, shuffled and divided."""
    images, labels = digits()
    pixels = images.to(dt.float32).unsqueeze(1) / 8 - 1  # 0 to 16 becomes -1 to 1
    order = dt.randperm(len(labels))
    pixels, labels = pixels[order].to(device), labels[order].to(device)
    return Data(pixels[HELD_BACK:], labels[HELD_BACK:], pixels[:HELD_BACK], labels[:HELD_BACK])


def build(name: str) -> nn.Module:
    """A network for images of 8 by 8 pixels and ten classes."""
    if name == "mlp":
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 128),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(128, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(512, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def accuracy(scores: Any, labels: Any) -> float:
    """The share of images whose highest score is the right one."""
    share: float = (scores.argmax(1) == labels).to(dt.float32).mean().item()
    return share


def train(
    model: nn.Module, data: Data, epochs: int, report: Callable[[int, int, int, float], None]
) -> list[float]:
    """Train; return the loss of each step."""
    loader: DataLoader[Any] = DataLoader(
        TensorDataset(data.images, data.labels), batch_size=BATCH, shuffle=True
    )
    optimizer = dt.optim.Adam(model.parameters(), lr=2e-3)
    schedule = dt.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    losses: list[float] = []
    model.train()
    for epoch in range(epochs):
        for step, (images, labels) in enumerate(loader):
            loss = F.cross_entropy(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
            report(epoch, step + 1, len(loader), losses[-1])
    return losses


# ---- the comparison


class Cost(NamedTuple):
    """What an evaluation under one mode takes: seconds for all images and for one, bytes."""

    mode: str
    accuracy: float
    all_images: float
    one_image: float
    peak: int | None
    ledger: Any


MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "default": nullcontext,
    "no_grad": dt.no_grad,
    "inference_mode": dt.inference_mode,
}


def compare(model: nn.Module, data: Data) -> list[Cost]:
    """Evaluate under each mode."""
    model.eval()
    many = best_times(model, data.test_images, 15)
    single = best_times(model, data.test_images[:1], 300)
    return [measured(mode, model, data, many[mode], single[mode]) for mode in MODES]


def best_times(model: nn.Module, images: Any, rounds: int) -> dict[str, float]:
    """The shortest time under each mode; rounds alternate, so that all see the same machine."""
    best = dict.fromkeys(MODES, float("inf"))
    for _ in range(rounds):
        for mode, block in MODES.items():
            start = time.perf_counter()
            with block():
                scores = model(images)
            scores[0, 0].item()  # waits for devices that compute behind our back
            del scores
            best[mode] = min(best[mode], time.perf_counter() - start)
    return best


def measured(mode: str, model: nn.Module, data: Data, all_images: float, one_image: float) -> Cost:
    """Evaluate once for the memory and once for the ledger."""

    def evaluate() -> Any:
        with MODES[mode]():
            return model(data.test_images)

    peak = peak_of(data.test_images.device, evaluate)
    with dt.ledger() as book:
        scores = evaluate()
    return Cost(mode, accuracy(scores, data.test_labels), all_images, one_image, peak, book)


def peak_of(device: Any, run: Callable[[], Any]) -> int | None:
    """The most memory that `run` takes on a device; None where nobody counts it."""
    if device.type == "cpu":
        tracemalloc.start()
        run()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak
    counter: Any = getattr(dt, device.type, None)
    if counter is None or not hasattr(counter, "max_memory_allocated"):
        return None
    counter.reset_peak_memory_stats(device)
    before = counter.memory_allocated(device)
    run()
    taken: int = counter.max_memory_allocated(device) - before
    return taken


def table(costs: list[Cost], data: Data) -> str:
    """The comparison as text."""
    many = f"{len(data.test_labels)} images"
    head = ("", "accuracy", many, "1 image", "peak", "launches", "results", "saved", "held")
    rows = [
        (
            cost.mode,
            f"{cost.accuracy:.2%}",
            f"{cost.all_images * 1e3:.2f} ms",
            f"{cost.one_image * 1e6:.0f} µs",
            "-" if cost.peak is None else kilobytes(cost.peak),
            str(cost.ledger.launches),
            kilobytes(cost.ledger.output_bytes),
            kilobytes(cost.ledger.saved_bytes),
            kilobytes(cost.ledger.held_bytes),
        )
        for cost in costs
    ]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in (head, *rows)
    )


def kilobytes(count: int) -> str:
    """Bytes for people who compare."""
    return f"{count / 1e3:,.1f} kB"


# ---- what is shown


class Progress:
    """A line to each epoch; in a terminal it fills up as the epoch goes on.

    Parameters
    ----------
    epochs : int
    out : file
    """

    WIDTH = 30

    def __init__(self, epochs: int, out: TextIO) -> None:
        self.epochs, self.out = epochs, out
        self.live = out.isatty()
        self.losses: list[float] = []
        self.start = time.perf_counter()

    def __call__(self, epoch: int, step: int, steps: int, loss: float) -> None:
        self.losses.append(loss)
        last = step == steps
        if not (last or self.live):
            return
        done = self.WIDTH * step // steps
        bar = "#" * done + "." * (self.WIDTH - done)
        mean = sum(self.losses) / len(self.losses)
        seconds = time.perf_counter() - self.start
        self.out.write(
            ("\r" if self.live else "")
            + f"epoch {epoch + 1:{len(str(self.epochs))}}/{self.epochs} [{bar}] "
            + f"loss {mean:.4f}  {seconds:5.1f} s"
            + ("\n" if last else "")
        )
        self.out.flush()
        if last:
            self.losses.clear()


def run(options: argparse.Namespace) -> int:
    """Do what the options say; return the exit status."""
    out = sys.stdout
    dt.manual_seed(options.seed)
    device = dt.device(options.device)
    data = load(device)
    model = build(options.model).to(device)
    epochs = options.epochs or EPOCHS[options.model]
    count = sum(p.numel() for p in model.parameters())
    out.write(
        f"handwritten digits: {len(data.labels)} images to learn from, {len(data.test_labels)} to "
        f"test with\n{options.model} with {count:,} parameters on {device}, seed {options.seed}\n\n"
    )
    losses = train(model, data, epochs, Progress(epochs, out))
    if options.losses:
        record = {
            "device": str(device),
            "model": options.model,
            "seed": options.seed,
            "epochs": epochs,
            "losses": losses,
        }
        with open(options.losses, "w", encoding="utf-8") as file:
            json.dump(record, file)
    costs = compare(model, data)
    out.write(
        f"\ntest accuracy {costs[0].accuracy:.2%}\n\n"
        f"the same evaluation of {len(data.test_labels)} images in three modes\n"
        f"{table(costs, data)}\n\n"
        f"what the tape of the first one holds, by the ledger\n{costs[0].ledger}\n"
    )
    return 0
