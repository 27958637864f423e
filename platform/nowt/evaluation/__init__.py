"""Certifies rules, and probes the checkpoints of finished runs."""
