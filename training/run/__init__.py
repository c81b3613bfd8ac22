"""Training runs: settings, set-up, training loop, checkpoints and history."""
