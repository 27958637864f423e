"""Theme, axes, legends and layout that the figures share."""
