"""Real barcodes that come with the package, and the library that `--reference demo` means."""
