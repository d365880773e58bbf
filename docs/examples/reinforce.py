"""REINFORCE (Williams, 1992) learns to catch balls, in an environment of a few lines.

A ball falls through a grid, drifting to one side; a paddle at the bottom moves left, stays or moves
right. Many games run at once, as tensors.
"""

import argparse

import devtensor as torch
from devtensor import nn
from devtensor.distributions import Categorical

WIDTH, HEIGHT = 7, 8


class Catch:
    """Games that run in step."""

    def __init__(self, count, device):
        self.ball = torch.randint(WIDTH, (count,), device=device)
        self.drift = torch.randint(-1, 2, (count,), device=device)
        self.paddle = torch.full((count,), WIDTH // 2, device=device)
        self.row = 0

    def state(self):
        """What a player sees: ball, drift and paddle, each at its place, and the row."""
        sights = [
            nn.functional.one_hot(self.ball, WIDTH),
            nn.functional.one_hot(self.drift + 1, 3),
            nn.functional.one_hot(self.paddle, WIDTH),
        ]
        row = torch.full((len(self.ball), 1), self.row / HEIGHT, device=self.ball.device)
        return torch.cat([*(sight.float() for sight in sights), row], 1)

    def step(self, action):
        """Move all paddles by `action` - 1, let the balls fall, and give the rewards."""
        self.paddle = (self.paddle + action - 1).clamp(0, WIDTH - 1)
        self.ball = self.ball + self.drift
        bounced = (self.ball < 0) | (self.ball >= WIDTH)
        self.drift = torch.where(bounced, -self.drift, self.drift)
        self.ball = self.ball.clamp(0, WIDTH - 1)
        self.row += 1
        caught = (self.ball == self.paddle).float() * 2 - 1
        return caught if self.row == HEIGHT else torch.zeros_like(caught)


def play(policy, count, device):
    """Rewards and log-probabilities of the actions of whole games, and the entropies."""
    games, rewards, chosen, entropies = Catch(count, device), [], [], []
    while games.row < HEIGHT:
        choice = Categorical(logits=policy(games.state()))
        action = choice.sample()
        chosen.append(choice.log_prob(action))
        entropies.append(choice.entropy())
        rewards.append(games.step(action))
    return torch.stack(rewards), torch.stack(chosen), torch.stack(entropies)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)

    policy = nn.Sequential(nn.Linear(18, 64), nn.Tanh(), nn.Linear(64, 3)).to(options.device)
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    with torch.no_grad():
        before = play(policy, 1000, options.device)[0].sum(0).mean().item()
    for step in range(1, options.steps + 1):
        rewards, chosen, entropies = play(policy, 128, options.device)
        returns = rewards.flip(0).cumsum(0).flip(0)  # what came after each action
        advantage = (returns - returns.mean()) / (returns.std() + 1e-6)
        loss = -(chosen * advantage).mean() - 0.01 * entropies.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}: mean reward {rewards.sum(0).mean().item():+.2f}")
    with torch.no_grad():
        after = play(policy, 1000, options.device)[0].sum(0).mean().item()
    print(f"mean reward before {before:+.2f}, after {after:+.2f} (+1 is a ball caught)")
    return before, after


if __name__ == "__main__":
    main()
