"""Runs a study: in this process, on Ray Tune or on Ray Train."""
