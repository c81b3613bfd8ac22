"""Evaluation of models: probes, their scores, the masking study, maps."""
