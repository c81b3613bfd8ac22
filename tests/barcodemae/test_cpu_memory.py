import subprocess
import sys

import pytest


PROBE = """
import resource, sys
import torch
from barcodemae.cpu_memory import reuse_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(25_000_000)  # 100 MB: too large to be kept by default
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.ones(25_000_000)
default = faults()
assert reuse_freed_memory()
faults()
print(default, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_blocks_that_were_freed_are_used_again():
    result = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    if "AssertionError" in result.stderr:
        pytest.skip("not glibc")
    default, kept = map(int, result.stdout.split())
    assert kept * 100 < default


RETURNING = """
import psutil, torch
from barcodemae.cpu_memory import return_freed_memory, reuse_freed_memory

def resident():
    return psutil.Process().memory_info().rss >> 20

assert reuse_freed_memory()
blocks = [torch.ones(250_000) for _ in range(400)]  # 1 MB each
kept, blocks = blocks[::10], None  # lie between those that are free
before = resident()
assert return_freed_memory()
print(before - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc only")
def test_pages_between_blocks_in_use_are_given_back():
    result = subprocess.run([sys.executable, "-c", RETURNING], capture_output=True, text=True)
    if "AssertionError" in result.stderr:
        pytest.skip("not glibc")
    assert int(result.stdout) > 300
