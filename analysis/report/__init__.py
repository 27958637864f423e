"""The report of a study or search."""
