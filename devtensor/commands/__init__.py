"""What ``python -m devtensor`` can do. Each module is written on the public names alone."""
