"""Data sets: metadata dumps cleaned, de-duplicated and divided into partitions; simulation."""
