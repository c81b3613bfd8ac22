import random

from barcodemae.distributed import sampling
from barcodemae.distributed.blocks import blocks_of
from barcodemae.distributed.sampling import choose_among, open_sampling
from barcodemae.eval.identify import stream
from barcodemae.eval.identify.stream import choose_sample
from barcodemae.fasta import read_records


def test_the_sample_is_that_of_one_machine(tmp_path, monkeypatch, stand_in):
    monkeypatch.setattr(stream, "MAX_SAMPLED", 7)
    monkeypatch.setattr(sampling, "MAX_SAMPLED", 7)
    generator = random.Random(0)
    names = [f"r{generator.randrange(30)}" for _ in range(90)]  # some are there several times
    path = tmp_path / "reads.fasta"
    path.write_text("".join(f">{name} {at}\nACGT\n" for at, name in enumerate(names)))
    crew = stand_in(open_sampling, size=3, deaths={2: 1})
    found = choose_among(crew, blocks_of(str(path), lambda: read_records(path), 8))
    assert found == choose_sample(read_records(path))
    assert found[1] == 90
