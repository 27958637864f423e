"""Runs that several Ray Train workers share."""
