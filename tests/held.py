"""What the generic tests hold of each operation, and on which device.

It is read off the tests themselves: the examples that they are parametrised by, and their lists of
exceptions. The page of the docs is made from it, and test_held.py holds it against what CI runs.
"""

import warnings
from collections.abc import Callable
from itertools import product
from typing import NamedTuple

import test_catalogue as laws
import test_torch
from devtensor.op import catalogue
from func import test_every_op as transforms
from samples import Case, case_of, tracked

DEVICES = ("cpu", "strict", "xpu", "cuda")
DERIVATIVES = ("gradient", "double gradient")


class Law(NamedTuple):
    """A generic test: where CI runs it, what it holds there, and why it leaves an example out."""

    test: Callable
    devices: tuple[str, ...]
    columns: tuple[str, ...]
    words: str
    why: Callable[[Case], str | None]


def unlike(case):
    """Why an example is not tried beside PyTorch."""
    apart = test_torch.APART
    return apart.get(case.name) or apart.get(case.id) or "its own tests call PyTorch otherwise"


def unmapped(case):
    """Why an example is not mapped over."""
    return transforms.APART.get(case.name) or transforms.APART.get(case.id)


def no_second_slope(case):
    return laws.rough(case) or laws.NO_SECOND_SLOPE.get(case.id)


LAWS = (
    Law(test_torch.test_values_and_gradients, ("cpu",), ("forward",), "beside PyTorch", unlike),
    Law(laws.test_gradient_is_the_slope, ("cpu",), ("gradient",),
        "against finite differences", laws.rough),
    Law(laws.test_gradient_of_the_gradient_is_its_slope, ("cpu",), ("double gradient",),
        "against finite differences of the gradient", no_second_slope),
    Law(laws.test_other_devices_agree_with_the_cpu, ("strict", "xpu", "cuda"),
        ("forward", *DERIVATIVES), "beside the cpu", lambda case: None),
    Law(laws.test_what_ends_in_an_underscore_writes_its_first_input, ("cpu", "strict", "xpu"),
        ("forward",), "beside the form that writes nothing", lambda case: None),
    Law(transforms.test_a_batch_is_what_its_examples_are, ("cpu", "strict"), ("vmap",),
        "against a loop over the examples, values and gradients", unmapped),
)  # fmt: skip
COLUMNS = ("forward", *DERIVATIVES, "vmap")


class Row(NamedTuple):
    """What is held of an operation.

    Attributes
    ----------
    name : str
    cells : dict
        To each column and device the number of examples that are tried there.
    examples : dict
        To each column the number of examples that there could be.
    notes : tuple of str
        Why some are left out.
    """

    name: str
    cells: dict[tuple[str, str], int]
    examples: dict[str, int]
    notes: tuple[str, ...]


def carries(case):
    """Whether a result of an example has gradients."""
    try:
        return bool(tracked(case.call(case.tensors("cpu", True))))
    except RuntimeError as refused:  # such a call is an example all the same
        assert "grad" in str(refused), case
        return False


def row(entry):
    """What is held of an entry of the catalogue."""
    cases = [case_of(entry, number) for number in range(len(entry.examples))]
    moving = [case for case in cases if carries(case)]
    every = {"forward": cases, **dict.fromkeys(DERIVATIVES, moving)}
    every["vmap"] = [case for case in cases if case.samples()]
    cells = dict.fromkeys(product(COLUMNS, DEVICES), 0)
    notes = []
    for law in LAWS:
        for column in law.columns:
            held = {case.id for case in law.test.groups.get(entry.name, ())}
            for device in law.devices:
                cells[column, device] += sum(case.id in held for case in every[column])
            left = [case for case in every[column] if case.id not in held]
            found = [law.why(case) for case in left if laws.plain(entry)]
            notes += [f"{column}: {reason}" for reason in found if reason]
    if not cases:
        notes = ["random numbers have tests of their own"]
    elif entry.name in laws.UNSET:
        notes = ["what it holds is anything"]
    elif not laws.plain(entry):
        notes = ["it writes over its input"]
    counts = {column: len(listed) for column, listed in every.items()}
    return Row(entry.name, cells, counts, tuple(dict.fromkeys(notes)))


def rows(entries=None):
    """A row to each public operation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            row(entry)
            for entry in sorted(entries or catalogue.values(), key=lambda entry: entry.name)
            if entry.public and not entry.name.startswith("_")
        ]


def shown(row, column):
    """A cell: the devices, with numbers where not every example is tried."""
    every = row.examples[column]
    if not every:
        return "–" if row.examples["forward"] else "none"
    parts = []
    for device in DEVICES:
        held = row.cells.get((column, device), 0)
        if held:
            parts.append(device if held == every else f"{device} {held}/{every}")
    return ", ".join(parts) or "none"
