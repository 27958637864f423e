"""Functions from data frames to Altair charts."""
