"""From epoch logs to frames, statistics, figures and tables: ``nowt report`` or ``python -m analysis``."""
