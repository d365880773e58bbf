"""Digits by a convolutional network, with batch normalization, and a checkpoint of the best one."""

import argparse
import io

import devtensor as torch
from devtensor import nn
from devtensor.datasets import digits
from devtensor.nn import functional as F


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
        )  # fmt: skip
        self.head = nn.Linear(96, 10)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


def accuracy(model, images, labels):
    model.eval()
    with torch.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)

    images, labels = (x.to(options.device) for x in digits())
    images = images.float().unsqueeze(1) / 8 - 1
    train, valid, test = slice(0, 1200), slice(1200, 1500), slice(1500, None)

    model = Network().to(options.device)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    best, checkpoint = 0.0, io.BytesIO()
    for epoch in range(options.epochs):
        model.train()
        for batch in torch.randperm(1200, device=options.device).split(50):
            loss = F.cross_entropy(model(images[train][batch]), labels[train][batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = accuracy(model, images[valid], labels[valid])
        print(f"epoch {epoch}: loss {loss.item():.3f}, accuracy {found:.3f}")
        if found >= best:
            best, checkpoint = found, io.BytesIO()
            torch.save(model.state_dict(), checkpoint)

    checkpoint.seek(0)
    model.load_state_dict(torch.load(checkpoint, map_location=options.device))
    result = accuracy(model, images[test], labels[test])
    print(f"the best one on the test images: {result:.3f}")
    return result


if __name__ == "__main__":
    main()
