"""Sharded training by name (``torch.distributed.fsdp``): it is not available."""

from devtensor.distributed import ONE
from devtensor.refusal import refused

NAMES = """
BackwardPrefetch CPUOffload CPUOffloadPolicy FSDPModule FullStateDictConfig
FullyShardedDataParallel LocalStateDictConfig MixedPrecision MixedPrecisionPolicy OffloadPolicy
ShardingStrategy StateDictType fully_shard register_fsdp_forward_method
"""
for _name in NAMES.split():
    globals()[_name] = refused(f"distributed.fsdp.{_name}", ONE)
