"""Certificates: a rule against what it promises."""
