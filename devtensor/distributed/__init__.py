"""Training by several processes, by name (``torch.distributed``): it is not available.

A program that asks first goes on by itself; one that does not is told.
"""

from __future__ import annotations

from enum import Enum
from importlib import import_module
from typing import Any

from devtensor.refusal import absent, refused

ONE = (
    "devtensor trains in one process; start the program without torchrun, or let it ask "
    "torch.distributed.is_available() first"
)
NO_GROUP = (
    "Default process group has not been initialized, please make sure to call init_process_group."
)


class ReduceOp(Enum):
    """How values of several processes are made one."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7


class DistError(RuntimeError):
    """An error of a process group, of which there is none."""


def is_available() -> bool:
    """False."""
    return False


def is_initialized() -> bool:
    """False."""
    return False


def is_torchelastic_launched() -> bool:
    """False."""
    return False


is_gloo_available = is_mpi_available = is_nccl_available = is_ucc_available = is_available
is_xccl_available = is_available


def destroy_process_group(group: Any = None) -> None:
    """Refuse, as there is no group.

    Raises
    ------
    ValueError
        Always, as in PyTorch without a group.
    """
    raise ValueError(NO_GROUP)


def get_rank(group: Any = None) -> int:
    """Refuse, as there is no group.

    Raises
    ------
    ValueError
        Always, as in PyTorch without a group.
    """
    raise ValueError(NO_GROUP)


def get_world_size(group: Any = None) -> int:
    """Refuse, as there is no group.

    Raises
    ------
    ValueError
        Always, as in PyTorch without a group.
    """
    raise ValueError(NO_GROUP)


def is_backend_available(backend: str) -> bool:
    """False."""
    return False


class DistBackendError(DistError):
    """An error of a library for several processes."""


class DistNetworkError(DistError):
    """An error between machines."""


class DistStoreError(DistError):
    """An error of what processes share."""


class GroupMember:
    """The groups that a process is in."""

    WORLD: Any = None
    NON_GROUP_MEMBER = object()


class group(GroupMember):
    """The same, by an older name."""


NAMES = """
DeviceMesh FileStore HashStore P2POp PrefixStore ProcessGroup Store TCPStore Work all_gather
all_gather_into_tensor all_gather_object all_reduce all_to_all all_to_all_single barrier
batch_isend_irecv broadcast broadcast_object_list gather gather_object get_backend
get_default_backend_for_device get_global_rank get_group_rank get_process_group_ranks
init_device_mesh init_process_group irecv isend monitored_barrier new_group
new_subgroups recv recv_object_list reduce reduce_scatter reduce_scatter_tensor scatter
scatter_object_list send send_object_list
"""
device_mesh = absent("distributed.device_mesh")
for _name in NAMES.split():
    globals()[_name] = refused(f"distributed.{_name}", ONE)


def __getattr__(name: str) -> Any:
    if name in ("fsdp", "rpc"):  # programs ask for what is in them without importing them
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
