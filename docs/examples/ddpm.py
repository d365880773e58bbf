"""A denoising diffusion model (Ho, Jain and Abbeel, 2020) draws digits.

It is judged by a classifier of real digits: how sure that is of what it sees, on drawn images and,
to compare, on images from a normal distribution with the mean and the covariance of real ones.
"""

import argparse
import math

import devtensor as torch
from devtensor import nn
from devtensor.datasets import digits
from devtensor.distributions import MultivariateNormal
from devtensor.nn import functional as F

STEPS = 50


class Denoiser(nn.Module):
    """Guesses the noise in an image, told how much of it there is."""

    def __init__(self, width=128):
        super().__init__()
        self.time = nn.Embedding(STEPS, width)
        self.enter = nn.Linear(64, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(),
                          nn.Linear(width, width))
            for _ in range(2)
        )  # fmt: skip
        self.leave = nn.Linear(width, 64)

    def forward(self, x, t):
        x, time = self.enter(x), self.time(t)
        for block in self.blocks:
            x = x + block(x + time)
        return self.leave(x)


def classifier(images, labels, steps):
    """A network that tells digits apart."""
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).to(images.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        batch = torch.randint(len(labels), (64,), device=images.device)
        loss = F.cross_entropy(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--judge-steps", type=int, default=150, help="of the one that judges")
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)
    device = options.device

    images, labels = (x.to(device) for x in digits())
    images = images.flatten(1).float() / 8 - 1
    judge = classifier(images, labels, options.judge_steps)
    level = torch.linspace(0, 1, STEPS + 1, device=device)
    kept = torch.cos((level + 0.01) / 1.01 * math.pi / 2) ** 2  # how much of the image is left
    alpha = (kept[1:] / kept[:-1]).clamp(min=0.05)
    left = alpha.cumprod(0)

    model = Denoiser().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=options.steps)
    for step in range(1, options.steps + 1):
        x = images[torch.randint(len(images), (128,), device=device)]
        t = torch.randint(STEPS, (128,), device=device)
        noise = torch.randn_like(x)
        share = left[t].unsqueeze(1)
        loss = (model(share.sqrt() * x + (1 - share).sqrt() * noise, t) - noise).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 0:
            print(f"step {step}: loss {loss.item():.3f}")

    with torch.no_grad():
        x = torch.randn(200, 64, device=device)
        for t in reversed(range(STEPS)):
            guess = model(x, torch.full((200,), t, device=device))
            x = (x - (1 - alpha[t]) / (1 - left[t]).sqrt() * guess) / alpha[t].sqrt()
            if t > 0:
                x = x + (1 - alpha[t]).sqrt() * torch.randn_like(x)
        x = x.clamp(-1, 1)
        noise = 1e-3 * torch.eye(64, device=device)
        normal = MultivariateNormal(images.mean(0), images.T.cov() + noise)
        plain = normal.sample((200,)).clamp(-1, 1)
        found, other, real = (
            F.softmax(judge(d), dim=1).max(1).values.mean().item() for d in (x, plain, images)
        )
    print(f"how sure the classifier is: {found:.3f}; of normal images {other:.3f}; ", end="")
    print(f"of real ones {real:.3f}")
    for row in x[:3].reshape(3, 8, 8).transpose(0, 1).tolist():
        print("   ".join("".join(" .+#"[int(2 * min(p + 1, 1.99))] for p in part) for part in row))
    return found, other


if __name__ == "__main__":
    main()
