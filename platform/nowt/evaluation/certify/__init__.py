"""Certificates: numerical checks of what a learning rule promises, above all that it does not transport weights."""
