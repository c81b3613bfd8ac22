"""Many machines: `embed`, `identify` and `index` with `--ray`, on a cluster that Ray runs.

A driver splits the input into shards of a fixed number of records, workers that have opened model
and library once compute them with the code of the single machine, and the driver writes what comes
back in input order. Ray starts processes, carries bytes and tells who died; what is computed, kept
and repeated is decided here, so that the output is that of one machine, byte for byte.

    shards.py        what a shard is, and the folder in which finished ones outlive their run
    crew.py          who does what: each shard once, those of lost workers again
    ray_crew.py      workers as actors of Ray
    blocks.py        a file of sequences in blocks of text, parsed by the workers
    sampling.py      the sample that the mixture of `identify` is estimated from
    naming.py        `identify`
    embedding.py     `embed`
    references.py    `index`
"""
