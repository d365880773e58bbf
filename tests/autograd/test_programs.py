"""Random programs of views, writes and modes, run here and on PyTorch: everything must agree."""

import random
import warnings

import pytest
import torch

import devtensor as dt

torch.set_num_threads(1)


def shape_of(x):
    return tuple(x.shape)


class Program:
    """A list of steps, chosen by a seed, that can be run on either library."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.steps = [self.step() for _ in range(self.random.randint(4, 14))]

    def step(self):
        r = self.random
        kind = r.choice(
            ["make", "unary", "binary", "view", "view", "write", "write", "detach", "flag", "back"]
        )
        return (
            kind,
            r.random(),
            r.random(),
            r.random(),
            r.choice(["grad", "grad", "grad", "no_grad", "inference_mode"]),
        )

    def run(self, lib):
        """Everything that can be seen: after each step its error or the state of all tensors."""
        leaves = [lib.arange(6.0).reshape(2, 3).clone().requires_grad_(), lib.ones(2, 3) * 0.5]
        tensors = list(leaves)
        seen = []
        for kind, a, b, c, mode in self.steps:
            context = {
                "grad": lib.enable_grad,
                "no_grad": lib.no_grad,
                "inference_mode": lib.inference_mode,
            }[mode]
            try:
                with context():
                    made = self.do(lib, kind, a, b, c, tensors)
            except (RuntimeError, IndexError, TypeError) as error:
                seen.append((kind, mode, type(error).__name__, phrase(str(error))))
                if kind == "write" and overlaps(str(error)):
                    seen.append("stop")
                    break
                continue
            if made is not None:
                tensors.append(made)
            seen.append((kind, mode, [state(x) for x in tensors]))
        return seen, [None if x.grad is None else x.grad.tolist() for x in leaves if x.is_leaf]

    def do(self, lib, kind, a, b, c, tensors):
        x = tensors[int(a * len(tensors))]
        y = tensors[int(b * len(tensors))]
        if kind == "make":
            return lib.full((2, 3), c)
        if kind == "unary":
            return [x.sin, x.exp, x.tanh, lambda: x * 1.5, x.cos, lambda: x.clone() * 1][
                int(c * 6)
            ]()
        if kind == "binary":
            return [lambda: x * y, lambda: x + y, lambda: x - y][int(c * 3)]()
        if kind == "view":
            return views(x)[int(c * len(views(x)))]()
        if kind == "write":
            if x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr():
                y = x  # PyTorch refuses other overlaps, or reads what it has already written
            writes = [
                lambda: x.mul_(0.5), lambda: x.add_(1), lambda: x.mul_(y), lambda: x.copy_(y),
                lambda: x.zero_(), lambda: x.sin_(), lambda: x.sub_(y), lambda: x.exp_(),
            ]  # fmt: skip
            writes[int(c * len(writes))]()
            return None
        if kind == "detach":
            if x.is_inference():
                return None  # frozen here, writable there: a documented difference
            return x.detach() if c < 0.7 else x.data
        if kind == "flag":
            x.requires_grad_(c < 0.7)
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            x.sum().backward(retain_graph=c < 0.5)
        return None


def views(x):
    if x.dim() == 0:
        return [lambda: x.view(1), lambda: x.unsqueeze(0)[0]]
    if x.dim() == 1:
        return [lambda: x[0], lambda: x[1:], lambda: x.view(-1, 1)]
    return [
        lambda: x[0], lambda: x[:, 1:], lambda: x.t(), lambda: x.view(-1),
        lambda: x.unsqueeze(0)[0], lambda: x.unbind(0)[1], lambda: x.select(1, 0),
        lambda: x[None][0], lambda: x.diagonal(),
    ]  # fmt: skip


PHRASES = (
    "a leaf Variable that requires grad",
    "a view of a leaf Variable",
    "was created in no_grad mode",
    "was created in inference mode",
    "is a view and",
    "modified by an inplace operation",
    "Inference tensors cannot be saved",
    "Inplace update to inference tensor",
    "Setting requires_grad=True on inference",
    "does not require grad and does not have a grad_fn",
    "backward through the graph a second time",
    "can only change requires_grad flags of leaf",
    "output with shape",
)


def phrase(text):
    return next((p for p in PHRASES if p in text), "shape")


def state(x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = x.detach().flatten().tolist()
    try:
        version = x._version
    except RuntimeError:
        version = None
    try:
        made = x.grad_fn is not None
    except RuntimeError:
        made = "invalid"
    return (
        shape_of(x), values, x.requires_grad, made, version, x.is_inference(), x._is_view(),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore::devtensor.UntrackedViewWarning")
@pytest.mark.parametrize("seed", range(400))
def test_same_as_torch(seed):
    program = Program(seed)
    ours, theirs = program.run(dt), program.run(torch)
    for number, (one, two) in enumerate(zip(ours[0], theirs[0], strict=False)):
        if "stop" in (one, two) or differs(one, two):
            return
        assert one[:2] == two[:2]
        assert agree(one[2:], two[2:]), (number, program.steps[: number + 1], one, two)
    assert str(ours[1]) == str(theirs[1]) or close(ours[1], theirs[1])


def differs(one, two):
    """Whether the step is one where the library differs from PyTorch, as documented."""
    if two[3:] and "was created in" in two[3] and one[3:] != two[3:]:
        return True  # there, a view made unrecorded cannot be used once its memory was written
    return one[3:] == ("Inplace update to inference tensor",) and len(two) == 4  # checks come first


def overlaps(text):
    """What is refused there after the write, or refused there and safe here."""
    return "Inference" in text or "refer to a single memory location" in text


def agree(one, two):
    """Whether two outcomes are the same, up to rounding and the documented differences."""
    if not isinstance(one[0], list) or not isinstance(two[0], list):
        return one == two
    for ours, theirs in zip(one[0], two[0], strict=True):
        if theirs[3] == "invalid" or ours[3] != theirs[3]:
            # There, a view made unrecorded cannot be asked for its history, or has got one, once
            # its memory was written.
            if not ours[6]:
                return False
        elif (ours[0], *ours[2:]) != (theirs[0], *theirs[2:]):
            return False
        if not torch.allclose(
            torch.tensor(ours[1]), torch.tensor(theirs[1]), rtol=1e-3, atol=1e-3, equal_nan=True
        ):
            return False
    return True


def close(one, two):
    return all(
        (a is None) == (b is None)
        and (a is None or torch.allclose(torch.tensor(a), torch.tensor(b), rtol=1e-4, atol=1e-4,
                                         equal_nan=True))
        for a, b in zip(one, two, strict=True)
    )  # fmt: skip
