"""Gradients of each example, by `vmap` of `grad`: private training (Abadi et al., 2016).

Each example's gradient is cut to a length, so that none of them matters much, and noise hides the
rest. That the gradients are right is seen beside those of a loop.
"""

import argparse

import devtensor as torch
from devtensor import nn
from devtensor.datasets import digits
from devtensor.func import functional_call, grad, vmap
from devtensor.nn import functional as F

LENGTH, NOISE = 1.0, 0.8


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=100)
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)

    images, labels = (x.to(options.device) for x in digits())
    images = images.flatten(1).float() / 16
    model = nn.Sequential(nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10)).to(options.device)
    parameters = {name: p.detach() for name, p in model.named_parameters()}

    def loss_of(parameters, image, label):
        scores = functional_call(model, parameters, (image.unsqueeze(0),))
        return F.cross_entropy(scores, label.unsqueeze(0))

    of_each = vmap(grad(loss_of), in_dims=(None, 0, 0))

    found = of_each(parameters, images[:8], labels[:8])
    difference = 0.0
    for place in range(8):
        model.zero_grad()
        F.cross_entropy(model(images[place : place + 1]), labels[place : place + 1]).backward()
        for name, p in model.named_parameters():
            difference = max(difference, (found[name][place] - p.grad).abs().max().item())
    print(f"largest difference from gradients in a loop: {difference:.1e}")

    count = 128
    for step in range(1, options.steps + 1):
        batch = torch.randint(1500, (count,), device=options.device)
        gradients = of_each(parameters, images[batch], labels[batch])
        lengths = (
            torch.stack([g.flatten(1).pow(2).sum(1) for g in gradients.values()]).sum(0).sqrt()
        )
        factor = (LENGTH / lengths).clamp(max=1.0)
        for name, g in gradients.items():
            total = torch.tensordot(factor, g, dims=1)
            noisy = total + NOISE * LENGTH * torch.randn_like(total)
            parameters[name] = parameters[name] - 2.0 * noisy / count
        if step % 25 == 0:
            print(f"step {step}: mean length of the gradients {lengths.mean().item():.2f}")

    scores = functional_call(model, parameters, (images[1500:],))
    accuracy = (scores.argmax(1) == labels[1500:]).float().mean().item()
    print(f"accuracy on images not seen: {accuracy:.3f}")
    return difference, accuracy


if __name__ == "__main__":
    main()
