"""Logs for TensorBoard (``torch.utils.tensorboard``), written by its own package."""

from devtensor.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
