"""From nearest references to probabilities: strand, alignment, evidence, calibration."""
