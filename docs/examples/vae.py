"""A variational autoencoder of digits, with `devtensor.distributions`.

What it claims is a bound on the likelihood of images that it has not seen, in nats; to compare,
the likelihood by independent pixels.
"""

import argparse

import devtensor as torch
from devtensor import nn
from devtensor.datasets import digits
from devtensor.distributions import Bernoulli, Independent, Normal, kl_divergence


class Autoencoder(nn.Module):
    def __init__(self, hidden=128, latent=8):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(64, hidden), nn.GELU(), nn.Linear(hidden, 2 * latent)
        )
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.GELU(), nn.Linear(hidden, 64))
        self.latent = latent

    def posterior(self, x):
        loc, log_scale = self.encoder(x).chunk(2, dim=-1)
        return Independent(Normal(loc, log_scale.exp()), 1)

    def likelihood(self, z):
        return Independent(Bernoulli(logits=self.decoder(z)), 1)

    def prior(self, like):
        zeros = like.new_zeros(self.latent)
        return Independent(Normal(zeros, zeros + 1), 1)

    def bound(self, x):
        """The evidence lower bound of each image."""
        posterior = self.posterior(x)
        z = posterior.rsample()
        return self.likelihood(z).log_prob(x) - kl_divergence(posterior, self.prior(x))


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=400)
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)

    images = (digits()[0].flatten(1) > 7).float().to(options.device)  # ink or none
    train, test = images[:1500], images[1500:]
    pixels = Independent(Bernoulli(train.mean(0).clamp(0.001, 0.999)), 1)
    plain = pixels.log_prob(test).mean().item()

    model = Autoencoder().to(options.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for step in range(1, options.steps + 1):
        batch = train[torch.randint(len(train), (128,), device=options.device)]
        loss = -model.bound(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 200 == 0:
            print(f"step {step}: bound {-loss.item():.2f} nats")

    with torch.no_grad():
        bound = torch.stack([model.bound(test).mean() for _ in range(20)]).mean().item()
        drawn = model.likelihood(model.prior(test).sample((2,))).mean
    print(f"images not seen: {bound:.2f} nats, independent pixels {plain:.2f} nats")
    for row in drawn.reshape(2, 8, 8).transpose(0, 1).tolist():
        print("   ".join("".join(" .+#"[int(4 * min(p, 0.99))] for p in part) for part in row))
    return bound, plain


if __name__ == "__main__":
    main()
