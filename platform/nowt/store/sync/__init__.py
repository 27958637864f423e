"""Copies between stores: merge, pull, backup and restore, and checkpoints in a bucket. Nothing here imports torch."""
