"""A reference library: made, calibrated, opened."""
