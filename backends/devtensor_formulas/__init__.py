"""Kernels that are written from the formulas of operations, for the devices that compile source."""
