"""nowt, "no weight transport": networks whose error travels back through weights of its own."""

__version__ = "0.1.0"
