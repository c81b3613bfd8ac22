"""Letters in, vector out: a whole model as one ONNX graph, made and run without torch."""
