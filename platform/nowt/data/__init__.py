"""Data sets, splits, transforms and the pixel cache."""
