"""What works on graphs (``torch.fx.passes``)."""
