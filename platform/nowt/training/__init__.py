"""One training run: loop, optimizer, schedule, alignment and checkpoints."""
