"""A metadata dump becomes a clean, partitioned data set."""
