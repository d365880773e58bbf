"""Sequence to sequence with attention: a recurrent network learns to spell words backwards.

The decoder looks at the encoder's states by additive attention (Bahdanau, Cho and Bengio, 2015).
"""

import argparse

import devtensor as torch
from devtensor import nn
from devtensor.nn import functional as F

LETTERS, START = 10, 10
LENGTH = 6


class Encoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(LETTERS, width)
        self.rnn = nn.GRU(width, width, batch_first=True)

    def forward(self, words):
        return self.rnn(self.embedding(words))


class Decoder(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Embedding(LETTERS + 1, width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.score = nn.Linear(width, 1)
        self.cell = nn.GRUCell(2 * width, width)
        self.out = nn.Linear(2 * width, LETTERS)

    def forward(self, states, hidden, target=None):
        """Scores of each letter, and where attention was; `target` teaches, if it is given."""
        letter = torch.full((len(states),), START, device=states.device)
        keys, scores, looks = self.key(states), [], []
        for place in range(LENGTH):
            energy = self.score(torch.tanh(self.query(hidden).unsqueeze(1) + keys))
            look = F.softmax(energy.squeeze(2), dim=1)
            context = torch.bmm(look.unsqueeze(1), states).squeeze(1)
            hidden = self.cell(torch.cat([self.embedding(letter), context], 1), hidden)
            score = self.out(torch.cat([hidden, context], 1))
            letter = score.argmax(1) if target is None else target[:, place]
            scores.append(score)
            looks.append(look)
        return torch.stack(scores, 1), torch.stack(looks, 1)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args(arguments)
    torch.manual_seed(options.seed)

    encoder, decoder = (kind(48).to(options.device) for kind in (Encoder, Decoder))
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    for step in range(1, options.steps + 1):
        words = torch.randint(LETTERS, (48, LENGTH), device=options.device)
        target = words.flip(1)
        states, hidden = encoder(words)
        scores, _ = decoder(states, hidden[0], target)
        loss = F.cross_entropy(scores.flatten(0, 1), target.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss.item():.3f}")

    with torch.no_grad():
        words = torch.randint(LETTERS, (500, LENGTH), device=options.device)
        states, hidden = encoder(words)
        scores, looks = decoder(states, hidden[0])
        right = (scores.argmax(2) == words.flip(1)).all(1).float().mean().item()
        backwards = looks.mean(0).argmax(1).tolist()
    first = words[0].tolist()
    spelled = ["".join("abcdefghij"[c] for c in w) for w in (first, scores[0].argmax(1).tolist())]
    print(f"{spelled[0]} becomes {spelled[1]}; {right:.3f} of 500 words are right")
    print("attention goes to the letters", backwards)
    return right


if __name__ == "__main__":
    main()
