"""The figures: frames in, Altair charts out."""
