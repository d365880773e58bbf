"""Digits by a multilayer perceptron: a data loader, dropout, AdamW, a schedule, evaluation."""

import argparse

import devtensor as torch
from devtensor import nn
from devtensor.datasets import digits
from devtensor.nn import functional as F
from devtensor.utils.data import DataLoader, TensorDataset, random_split


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)
    device = torch.device(options.device)

    images, labels = digits()
    data = TensorDataset((images.float() / 16).to(device), labels.to(device))
    train, test = random_split(data, [1437, 360])

    model = nn.Sequential(
        nn.Flatten(), nn.Linear(64, 96), nn.ReLU(), nn.Dropout(0.2), nn.Linear(96, 10)
    ).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, options.epochs)

    for epoch in range(1, options.epochs + 1):
        model.train()
        total = 0.0
        for x, y in DataLoader(train, batch_size=64, shuffle=True):
            loss = F.cross_entropy(model(x), y, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        schedule.step()
        if epoch % 5 == 0:
            print(f"epoch {epoch}: loss {total / len(train):.3f}")

    model.eval()
    correct = 0
    with torch.inference_mode():
        for x, y in DataLoader(test, batch_size=360):
            correct += (model(x).argmax(1) == y).sum().item()
    accuracy = correct / len(test)
    print(f"accuracy on {len(test)} images that were not seen: {accuracy:.3f}")
    return accuracy


if __name__ == "__main__":
    main()
