"""Makes the catalogue's examples into calls, here and on PyTorch."""

import inspect
import zlib
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

import devtensor as dt
from devtensor.dtype import dtype as Dtype
from devtensor.example import Sample
from devtensor.op import catalogue

torch.set_num_threads(1)

# Parameters of composites for which a tuple of numbers is just that, and no shape of a tensor.
PLAIN = {
    "s",
    "antialias",
    "destination",
    "dilation",
    "dim",
    "dims",
    "indices_or_sections",
    "kernel_size",
    "lambd",
    "normalized_shape",
    "output_padding",
    "output_ratio",
    "output_size",
    "pad",
    "padding",
    "repeats",
    "scale_factor",
    "shape",
    "shapes",
    "size",
    "sizes",
    "source",
    "split_size_or_sections",
    "stride",
}


@dataclass(frozen=True)
class Case:
    """One example of one entry of the catalogue.

    Attributes
    ----------
    args : tuple
        As the entry has them, with a `Sample` for each tensor.
    kwargs : dict
    held : tuple of bool
        For each tensor, whether it can have no gradient: a running statistic.
    complex : bool
        Whether complex data stand in the place of real ones.
    """

    name: str
    number: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    held: tuple[bool, ...] = ()
    complex: bool = False

    @property
    def entry(self):
        return catalogue[self.name]

    @property
    def op(self):
        return self.entry.op

    @property
    def id(self):
        return f"{self.name}-{self.number}"

    def __repr__(self):
        args, kwargs = self.filled(lambda sample: Shown(sample))
        named = [f"{name}={value!r}" for name, value in kwargs.items()]
        return f"{self.name}({', '.join([*map(repr, args), *named])})"

    def arrays(self, change=None):
        """The data of the tensors in order; `change(array, sample)` may make other data of it."""
        random = np.random.default_rng(zlib.crc32(self.id.encode()))
        found = []
        for sample in self.samples():
            array = np.asarray(data(sample, random))
            if self.complex and array.dtype.kind == "f":
                array = np.asarray(complexified(array, sample, random))
            found.append(array if change is None else change(array, sample))
        return found

    def samples(self):
        found = []
        self.filled(found.append)
        return found

    def filled(self, make):
        """The arguments with `make(sample)` in the place of each tensor."""
        return fill(self.args, make), fill(self.kwargs, make)

    def tensors(self, device=None, grad=False, arrays=None):
        """The tensors of the call, on the default device if none is named."""
        arrays = self.arrays() if arrays is None else arrays
        return [
            tensor(array, device, grad and not held)
            for array, held in zip(arrays, self.held, strict=True)
        ]

    def call(self, tensors, function=None):
        """The function called with `tensors`."""
        rest = iter(tensors)
        args, kwargs = self.filled(lambda sample: next(rest))
        return (function or self.entry.function)(*args, **kwargs)


class Shown(NamedTuple):
    """A sample as failures show it."""

    sample: Sample

    def __repr__(self):
        shown = self.sample.data if self.sample.kind == "fixed" else list(self.sample.shape)
        return f"{self.sample.kind} {shown}"


def fill(value, make):
    if isinstance(value, Sample):
        return make(value)
    if isinstance(value, (tuple, list)) and type(value) in (tuple, list):
        return type(value)([fill(part, make) for part in value])
    if isinstance(value, dict):
        return {name: fill(part, make) for name, part in value.items()}
    return value


def data(sample, random):
    """NumPy data of the kind that a sample describes."""
    shape = sample.shape
    match sample.kind:
        case "normal":
            return random.standard_normal(shape)
        case "positive":
            return random.uniform(0.5, 2, shape)
        case "unit":
            return random.uniform(-0.9, 0.9, shape)
        case "distinct":
            count = int(np.prod(shape))
            values = (np.arange(count) - count // 2 + 0.4) * (4 / max(count, 1))
            return random.permutation(values).reshape(shape)
        case "ints":
            return random.integers(sample.low, sample.high, shape)
        case "bools":
            return random.random(shape) < 0.5
        case "spd":
            n = shape[-1]
            root = random.standard_normal(shape)
            return root @ np.swapaxes(root, -1, -2) / n + np.eye(n)
        case "complex":
            return random.standard_normal(shape) + 1j * random.standard_normal(shape)
        case "fixed":
            return np.array(sample.data)
    raise AssertionError(sample)


def complexified(array, sample, random):
    """Complex data of the kind of the real ones."""
    other = random.standard_normal(array.shape)
    if sample.kind == "spd":
        root = np.linalg.cholesky(array) + 0.5j * other
        return root @ np.swapaxes(root, -1, -2).conj()
    return array + 0.7j * other


def described(value, name, one):
    """A value in an example with a Sample in the place of each shape of a tensor.

    `one` says whether a bare tuple of numbers is a shape.
    """
    if isinstance(value, Sample):
        return value
    if isinstance(value, tuple):
        if any(isinstance(part, (Sample, tuple)) or part is None for part in value):
            return tuple([described(part, name, one) for part in value])
        return Sample("normal", value) if one else value
    if isinstance(value, list):
        if any(isinstance(part, (int, list)) for part in value):
            return value
        return [described(part, name, one) for part in value]
    return value


def case_of(entry, number):
    case = arguments(entry, number)
    signature = inspect.signature(entry.function)
    named = list(zip(signature.parameters, case.args, strict=False)) + list(case.kwargs.items())
    held = []
    for name, value in named:
        fill(value, lambda sample, name=name: held.append(name.startswith("running_")))
    return replace(case, held=(*held, *[False] * (len(case.samples()) - len(held))))


def arguments(entry, number):
    example = entry.examples[number]
    args = list(example) if isinstance(example, tuple) else [example]
    kwargs = args.pop() if args and isinstance(args[-1], dict) else {}
    op = entry.op
    if op is not None:
        inputs = op.inputs
        made = [
            described(a, "", i < len(inputs)) if i < len(inputs) else a for i, a in enumerate(args)
        ]
        named = {k: described(v, k, True) if k in inputs else v for k, v in kwargs.items()}
        return Case(entry.name, number, tuple(made), named)
    parameters = list(inspect.signature(entry.function).parameters.values())
    made = []
    for i, a in enumerate(args):
        star = next((p for p in parameters[: i + 1] if p.kind is p.VAR_POSITIONAL), None)
        parameter = star or parameters[i]
        made.append(described(a, parameter.name, parameter.name not in PLAIN))
    named = {k: described(v, k, k not in PLAIN) for k, v in kwargs.items()}
    return Case(entry.name, number, tuple(made), named)


def cases(wanted=lambda entry: True):
    """A case for each example of the entries that are `wanted`."""
    return [
        case_of(entry, number)
        for entry in catalogue.values()
        if wanted(entry)
        for number in range(len(entry.examples))
    ]


def law(listed):
    """Parametrise a test of a case by operation; it is called for each example of the operation."""
    groups: dict[str, list[Case]] = {}
    for case in listed:
        groups.setdefault(case.name, []).append(case)

    def decorate(function):
        parameters = list(inspect.signature(function).parameters.values())

        def test(name, **fixtures):
            for case in groups[name]:
                try:
                    function(case, **fixtures)
                except Exception as error:
                    error.add_note(f"in {case}")
                    raise

        test.__name__, test.__doc__, test.__module__ = (
            function.__name__,
            function.__doc__,
            function.__module__,
        )
        test.groups = groups
        named = parameters[0].replace(name="name")
        test.__signature__ = inspect.Signature([named, *parameters[1:]])
        return pytest.mark.parametrize("name", groups)(test)

    return decorate


def tensor(array, device=None, grad=False, module=dt):
    """An array as a tensor here or on PyTorch, floats and complex numbers with gradients.

    Without a `device` it is on the default one, which ``--default-device`` sets.
    """
    if module is torch:
        made = torch.from_numpy(np.array(array))
    else:
        made = dt.tensor(np.asarray(array), device=device)
    if grad and np.asarray(array).dtype.kind in "fc":
        made.requires_grad_()
    return made


def tensors(arrays, device=None, grad=False, module=dt):
    return [tensor(array, device, grad, module) for array in arrays]


def leaves(result):
    """The tensors in a result, in order."""
    if isinstance(result, (tuple, list)) and not isinstance(result, (dt.Size, torch.Size)):
        return [leaf for part in result for leaf in leaves(part)]
    return [result]


def tracked(result):
    """Those of the tensors in a result that carry gradients."""
    return [
        x for x in leaves(result) if isinstance(x, (dt.Tensor, torch.Tensor)) and x.requires_grad
    ]


def numpy(x):
    """The values of a tensor of either kind."""
    if isinstance(x, dt.Tensor):
        x = x.detach()
        return (
            np.asarray(x.cpu().tolist()).reshape(tuple(x.shape))
            if not x.device.backend.host
            else x.numpy()
        )
    if isinstance(x, torch.Tensor):
        x = x.detach().resolve_conj().resolve_neg()
        return (x.float() if x.dtype is torch.bfloat16 else x).numpy(force=True)
    return x


def cotangents(outs, module=dt, device=None):
    """A fixed random weight for each output."""
    random = np.random.default_rng(3)
    made = []
    for out in outs:
        array = random.standard_normal(tuple(out.shape))
        if out.is_complex():
            array = array + 1j * random.standard_normal(tuple(out.shape))
        x = tensor(array, device, module=module)
        made.append(x if x.dtype == out.dtype else x.to(out.dtype))
    return made


def on_torch(value):
    """Arguments as PyTorch has them."""
    if isinstance(value, Dtype):
        return getattr(torch, value.name)
    if type(value) in (tuple, list):
        return type(value)([on_torch(part) for part in value])
    if isinstance(value, dict):
        return {name: on_torch(part) for name, part in value.items()}
    return value


def oracle(entry):
    """What PyTorch calls an entry of the catalogue; None if it has no such thing."""
    if entry.oracle is None:
        return None
    if entry.oracle != "same":
        return lambda *args, **kwargs: entry.oracle(torch, *args, **kwargs)
    if not entry.public:
        return None
    name = entry.name
    places = {
        "nn": [torch.nn.functional],
        "linalg": [torch.linalg],
        "special": [torch.special],
    }.get(entry.home, [torch, torch.Tensor])
    for place in places:
        found = getattr(
            place, name.removeprefix("linalg_") if entry.home == "linalg" else name, None
        )
        if callable(found):
            return found
    return None


def call_torch(case, tensors):
    """The case's call on PyTorch."""
    function = oracle(case.entry)
    case = replace(case, args=on_torch(case.args), kwargs=on_torch(case.kwargs))
    return case.call(tensors, function)
