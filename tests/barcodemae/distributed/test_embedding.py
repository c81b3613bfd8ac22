import numpy as np
import pytest

from barcodemae.calls.vectors import embed_chunks
from barcodemae.distributed.blocks import blocks_of
from barcodemae.distributed.embedding import EmbeddingOrder, embed_blocks
from barcodemae.distributed.shards import ShardFolder
from barcodemae.errors import DataError
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.fasta import read_records


SIZE = 8


@pytest.fixture
def reads(tmp_path, relatives):
    path = tmp_path / "reads.fasta"
    lines = [f">r{n} words\n{text}\n" for n, text in enumerate(relatives)]
    lines[9:9] = [f">bad{n}\nMKLVEEFF\n" for n in range(20)]  # one block is of nothing else
    path.write_text("".join(lines))
    return path


def embedded(hire, reads, folder, *, model="kmer:3", strict=False):
    order = EmbeddingOrder(
        model=str(model), options=ModelOptions(device="cpu"), source="reads", strict=strict
    )
    blocks = blocks_of(str(reads), lambda: read_records(reads), SIZE)
    return list(embed_blocks(hire, order, blocks, {"model": str(model)}, ShardFolder(folder)))


@pytest.fixture(params=["kmer:3", "network"])
def model(request, tiny_folder):
    return tiny_folder if request.param == "network" else request.param


def test_a_crew_gives_the_vectors_of_one_machine(hire, reads, tmp_path, model, monkeypatch):
    monkeypatch.setattr("barcodemae.calls.vectors.CHUNK_SIZE", SIZE)
    hire.deaths = {2: 1}
    embedder = ModelOptions(device="cpu").load(str(model))
    alone = list(embed_chunks(embedder, read_records(reads), strict=False, source="reads"))
    found = embedded(hire, reads, tmp_path / "shards", model=model)
    assert [block.ids for block in found] == [[r.id for r in chunk.embedded] for chunk in alone]
    for block, chunk in zip(found, alone, strict=True):
        if chunk.vectors is None:
            assert block.vectors is None
        else:
            np.testing.assert_array_equal(block.vectors, chunk.vectors)
    rejected = [row for block in found for row in block.rejected]
    assert [(number, name) for number, name, _ in rejected] == [
        (10 + n, f"bad{n}") for n in range(20)
    ]


def test_strict_names_the_record(hire, reads, tmp_path):
    with pytest.raises(DataError, match=r"record 1\d \(bad"):
        embedded(hire, reads, tmp_path / "shards", strict=True)


def test_a_second_run_embeds_nothing_again(hire, reads, tmp_path):
    first = embedded(hire, reads, tmp_path / "shards")
    again = embedded(hire, reads, tmp_path / "shards")
    assert [block.ids for block in again] == [block.ids for block in first]
    assert hire.crews[-1].done == []
