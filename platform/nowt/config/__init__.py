"""Run configurations, run keys and recipes."""
