"""Quotients that are rounded, what they leave, and neighbours: signs of zero, infinities, NaN."""

import math
from itertools import product

import pytest

import devtensor as dt

torch = pytest.importorskip("torch")
NUMBERS = (0.0, 1.0, 2.5, 3.0, 0.1, 65504.0, math.inf)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", ["remainder", "fmod", "floor_divide", "nextafter"])
def test_quotients_and_neighbours_of_special_numbers(device, name, dtype):
    if getattr(dt, dtype) not in dt.device(device).resolve().backend.native:
        pytest.skip(f"{device} has no {dtype}")
    numbers = [*NUMBERS, *(-x for x in NUMBERS), math.nan]
    pairs = list(zip(*product(numbers, numbers), strict=True))
    wanted = getattr(torch, name)(*(torch.tensor(x, dtype=getattr(torch, dtype)) for x in pairs))
    given = (dt.tensor(x, dtype=getattr(dt, dtype), device=device) for x in pairs)
    found = getattr(dt, name)(*given).cpu()
    wanted = dt.tensor(wanted.tolist(), dtype=found.dtype)
    dt.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)
    there = ~wanted.isnan()  # a NaN has no sign that counts
    assert (found.signbit() == wanted.signbit())[there].all()


@pytest.mark.parametrize("name", ["remainder", "fmod", "floor_divide"])
def test_quotients_of_the_least_integers(device, name):
    numbers = [-128, -127, -3, -1, 1, 3, 127]
    pairs = [(a, b) for a, b in product([0, *numbers], numbers) if (a, b) != (-128, -1)]
    a, b = zip(*pairs, strict=True)
    wanted = getattr(torch, name)(*(torch.tensor(x, dtype=torch.int8) for x in (a, b)))
    found = getattr(dt, name)(*(dt.tensor(x, dtype=dt.int8, device=device) for x in (a, b)))
    assert found.tolist() == wanted.tolist()
