"""The names that programs use most, of a census of 693 of them, are there.

``census.txt`` has them in the order of how many programs use them.
"""

from pathlib import Path

import pytest

import devtensor as dt
from devtensor.commands.check import lacks

NAMES = (Path(__file__).parent / "census.txt").read_text().split()

REFUSED = {
    "torch.distributed.init_process_group": "one process trains",
    "torch.distributed.get_default_backend_for_device": "one process trains",
    "torch.distributed.all_reduce": "one process trains",
    "torch.distributed.fsdp.fully_shard": "one process trains",
    "torch.nn.parallel.DistributedDataParallel": "one process trains",
    "torch.onnx._export": "nothing writes ONNX files",
    "torch.nested.nested_tensor": "a tensor has one shape",
    "torch.mtia.memory_allocated": "no such device",
    "torch.mtia.max_memory_allocated": "no such device",
    "torch.mtia.reset_peak_memory_stats": "no such device",
}
ABSENT: dict[str, str] = {}
"""What is not there, and why: when it comes, it is to be taken off these lists."""


def objects():
    """Something of each class whose attributes are its instances'."""
    module = dt.nn.Linear(1, 1)
    return {
        "torch.nn.Module": module,
        "torch.optim.Optimizer": dt.optim.SGD(module.parameters(), lr=1.0),
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_name_resolves(name):
    why = lacks(name)
    if name in REFUSED:
        assert why is not None and why.startswith(f"torch.{name[6:].replace('._', '.')}: ")
    elif name in ABSENT:
        assert why is not None and "devtensor lacks" in why
    elif why is not None:
        owner, _, last = name.rpartition(".")
        assert hasattr(objects()[owner], last)


def test_of_the_first_five_hundred_few_are_missing():
    assert not [name for name in NAMES[:500] if name in ABSENT]
    assert len([name for name in NAMES[:500] if name in REFUSED]) <= 7
    assert {*REFUSED, *ABSENT} <= {*NAMES}
