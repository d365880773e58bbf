"""Transfer: features that tell digits apart help to learn another question from few answers.

The question is whether a digit is a prime number. The features are frozen, and only a new last
layer is trained. The same few images train the same network from nothing, for comparison.
"""

import argparse

import devtensor as torch
from devtensor import nn
from devtensor.datasets import digits
from devtensor.nn import functional as F


def network(classes):
    features = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(),
        nn.Linear(512, 32), nn.ReLU(),
    )  # fmt: skip
    return nn.Sequential(features, nn.Linear(32, classes))


def fit(model, images, labels, steps):
    wanted = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(wanted, lr=5e-3)
    for _ in range(steps):
        batch = torch.randint(len(labels), (64,), device=labels.device)
        loss = F.cross_entropy(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def accuracy(model, images, labels):
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=3, help="answers for each digit")
    parser.add_argument("--steps", type=int, default=150, help="and two thirds as many for few")
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)
    steps = options.steps

    images, labels = (x.to(options.device) for x in digits())
    images = images.float().unsqueeze(1) / 16
    prime = ((labels == 2) | (labels == 3) | (labels == 5) | (labels == 7)).long()
    train, test = slice(0, 1200), slice(1200, None)
    few = torch.cat([(labels[train] == d).nonzero().flatten()[: options.each] for d in range(10)])

    model = network(10).to(options.device)
    print(f"loss of telling digits apart: {fit(model, images[train], labels[train], steps):.4f}")
    model[0].requires_grad_(False)
    model[1] = nn.Linear(32, 2).to(options.device)
    frozen = [p.clone() for p in model[0].parameters()]
    fit(model, images[few], prime[few], 2 * steps // 3)
    assert all(torch.equal(a, b) for a, b in zip(frozen, model[0].parameters(), strict=True))

    fresh = network(2).to(options.device)
    fit(fresh, images[few], prime[few], 2 * steps // 3)
    found, other = (accuracy(m, images[test], prime[test]) for m in (model, fresh))
    print(f"primes from {len(few)} answers: {found:.3f} with the features, {other:.3f} without")
    return found, other


if __name__ == "__main__":
    main()
