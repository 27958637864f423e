"""Evaluation of rules and runs: certificates of learning rules, and probes of kept checkpoints."""
