"""From epoch logs to frames, statistics, figures and tables: ``python -m analysis STUDY`` or ``nowt report``."""
