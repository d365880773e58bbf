"""An LSTM continues waves: it has seen 30 values of each, and says the next 20 one by one.

To compare: waves that stay at their last value.
"""

import argparse
import math

import devtensor as torch
from devtensor import nn

SEEN, TOTAL = 30, 50


class Forecaster(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.lstm = nn.LSTM(1, width, num_layers=1, batch_first=True)
        self.out = nn.Linear(width, 1)

    def forward(self, x, state=None):
        hidden, state = self.lstm(x, state)
        return x + self.out(hidden), state  # it learns the change

    def go_on(self, x, count):
        """`count` more values, each made from the one before."""
        value, state = self(x)
        values = [value[:, -1:]]
        for _ in range(count - 1):
            value, state = self(values[-1], state)
            values.append(value)
        return torch.cat(values, 1)


def waves(count, device):
    """Sums of two waves of different lengths and phases."""
    time = torch.arange(TOTAL, device=device) / 5
    phase = torch.rand(count, 2, 1, device=device) * 2 * math.pi
    speed = 0.7 + torch.rand(count, 1, 1, device=device)
    parts = torch.sin(time * speed * torch.tensor([[1.0], [2.0]], device=device) + phase)
    return parts.mean(1).unsqueeze(2)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)

    model = Forecaster().to(options.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=options.steps)
    for step in range(1, options.steps + 1):
        x = waves(32, options.device)
        guess, _ = model(x[:, :-1])
        loss = 1000 * (guess - x[:, 1:]).pow(2)[:, 5:].mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 25 == 0:
            print(f"step {step}: loss {loss.item():.4f}")

    with torch.no_grad():
        x = waves(200, options.device)
        rest = model.go_on(x[:, :SEEN], TOTAL - SEEN)
        error = (rest - x[:, SEEN:]).pow(2).mean().sqrt().item()
        still = (x[:, SEEN - 1 : SEEN] - x[:, SEEN:]).pow(2).mean().sqrt().item()
    print(f"error of 20 values to come: {error:.3f}; of waves that stay: {still:.3f}")
    return error, still


if __name__ == "__main__":
    main()
