"""Rules that cheat, one file for each kind, each with the checks that must find it."""
