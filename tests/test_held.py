"""The page on what is held of each operation says no more than what is run."""

import re
import sys
from itertools import product
from pathlib import Path

import pytest

import held
from devtensor.op import catalogue

ROOT = Path(__file__).parent.parent
ROWS = held.rows()


def commands():
    """Half of the tests (or all), the file, device and choice of CI's runs on further devices."""
    text = re.sub(r"\\\n\s*", "", (ROOT / ".ci/run").read_text(encoding="utf-8"))
    half = r'^ *(?:PYTEST_ADDOPTS="--half (\d)" *|\S+ +)?'
    run = r"python -m pytest -q (tests/\S+) --device (\w+):\d -k (\S+|\".*?\")(?: &)?$"
    return re.findall(half + run, text, re.M)


@pytest.mark.parametrize("law", held.LAWS, ids=lambda law: law.test.__name__)
def test_ci_runs_it_there(law):
    file = Path(sys.modules[law.test.__module__].__file__).relative_to(ROOT).as_posix()
    for device in law.devices:
        if device in ("cpu", "strict"):
            continue
        halves = {
            half
            for half, listed, name, words in commands()
            if (listed, name) == (file, device)
            and all(
                part.partition(":")[0] == device or part in law.test.__name__
                for part in words.strip('"').split(" and ")
            )
        }
        assert "" in halves or halves == {"0", "1"}, device


def test_every_public_operation_has_a_row():
    public = [e.name for e in catalogue.values() if e.public and not e.name.startswith("_")]
    assert [row.name for row in ROWS] == sorted(public)


def test_what_is_left_out_has_a_reason():
    for row in ROWS:
        for law in held.LAWS:
            for column, device in product(law.columns, law.devices):
                left = row.cells[column, device] < row.examples[column]
                assert not left or row.notes, (row.name, column, device)
        assert row.notes or row.examples["forward"], row.name


def test_an_exception_shows(monkeypatch):
    """A row is read off the lists of the tests."""
    entry = catalogue["tanh"]
    before = held.row(entry)
    assert [held.shown(before, column) for column in held.COLUMNS] == [
        "cpu, strict, xpu, cuda",
        "cpu, strict, xpu, cuda",
        "cpu, strict, xpu, cuda",
        "cpu, strict",
    ]
    slopes = next(law.test for law in held.LAWS if law.columns == ("gradient",))
    monkeypatch.setitem(slopes.groups, "tanh", slopes.groups["tanh"][1:])
    after = held.row(entry)
    assert after.cells["gradient", "cpu"] == before.cells["gradient", "cpu"] - 1
    assert after.cells["gradient", "xpu"] == before.cells["gradient", "xpu"]
