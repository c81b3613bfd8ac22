"""Embedding a sharded data set: restartable, and the same on any number of processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae import BarcodeKmerTokenizer, BarcodeMAEForPreTraining
from barcodemae.dataset import COLUMNS
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed import shards as embed
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.shards import embed_shard, embed_shards, stream_rows
from barcodemae.training.export.folders import export_native


NUM_SHARDS, NUM_ROWS = 5, 7
CONFIG = Path(__file__).parents[3] / "training" / "accelerate_configs" / "cpu.yaml"


def write_shard(path, names, sequences):
    columns = {name: [None] * len(names) for name in COLUMNS}
    columns |= {
        "processid": names, "dna_barcode": sequences, "split": ["train"] * len(names)
    }  # fmt: skip
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    pq.write_table(pa.table(columns, schema=schema), path, row_group_size=2)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    generator = np.random.default_rng(0)
    for shard in range(NUM_SHARDS):
        names = [f"P{shard}-{row}" for row in range(NUM_ROWS)]
        lengths = generator.integers(20, 60, NUM_ROWS)
        sequences = ["".join(generator.choice(list("ACGT"), size)) for size in lengths]
        if shard == 1:
            sequences[2], sequences[4] = "NNNN", None
        write_shard(folder / f"part-{shard}.parquet", names, sequences)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    import torch

    from barcodemae import BarcodeMAEConfig

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    folder = tmp_path_factory.mktemp("model") / "encoder"
    config = BarcodeMAEConfig(k=3, **sizes, max_position_embeddings=256)
    export_native(BarcodeMAEForPreTraining(config), BarcodeKmerTokenizer(k=3), folder)
    return folder


@pytest.fixture
def embedder(model):
    return load_embedder(model, device="cpu")


def process(rank=0, world_size=1):
    return SimpleNamespace(
        process_index=rank,
        num_processes=world_size,
        is_main_process=rank == 0,
        wait_for_everyone=lambda: None,
    )


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_every_shard_gets_a_file_with_its_rows_in_order(dataset, embedder, tmp_path):
    done = embed_shards(dataset, tmp_path / "out", embedder, process())
    assert (done.written, done.skipped, done.num_rejected) == (NUM_SHARDS, 0, 2)
    for shard in dataset.iterdir():
        source, result = pq.read_table(shard), pq.read_table(tmp_path / "out" / shard.name)
        usable = [row for row in source.to_pylist() if "A" in (row["dna_barcode"] or "")]
        assert result["id"].to_pylist() == [row["processid"] for row in usable]
        expected = embedder.embed([row["dna_barcode"] for row in usable])
        np.testing.assert_allclose(np.stack(result["embedding"].to_numpy()), expected, atol=1e-5)
    report = (tmp_path / "out" / "part-1.rejected.tsv").read_text().splitlines()
    assert report == ["barcodemae_record\tid\treason", "3\tP1-2\tnothing but N", "5\tP1-4\tempty"]
    manifest = json.loads((tmp_path / "out" / "embedding.json").read_text())
    assert manifest["weights"] == embedder.fingerprint


def test_complete_shards_are_not_embedded_again(dataset, embedder, tmp_path, monkeypatch):
    output = tmp_path / "out"
    embed_shards(dataset, output, embedder, process())
    before = contents(output)
    (output / "part-3.parquet").unlink()
    computed = []
    monkeypatch.setattr(
        embed, "embed_shard", lambda *job: (computed.append(job[0].name), embed_shard(*job))[1]
    )
    done = embed_shards(dataset, output, embedder, process())
    assert computed == ["part-3.parquet"]
    assert (done.written, done.skipped) == (1, NUM_SHARDS - 1)
    assert contents(output) == before


def test_an_interrupted_shard_does_not_appear(dataset, embedder, tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "ROWS_PER_BATCH", 3)
    real = embed.write_rows
    calls = iter(range(100))

    def dying(*arguments):
        if next(calls) == 4:
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(embed, "write_rows", dying)
        with pytest.raises(KeyboardInterrupt):
            embed_shards(dataset, tmp_path / "out", embedder, process())
    assert set(contents(tmp_path / "out")) == {"embedding.json", "part-0.parquet"}
    embed_shards(dataset, tmp_path / "out", embedder, process())
    embed_shards(dataset, tmp_path / "whole", embedder, process())
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_another_model_or_data_set_may_not_share_a_folder(dataset, embedder, tmp_path):
    embed_shards(dataset, tmp_path, embedder, process())
    with pytest.raises(SettingsError, match=r"holds embeddings with weights .* not kmer:2"):
        embed_shards(dataset, tmp_path, load_embedder("kmer:2"), process())
    other = tmp_path / "other"
    other.mkdir()
    write_shard(other / "part-0.parquet", ["X"], ["ACGTACGT"])
    with pytest.raises(SettingsError, match="holds embeddings with dataset_hash"):
        embed_shards(other, tmp_path, embedder, process())


def test_another_number_format_may_not_share_a_folder(dataset, embedder, model, tmp_path):
    embed_shards(dataset, tmp_path / "out", embedder, process())
    other = load_embedder(model, device="cpu", dtype="bfloat16")
    with pytest.raises(SettingsError, match="with dtype float32, not bfloat16"):
        embed_shards(dataset, tmp_path / "out", other, process())


def test_a_shard_without_usable_rows_is_an_empty_file(embedder, tmp_path):
    write_shard(tmp_path / "a.parquet", ["X"], ["NNN"])
    assert embed_shard(tmp_path / "a.parquet", tmp_path / "b.parquet", embedder) == 1
    table = pq.read_table(tmp_path / "b.parquet")
    assert table.num_rows == 0
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 16)


def test_batches_do_not_depend_on_row_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(embed, "ROWS_PER_BATCH", 3)
    names = [str(number) for number in range(8)]
    write_shard(tmp_path / "a.parquet", names, ["A"] * 8)
    assert [ids for ids, _ in stream_rows(tmp_path / "a.parquet")] == [
        names[:3],
        names[3:6],
        names[6:],
    ]


def test_a_damaged_shard_is_named(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"a\.parquet: is not readable as Parquet"):
        list(stream_rows(tmp_path / "a.parquet"))


def test_two_processes_write_what_one_writes(dataset, embedder, model, tmp_path):
    embed_shards(dataset, tmp_path / "one", embedder, process())
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(CONFIG),
        "--main_process_port", "0", "-m", "barcodemae.eval.embed", str(dataset), "-o",
        str(tmp_path / "two"), "--model", str(model),
    ]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "process 0: 3 shard(s) written" in done.stderr
    assert "process 1: 2 shard(s) written" in done.stderr
    # Not byte for byte: where memory happens to be aligned may change the last bit of a product.
    assert set(contents(tmp_path / "two")) == set(contents(tmp_path / "one"))
    for shard in sorted((tmp_path / "one").glob("*.parquet")):
        ours, theirs = pq.read_table(shard), pq.read_table(tmp_path / "two" / shard.name)
        assert ours["id"].equals(theirs["id"])
        vectors = [np.array(table["embedding"].to_pylist()) for table in (ours, theirs)]
        np.testing.assert_allclose(*vectors, atol=1e-5)
