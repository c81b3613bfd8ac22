"""From barcodes to a trained model: data sets, batches, pre-training, fine-tuning, export."""
