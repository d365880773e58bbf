"""Calls to other processes by name (``torch.distributed.rpc``): they are not available."""

from devtensor.distributed import ONE
from devtensor.refusal import refused


def is_available() -> bool:
    """Whether other processes can be called: no."""
    return False


NAMES = """
BackendType PyRRef RRef RpcBackendOptions TensorPipeRpcBackendOptions WorkerInfo get_worker_info
init_rpc remote rpc_async rpc_sync shutdown
"""
for _name in NAMES.split():
    globals()[_name] = refused(f"distributed.rpc.{_name}", ONE)
