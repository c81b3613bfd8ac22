"""Data sources, masking, pre-training, fine-tuning, export: from barcodes to a checkpoint."""
