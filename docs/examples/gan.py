"""A generative adversarial network learns points that lie around eight places of a circle."""

import argparse
import math

import devtensor as torch
from devtensor import nn
from devtensor.nn import functional as F

SPREAD = 0.1


def real(count, device):
    """Points around the eight places."""
    angle = torch.randint(8, (count,), device=device) * (math.pi / 4)
    places = torch.stack([angle.cos(), angle.sin()], 1)
    return places + SPREAD * torch.randn(count, 2, device=device)


def network(inputs, outputs, width=64):
    return nn.Sequential(
        nn.Linear(inputs, width), nn.LeakyReLU(0.2),
        nn.Linear(width, width), nn.LeakyReLU(0.2),
        nn.Linear(width, outputs),
    )  # fmt: skip


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=500)
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)
    device, count = options.device, 96

    generator, critic = network(8, 2).to(device), network(2, 1).to(device)
    of_generator = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.99))
    of_critic = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.5, 0.99))

    for step in range(1, options.steps + 1):
        # the critic tells points from forgeries; its slope at real points is kept small
        points = real(count, device).requires_grad_()
        forged = generator(torch.randn(count, 8, device=device)).detach()
        score = critic(points)
        (slope,) = torch.autograd.grad(score.sum(), points, create_graph=True)
        loss = F.softplus(-score).mean() + F.softplus(critic(forged)).mean()
        loss = loss + 0.05 * slope.pow(2).sum(1).mean()
        of_critic.zero_grad()
        loss.backward()
        of_critic.step()

        # the generator learns to be taken for real
        forged = generator(torch.randn(count, 8, device=device))
        deceit = F.softplus(-critic(forged)).mean()
        of_generator.zero_grad()
        deceit.backward()
        of_generator.step()
        if step % 100 == 0:
            print(f"step {step}: critic {loss.item():.3f}, generator {deceit.item():.3f}")

    with torch.no_grad():
        points = generator(torch.randn(2000, 8, device=device))
        angle = torch.arange(8, device=device) * (math.pi / 4)
        distances = torch.cdist(points, torch.stack([angle.cos(), angle.sin()], 1))
        nearest, place = distances.min(1)
        close = nearest < 3 * SPREAD
        shares = torch.bincount(place[close], minlength=8) / 2000
    print(f"{close.float().mean().item():.2f} of the points are close to one of the places")
    print("shares of the places:", " ".join(f"{share:.2f}" for share in shares.tolist()))
    return close.float().mean().item(), shares.min().item()


if __name__ == "__main__":
    main()
