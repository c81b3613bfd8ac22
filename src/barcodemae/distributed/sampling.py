"""The sample that `identify` estimates its mixture from, found by many workers.

In: blocks of records. Out: the records with the lowest hashes of all, which are those that one
machine would choose. Workers parse and hash; no model is needed.
Guarded by tests/barcodemae/distributed/test_sampling.py.
"""

from collections.abc import Callable, Iterable
from heapq import nsmallest

from barcodemae.distributed.blocks import Block
from barcodemae.distributed.crew import Crew, do_all
from barcodemae.distributed.shards import Shard
from barcodemae.eval.identify.stream import MAX_SAMPLED, choose_sample, hash_record
from barcodemae.fasta import SequenceRecord


Chosen = tuple[list[SequenceRecord], int]  # records with the lowest hashes, number of all


def choose_in_block(block: Block) -> Chosen:
    """Choose among the records of a block."""
    return choose_sample(iter(block.records()))


def open_sampling() -> Callable[[Block], Chosen]:
    """Open what a worker needs, which is nothing."""
    return choose_in_block


def choose_among(crew: Crew, blocks: Iterable[Block]) -> Chosen:
    """Choose among the records of all blocks.

    Args:
        crew: Workers that `open_sampling`.
        blocks: Blocks.

    Returns:
        At most `MAX_SAMPLED` records, in the order of their hashes, and the number of all.
    """
    lowest: list[SequenceRecord] = []
    total = 0
    shards = (Shard(number, "", block) for number, block in enumerate(blocks, start=1))
    for _, (chosen, count) in do_all(crew, shards):
        # Of equal letters and ids the first in the file, in whatever order blocks are finished.
        lowest = nsmallest(
            MAX_SAMPLED, [*lowest, *chosen], key=lambda record: (hash_record(record), record.number)
        )
        total += count
    return lowest, total
