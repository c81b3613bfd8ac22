"""Reference libraries: how they are written, calibrated and opened."""
