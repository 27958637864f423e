"""What a study will cost, and how many seeds it needs."""
