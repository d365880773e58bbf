"""PyTorch's former place for weights from the network (``torch.utils.model_zoo``)."""

from devtensor.hub import load_state_dict_from_url as load_url
from devtensor.hub import tqdm

__all__ = ["load_url", "tqdm"]
