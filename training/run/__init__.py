"""A training run: settings, set-up, loop, checkpoints and history."""
