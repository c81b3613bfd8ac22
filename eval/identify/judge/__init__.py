"""From neighbours to probabilities: strands, alignments, evidence, calibration."""
