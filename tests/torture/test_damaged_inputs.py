"""Whatever the input is: exit code 0 or 2, one line, every record counted, nothing else touched.

BARCODEMAE_TORTURE=10000 sets how many damaged inputs are tried, 500 by default; the number in a
failure is the seed of its damage, see `inputs.damaged`.
"""

import os

import pytest


NUM_DAMAGED = int(os.environ.get("BARCODEMAE_TORTURE", "500"))
NUM_PARTS = 10
QUICK = ("embed", "identify", "cluster")  # commands that every cut is tried with
READS = {  # command -> endings that it reads
    **dict.fromkeys(QUICK, ("fasta", "fasta.gz", "fasta.bz2", "fasta.xz", "fastq", "fastq.gz")),
    "prepare": ("fasta", "fasta.gz", "fasta.zip", "fastq", "csv", "tsv", "parquet"),
    "index": ("csv", "tsv", "parquet"),
}
STRIDE = {"prepare": 97, "index": 487}  # between the cuts of what is no small file
SMALL_BYTES = 120
SLOW_SHARE = 10  # one damaged input of this many goes to each of the slower commands


@pytest.mark.parametrize("command", READS)
def test_sound_inputs_are_read(run, inputs, command):
    for ending in READS[command]:
        assert run(command, ending, inputs.SOUND[ending]) == (0, []), ending


@pytest.mark.parametrize(
    ("command", "ending"), [(name, ending) for name in READS for ending in READS[name]]
)
def test_an_input_may_end_anywhere(run, inputs, command, ending):
    content = inputs.CUTTABLE[ending]
    stride = STRIDE.get(command, 1) if len(content) > SMALL_BYTES else 1
    faults = {
        size: found
        for size in range(0, len(content), stride)
        if (found := run(command, ending, content[:size])[1])
    }
    assert faults == {}


@pytest.mark.parametrize("part", range(NUM_PARTS))
def test_an_input_may_be_damaged_in_any_way(run, inputs, part):
    faults = {}
    for seed in range(part, NUM_DAMAGED, NUM_PARTS):
        ending, content = inputs.damaged(seed)
        slower = [
            name for place, name in enumerate(STRIDE) if seed // NUM_PARTS % SLOW_SHARE == place
        ]
        command = slower[0] if slower else QUICK[seed // NUM_PARTS % len(QUICK)]
        _, found = run(command, ending, content)
        if found:
            faults[seed, command, ending] = found
    assert faults == {}
