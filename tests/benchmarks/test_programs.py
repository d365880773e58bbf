"""The programs that are timed beside PyTorch compute the same thing there."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def bench():
    spec = spec_from_file_location("bench_programs", Path(__file__).with_name("programs.py"))
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def both(bench, name, *arguments):
    assert name in [program for program, _ in bench.PROGRAMS.values()]
    return [bench.program(name, library)(arguments) for library in ("devtensor", "torch")]


def test_both_learn_digits(bench):
    assert min(both(bench, "cnn_digits", "--epochs", "1")) > 0.7  # from weights of their own


def test_both_learn_to_write(bench):
    (ours, plain), (theirs, too) = both(bench, "char_gpt", "--steps", "20")
    assert plain == pytest.approx(too, rel=1e-5)  # The trigrams' part draws nothing.
    assert ours == pytest.approx(theirs, rel=0.1)
