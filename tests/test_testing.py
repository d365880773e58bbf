"""Comparing tensors in tests, beside PyTorch's."""

import numpy as np
import pytest
import torch

import devtensor as dt

CASES = {
    "close": (lambda t: (t.tensor([1.0, 2.0]), t.tensor([1.0, 2.5])),
              [{}, {"rtol": 0.5, "atol": 0.0}, {"rtol": 1e-3, "atol": 1e-3, "msg": "m"},
               {"msg": lambda s: "X" + s}, {"rtol": 1e-3}, {"atol": 1e-3}]),
    "number": (lambda t: (1.0, 1.5), [{}, {"rtol": 0, "atol": 0}, {"rtol": 1, "atol": 0}]),
    "integers": (lambda t: (t.tensor([1, 2, 3]), t.tensor([1, 5, 3])), [{}]),
    "bools": (lambda t: (t.tensor([True, False]), t.tensor([True, True])), [{}]),
    "shape": (lambda t: (t.ones(2), t.ones(3)), [{}]),
    "dtype": (lambda t: (t.ones(2), t.ones(2, dtype=t.float64)), [{}, {"check_dtype": False}]),
    "stride": (lambda t: (t.ones(2, 3), t.ones(3, 2).T), [{}, {"check_stride": True}]),
    "nan": (lambda t: (t.tensor([float("nan")]), t.tensor([float("nan")])),
            [{}, {"equal_nan": True}]),
    "nan number": (lambda t: (float("nan"), float("nan")), [{}, {"equal_nan": True}]),
    "sequence": (lambda t: ([t.ones(2), t.ones(2)], [t.ones(2), t.zeros(2)]), [{}]),
    "lengths": (lambda t: ([t.ones(2)], [t.ones(2), t.zeros(2)]), [{}]),
    "mapping": (lambda t: ({"a": t.ones(2)}, {"a": t.zeros(2)}), [{}, {"msg": "m"}]),
    "keys": (lambda t: ({"a": t.ones(2)}, {"b": t.zeros(2)}), [{}]),
    "more keys": (lambda t: ({"a": 1, "b": 2}, {"b": 2}), [{}]),
    "kinds": (lambda t: (t.ones(2), [1.0, 1.0]), [{}]),
    "number and tensor": (lambda t: (1, t.ones(())), [{}]),
    "nothing": (lambda t: (None, None), [{}]),
    "text": (lambda t: ("a", "b"), [{}]),
    "objects": (lambda t: (object(), object()), [{}]),
    "int and float": (lambda t: (1, 1.0), [{}, {"check_dtype": False}]),
    "two bools": (lambda t: (True, False), [{}]),
    "complex": (lambda t: (t.tensor([1 + 2j]), t.tensor([1 + 3j])), [{}]),
    "0-d": (lambda t: (t.tensor(1.0), t.tensor(2.0)), [{}]),
    "matrix": (lambda t: (t.zeros(2, 3), t.tensor([[0, 0, 0], [0, 1.0, 2]])), [{}]),
    "infinity": (lambda t: (t.tensor([float("inf"), 1]), t.tensor([1.0, 1])), [{}]),
    "nested": (lambda t: ([[t.ones(1)]], [[t.zeros(1)]]), [{}]),
    "int": (lambda t: (3, 5), [{}]),
    "empty": (lambda t: (t.ones(0), t.ones(0)), [{}]),
    "half": (lambda t: (t.ones(2, dtype=t.float16), t.ones(2, dtype=t.float16) * 1.1), [{}]),
    "gradients": (lambda t: (t.ones(2, requires_grad=True), t.ones(2)), [{}]),
    "arrays": (lambda t: (np.ones(2), np.zeros(2)), [{}]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_verdicts_and_messages_are_pytorchs(name):
    make, settings = CASES[name]
    for given in settings:
        verdicts = []
        for t in (torch, dt):
            try:
                t.testing.assert_close(*make(t), **given)
                verdicts.append(None)
            except Exception as error:
                text = str(error).replace("devtensor.tensor.Tensor", "torch.Tensor")
                verdicts.append((type(error), text))
        assert verdicts[1] == verdicts[0]


def test_devices_and_subclasses():
    x = dt.ones(2)
    with pytest.raises(AssertionError, match="'device' do not match: cpu != strict:0"):
        dt.testing.assert_close(x, x.to("strict:0"))
    dt.testing.assert_close(x, x.to("strict:0"), check_device=False)
    with pytest.raises(TypeError):
        dt.testing.assert_close(dt.nn.Parameter(x), x, allow_subclasses=False)
    dt.testing.assert_close(dt.nn.Parameter(x), x)


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8", "bool", "complex64"])
def test_tensors_are_made_within_bounds(dtype):
    made = dt.testing.make_tensor((50, 4), dtype=getattr(dt, dtype), device="cpu")
    assert made.shape == (50, 4) and made.dtype is getattr(dt, dtype)
    if dtype not in ("bool", "complex64"):
        assert made.abs().max() <= 9
    assert len(set(made.flatten().tolist())) > 1
    few = dt.testing.make_tensor(3, 2, dtype=dt.float64, device="cpu", low=2, high=3)
    assert few.shape == (3, 2) and ((few >= 2) & (few < 3)).all()


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int16", "float16", "float64", "complex64"])
def test_random_tensors_are_made_as_in_pytorch(dtype):
    for lib in (dt, torch):
        make, kind = lib.testing.make_tensor, getattr(lib, dtype)
        apart = make((2, 40), dtype=kind, device="cpu", noncontiguous=True, exclude_zero=True)
        assert apart.stride() == (160, 2) or apart.stride() == (80, 2)
        assert apart.dtype is kind and not apart.is_contiguous() and bool((apart != 0).all())
        numbers = make(500, dtype=kind, device="cpu")
        if kind not in (lib.bool, lib.complex64):
            least = 0 if kind is lib.uint8 else -9
            assert least <= numbers.min() and numbers.max() <= 9
        given = {"dtype": kind, "device": "cpu"}
        with pytest.raises(ValueError, match="`low` must be less than `high`, but got 3 >= 1"):
            make(2, low=3, high=1, **given)
        with pytest.raises(ValueError, match="`low` and `high` cannot be NaN"):
            make(2, low=0, high=float("nan"), **given)
        with pytest.raises(ValueError, match="are mutually exclusive"):
            make(2, noncontiguous=True, memory_format=lib.contiguous_format, **given)
        if dtype not in ("float64", "complex64"):
            with pytest.raises(ValueError, match=r"The value interval specified .* only supports"):
                make(2, low=1e6, high=1e7, **given)
        if dtype in ("bool", "uint8", "int16"):
            with pytest.raises(ValueError, match="not supported for boolean and integral dtypes"):
                make(2, requires_grad=True, **given)
        else:
            assert make(2, requires_grad=True, **given).requires_grad
        with pytest.raises(TypeError, match="The requested dtype 'a' is not supported"):
            make(2, dtype="a", device="cpu")
