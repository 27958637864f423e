"""Tests of the benchmarks, at the smallest size."""
