"""``nowt upgrade``: gives the runs of a store that an earlier version wrote the keys that they have today."""
