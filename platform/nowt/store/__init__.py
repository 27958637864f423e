"""The store: one folder with epoch logs, study files, checkpoints and databases."""
