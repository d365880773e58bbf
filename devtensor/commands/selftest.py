"""Runs every operation on a device and on the cpu, and compares values and derivatives."""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import devtensor as dt
from devtensor.example import Sample
from devtensor.op import catalogue

# What memory that nobody wrote holds is no result.
UNSET = ("unset", "unset_strided")
# Vectors are given up to their signs, which each library chooses; the derivatives depend on them.
AMBIGUOUS = ("linalg_eigh", "linalg_svd")
LIMITS = {8: (1e-7, 1e-9), 4: (2e-4, 2e-5), 2: (2e-2, 2e-2)}
"""Relative and absolute differences allowed, by the bytes of a real number."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--device", required=True, help="what to test: cuda:0, xpu and the like; compared with cpu"
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="operations with it in the name")


class Case(NamedTuple):
    """One example of an operation.

    Attributes
    ----------
    name : str
    args, kwargs
        As the catalogue has them, with a `Sample` for each tensor.
    """

    name: str
    args: Any
    kwargs: Any

    def call(self, tensors: list[Any]) -> Any:
        """The operation on `tensors`, which stand in for the samples in order."""
        rest = iter(tensors)
        args, kwargs = filled((list(self.args), self.kwargs), lambda sample: next(rest))
        return catalogue[self.name].function(*args, **kwargs)

    def tensors(self) -> list[Any]:
        """New tensors on the cpu."""
        made: list[Any] = []
        dt.manual_seed(zlib.crc32(self.name.encode()))
        filled((list(self.args), self.kwargs), lambda sample: made.append(tensor(sample)))
        return made


def filled(value: Any, make: Callable[[Sample], Any]) -> Any:
    """`value` with ``make(sample)`` in the place of each sample."""
    if isinstance(value, Sample):
        return make(value)
    if type(value) in (tuple, list):
        return type(value)([filled(part, make) for part in value])
    if isinstance(value, dict):
        return {name: filled(part, make) for name, part in value.items()}
    return value


def described(value: Any) -> Any:
    """An input of an example with a sample for each tensor; a bare shape stands for one."""
    if isinstance(value, tuple):
        if any(isinstance(part, (Sample, tuple)) or part is None for part in value):
            return tuple([described(part) for part in value])
        return Sample("normal", value)
    if isinstance(value, list) and not any(isinstance(part, (int, list)) for part in value):
        return [described(part) for part in value]
    return value


def cases(only: str = "") -> Iterator[Case]:
    """Every example of every operation that has a kernel; the rest is built on those."""
    for entry in list(catalogue.values()):
        if entry.op is None or entry.op.writes or entry.name in UNSET or only not in entry.name:
            continue
        inputs = entry.op.inputs
        for example in entry.examples:
            args = list(example) if isinstance(example, tuple) else [example]
            kwargs = args.pop() if args and isinstance(args[-1], dict) else {}
            yield Case(
                entry.name,
                [described(a) if i < len(inputs) else a for i, a in enumerate(args)],
                {k: described(v) if k in inputs else v for k, v in kwargs.items()},
            )


def tensor(sample: Sample) -> Any:
    """A tensor of what a sample describes, on the cpu."""
    shape = sample.shape

    def normal(*size: int) -> Any:
        return dt.randn(size, dtype=dt.float64, device="cpu")

    def distinct() -> Any:
        count = dt.zeros(shape, device="cpu").numel()
        numbers = dt.randperm(count, device="cpu").to(dt.float64)
        return ((numbers - count // 2 + 0.4) * (4 / max(count, 1))).reshape(shape)

    def spd() -> Any:
        root = normal(*shape)
        return root @ root.mT / shape[-1] + dt.eye(shape[-1], dtype=dt.float64, device="cpu")

    def fixed() -> Any:
        made = dt.tensor(sample.data, device="cpu")
        return made.to(dt.float64) if made.is_floating_point() else made

    makers: dict[str, Callable[[], Any]] = {
        "normal": lambda: normal(*shape),
        "positive": lambda: dt.rand(shape, dtype=dt.float64, device="cpu") * 1.5 + 0.5,
        "unit": lambda: dt.rand(shape, dtype=dt.float64, device="cpu") * 1.8 - 0.9,
        "distinct": distinct,
        "ints": lambda: dt.randint(sample.low, sample.high, shape, device="cpu"),
        "bools": lambda: dt.rand(shape, device="cpu") < 0.5,
        "spd": spd,
        "complex": lambda: dt.complex(normal(*shape), normal(*shape)),
        "fixed": fixed,
    }
    return makers[sample.kind]()


# ---- running and comparing


def leaves(result: Any) -> list[Any]:
    """The tensors and numbers in a result, in order."""
    if isinstance(result, (tuple, list)):
        return [leaf for part in result for leaf in leaves(part)]
    return [result]


def outcome(case: Case, tensors: list[Any], device: Any) -> list[Any] | Exception:
    """The results and their derivatives on a device, or the error that a call raises there."""
    xs = [x.to(device) for x in tensors]
    try:
        with dt.device(device):
            dt.manual_seed(0)
            for x in xs:
                if x.is_floating_point() or x.is_complex():
                    x.requires_grad_()
            outs = leaves(case.call(xs))
            carrying = [x for x in outs if isinstance(x, dt.Tensor) and x.requires_grad]
            wanted = [x for x in xs if x.requires_grad]
            if not carrying or not wanted or case.name in AMBIGUOUS:
                return outs
            leads = [weight(x) for x in carrying]
            return outs + list(dt.autograd.grad(carrying, wanted, leads, allow_unused=True))
    except Exception as error:  # a library may fail in any way
        return error


def weight(x: Any) -> Any:
    """A factor for each element, no two alike."""
    numbers = dt.cos(dt.arange(x.numel(), dtype=dt.float32, device="cpu"))
    return numbers.reshape(x.shape).to(x.device, x.dtype)


def difference(case: Case, ours: Any, theirs: Any) -> str | None:
    """What is wrong with an outcome, held against that of the cpu; None if nothing is."""
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        if type(ours) is type(theirs):
            return None
        return f"{ours!r}, and on the cpu {theirs!r}"
    for number, (one, two) in enumerate(zip(ours, theirs, strict=True)):
        if not isinstance(one, dt.Tensor) or not isinstance(two, dt.Tensor):
            if one is not two and one != two:
                return f"result {number} is {one!r}, and on the cpu {two!r}"
            continue
        if one.shape != two.shape:
            return f"result {number} has shape {list(one.shape)}, and on the cpu {list(two.shape)}"
        one, two = one.detach().cpu(), two.detach()
        if case.name in AMBIGUOUS:
            one, two = one.abs(), two.abs()
        size = two.element_size() // (2 if two.is_complex() else 1)
        rtol, atol = LIMITS.get(size, (0.0, 0.0)) if one.dtype.kind != "int" else (0.0, 0.0)
        if not dt.allclose(one.to(two.dtype), two, rtol=rtol, atol=atol, equal_nan=True):
            return f"result {number} is {one.tolist()}, and on the cpu {two.tolist()}"
    return None


def works(device: Any) -> str:
    """The outcome of one operation and its derivative on a device, as a word or an error."""
    try:
        x = dt.tensor([1.0, 2.0], device=device, requires_grad=True)
        (x * x).sum().backward()
        found = x.grad.tolist()  # type: ignore[union-attr]
    except Exception as error:  # a library may fail in any way
        return f"FAILS: {' '.join(str(error).split()) or type(error).__name__}"
    return "works" if found == [2.0, 4.0] else f"FAILS: 2 * [1, 2] is {found}"


def run(options: argparse.Namespace) -> int:
    """Do what the options say; return the exit status, 1 if something differs."""
    device = dt.device(options.device).resolve()
    double = dt.float64 in device.backend.native
    name = device.backend.properties(device.index)["name"] if device.index is not None else "host"
    sys.stdout.write(f"{device} ({name}) beside the cpu, in {'float64' if double else 'float32'}\n")
    count, wrong = 0, []
    for case in cases(options.only):
        xs = [x if double else narrow(x) for x in case.tensors()]
        found = difference(case, outcome(case, xs, device), outcome(case, xs, dt.device("cpu")))
        count += 1
        if found:
            wrong.append(case.name)
            sys.stdout.write(f"{case.name}: {found[:500]}\n")
    sys.stdout.write(
        f"{count} examples: {len(wrong)} differ ({', '.join(sorted(set(wrong)))})\n"
        if wrong
        else f"{count} examples, values and derivatives: all agree\n"
    )
    return 1 if wrong or not count else 0


def narrow(x: Any) -> Any:
    """`x` in the types of a device without double precision."""
    if x.dtype is dt.float64:
        return x.to(dt.float32)
    return x.to(dt.complex64) if x.dtype is dt.complex128 else x
