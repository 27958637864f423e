"""The version of nowt, written into epoch logs, certificates and reports."""

VERSION = "0.1.0"  # pyproject.toml has the same: a test compares them
