"""Honest rules that do things in unusual ways, and that no check may blame."""
