"""What a model is worth: subjects, probes, scores and studies."""
