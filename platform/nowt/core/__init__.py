"""The basis of every other folder: errors, typed fields, seeds, plugins."""
