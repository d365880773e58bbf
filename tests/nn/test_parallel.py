"""Modules for several devices, and helpers that stand beside layers."""

import pytest
import torch

import devtensor as dt
from devtensor import nn
from devtensor.nn import parallel
from devtensor.nn.modules.utils import _pair, _triple, consume_prefix_in_state_dict_if_present

DEVICES = ["strict:0", "strict:1"]


def test_tensors_are_parted_among_devices_and_put_together():
    x, y = dt.arange(10.0).reshape(5, 2), dt.arange(5)
    parts = parallel.scatter((x, {"y": y, "name": "n"}, [x]), DEVICES)
    assert len(parts) == 2
    for number, (part, named, listed) in enumerate(parts):
        assert part.device == dt.device(DEVICES[number]) == named["y"].device == listed[0].device
        assert len(part) == len(named["y"]) == [3, 2][number] and named["name"] == "n"
    back = parallel.gather([part for part, _, _ in parts], "cpu")
    assert back.device.type == "cpu" and back.tolist() == x.tolist()
    both = parallel.gather([(p, {"y": n["y"]}) for p, n, _ in parts], "cpu")
    assert both[1]["y"].tolist() == y.tolist() and isinstance(both, tuple)
    assert parallel.gather([dt.tensor(1.0), dt.tensor(2.0)], "cpu").tolist() == [1, 2]
    assert parallel.gather([None, None], "cpu") is None


def test_copies_of_a_module_run_where_they_are():
    layer = nn.Linear(2, 1)
    copies = parallel.replicate(layer, DEVICES)
    x = dt.ones(4, 2)
    outs = parallel.parallel_apply(copies, parallel.scatter(x, DEVICES))
    assert parallel.gather(outs, "cpu").tolist() == layer(x).tolist()
    assert parallel.data_parallel(layer, x).tolist() == layer(x).tolist()
    wrapped = nn.DataParallel(layer, device_ids=[0, 1])
    assert wrapped(x).tolist() == layer(x).tolist()
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]


def test_a_prefix_comes_off_a_state():
    rows = []
    for t in (torch, dt):
        model = t.nn.DataParallel(t.nn.Sequential(t.nn.Linear(2, 2), t.nn.BatchNorm1d(2)))
        state = model.state_dict()
        consume = (
            torch.nn.modules.utils.consume_prefix_in_state_dict_if_present
            if t is torch
            else consume_prefix_in_state_dict_if_present
        )
        consume(state, "module.")
        rows.append([*state])
        model.module.load_state_dict(state)
    assert rows[1] == rows[0]


def test_tuples_of_numbers():
    utils = torch.nn.modules.utils
    for x in (3, (1, 2), [4, 5]):
        assert _pair(x) == utils._pair(x)
    assert _triple(2) == utils._triple(2)


def test_layers_stand_in_the_older_package_too():
    assert nn.modules.Conv2d is nn.Conv2d and nn.modules.Module is nn.Module
    with pytest.raises(AttributeError, match="has no attribute 'shine'"):
        nn.modules.shine  # noqa: B018
