"""Sentences about a study: captions, findings and the methods paragraph."""
