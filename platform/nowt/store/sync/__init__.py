"""The record keeper: MLflow's server behind a password, what waits for it, and stores that are joined, copied and
brought back. Nothing here imports torch."""
