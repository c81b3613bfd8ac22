"""Worlds of the open-world benchmark: what stands in the references, and what is asked of them.

In: a prepared data set. Out: `Part`s, references with sets of queries and their true names.
Guarded by tests/benchmarks/test_worlds.py.
"""
