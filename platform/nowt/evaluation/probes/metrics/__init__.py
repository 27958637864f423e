"""The metrics that nowt ships for ``nowt probe``."""
