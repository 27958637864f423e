"""Single runs, ablations and searches."""
