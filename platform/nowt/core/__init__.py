"""What every other folder stands on: errors, typed fields, seeds, plugins."""
