"""References that are doubted: faults that `index` sees in passing, and the file of them."""
