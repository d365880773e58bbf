"""A small GPT learns to write like Python's reference, character by character.

To compare: a trigram model of the same text, smoothed as well as it can be. Both are measured by
the nats that they need for each character of text that they have not seen.
"""

import argparse
import math
from pydoc_data.topics import topics

import devtensor as torch
from devtensor import nn
from devtensor.nn import functional as F

CONTEXT = 48


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.Linear(width, 3 * width, bias=False)
        self.project = nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        count, length, width = x.shape
        parts = self.attention(self.norm1(x)).view(count, length, 3, self.heads, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(seen.transpose(1, 2).reshape(count, length, width))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    def __init__(self, letters, width=64, heads=4, layers=1):
        super().__init__()
        self.token, self.place = nn.Embedding(letters, width), nn.Embedding(CONTEXT, width)
        self.before = nn.Conv1d(width, width, 4)  # each character with the three before it
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, letters)
        for table in (self.token, self.place):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, tokens):
        x = self.token(tokens)
        near = self.before(F.pad(x.transpose(1, 2), (3, 0))).transpose(1, 2)
        x = x + near + self.place.weight[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))

    @torch.no_grad()
    def write(self, tokens, count):
        for _ in range(count):
            scores = self(tokens[:, -CONTEXT:])[:, -1]
            drawn = torch.multinomial(F.softmax(scores / 0.8, dim=-1), 1)
            tokens = torch.cat([tokens, drawn], 1)
        return tokens


def trigram(train, test, letters):
    """Nats of a mixture of the frequencies after two, one and no characters."""
    best = math.inf
    ones = torch.bincount(train, minlength=letters).double() + 0.1
    twos = torch.bincount(train[:-1] * letters + train[1:], minlength=letters**2).double()
    index = (train[:-2] * letters + train[1:-1]) * letters + train[2:]
    threes = torch.bincount(index, minlength=letters**3).double().view(-1, letters)
    twos = twos.view(letters, letters)
    a, b, c = test[:-2], test[1:-1], test[2:]
    for weight in (1.0, 2.0, 4.0, 8.0):  # the smoothing that is best for the test itself
        p = ones[c] / ones.sum()
        p = (twos[b, c] + weight * p) / (twos[b].sum(1) + weight)
        rows = a * letters + b
        p = (threes[rows, c] + weight * p) / (threes[rows].sum(1) + weight)
        best = min(best, -p.log().mean().item())
    return best


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--letters", type=int, default=80, help="how many to write in the end")
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)

    text = "\n".join(topics[name] for name in sorted(topics))[:200_000]
    alphabet = sorted(set(text))
    number = {c: place for place, c in enumerate(alphabet)}
    tokens = torch.tensor([number[c] for c in text])
    train, test = tokens[:-20_000], tokens[-20_000:]
    plain = trigram(train, test, len(alphabet))

    train, test = train.to(options.device), test.to(options.device)
    model = GPT(len(alphabet)).to(options.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 1e-2, total_steps=options.steps, pct_start=0.1
    )
    window = torch.arange(CONTEXT + 1, device=options.device)
    for step in range(1, options.steps + 1):
        start = torch.randint(len(train) - CONTEXT, (20, 1), device=options.device)
        batch = train[start + window]
        scores = model(batch[:, :-1])
        loss = F.cross_entropy(scores.flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 50 == 0:
            print(f"step {step}: {loss.item():.3f} nats")

    with torch.no_grad():
        batch = test[: len(test) // (CONTEXT + 1) * (CONTEXT + 1)].view(-1, CONTEXT + 1)
        losses = F.cross_entropy(
            model(batch[:, :-1]).transpose(1, 2), batch[:, 1:], reduction="none"
        )
    found = losses.mean().item()
    print(f"text not seen: {found:.3f} nats a character; trigrams {plain:.3f}")
    written = model.write(test[:CONTEXT].unsqueeze(0), options.letters)[0, CONTEXT:].tolist()
    print("it writes:", repr("".join(alphabet[c] for c in written)))
    return found, plain


if __name__ == "__main__":
    main()
