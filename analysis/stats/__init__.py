"""Functions from data frames to data frames."""
