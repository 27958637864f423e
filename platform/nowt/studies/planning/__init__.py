"""The cost of a study, and the number of seeds that it needs."""
