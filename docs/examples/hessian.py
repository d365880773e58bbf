"""Hessian-vector products: curvature, and Newton's steps, without a Hessian.

A product with the Hessian is the gradient of a gradient's product with the vector. Power iteration
with it finds the largest eigenvalue; conjugate gradients with it solve for Newton's step.
"""

import argparse

import devtensor as torch
from devtensor.datasets import digits
from devtensor.nn import functional as F


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)

    images, labels = (x.to(options.device) for x in digits())
    kept = labels < 3
    images = F.avg_pool2d(images[kept].double() / 16, 2).flatten(1)
    labels = labels[kept]

    def loss_of(weights):
        scores = images @ weights.reshape(16, 3)
        return F.cross_entropy(scores, labels) + 0.005 * weights.pow(2).sum()

    weights = torch.zeros(48, dtype=torch.float64, device=options.device)

    def product(vector):
        """The Hessian times a vector."""
        at = weights.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss_of(at), at, create_graph=True)
        return torch.autograd.grad(gradient, at, grad_outputs=vector)[0]

    vector = torch.randn_like(weights)
    for _ in range(60):
        vector = F.normalize(product(vector), dim=0)
    largest = torch.dot(vector, product(vector)).item()
    whole = torch.autograd.functional.hessian(loss_of, weights)
    expected = torch.linalg.eigvalsh(whole)[-1].item()
    print(f"largest eigenvalue: {largest:.6f} by products, {expected:.6f} of the whole matrix")

    losses = []
    for _ in range(6):
        at = weights.detach().requires_grad_()
        loss = loss_of(at)
        (gradient,) = torch.autograd.grad(loss, at)
        losses.append(loss.item())
        step, rest = torch.zeros_like(weights), gradient.clone()
        direction, size = rest.clone(), rest.dot(rest)
        for _ in range(40):  # conjugate gradients
            image = product(direction)
            length = size / direction.dot(image)
            step, rest = step + length * direction, rest - length * image
            size, before = rest.dot(rest), size
            if size < 1e-24:
                break
            direction = rest + size / before * direction
        weights = weights - step
    norm = gradient.norm().item()
    print("loss after each of Newton's steps:", " ".join(f"{loss:.6f}" for loss in losses))
    print(f"gradient in the end: {norm:.1e}")
    return largest, expected, norm


if __name__ == "__main__":
    main()
