"""Any source is opened by what it holds, not by its name."""

import gzip
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.training.data.sources import recognition as sources
from barcodemae.training.data.sources.recognition import SourceOptions, local_path, open_source


TABLE = b"processid,dna_barcode\nA,ACGT\n"
FASTA = b">A\nACGT\n"


@pytest.mark.parametrize(
    ("content", "family"),
    [
        *((TABLE, "table"), (FASTA, "fasta")),
        *((b"@A\nACGT\n+\nIIII\n", "fasta"), (gzip.compress(FASTA, mtime=0), "fasta")),
        (gzip.compress(TABLE, mtime=0), "table"),
    ],
)
def test_the_first_bytes_decide(tmp_path, content, family):
    (tmp_path / "data").write_bytes(content)
    source = open_source(str(tmp_path / "data"), SourceOptions())
    assert source.format == family
    assert [row["processid"] for batch in source.batches() for row in batch.table.to_pylist()] == [
        "A"
    ]


def test_parquet_is_recognised_but_not_if_it_is_packed(tmp_path):
    pq.write_table(pa.table({"processid": ["A"], "dna_barcode": ["ACGT"]}), tmp_path / "data")
    assert open_source(str(tmp_path / "data"), SourceOptions()).format == "parquet"
    (tmp_path / "data").write_bytes(gzip.compress((tmp_path / "data").read_bytes()))
    with pytest.raises(DataError, match=r"data: holds a Parquet file, .*; unpack it"):
        open_source(str(tmp_path / "data"), SourceOptions())


def test_sequences_in_an_archive_are_opened(tmp_path):
    for pack, mode in ((zipfile.ZipFile, "w"), (tarfile.open, "w:gz")):
        with pack(tmp_path / "data", mode) as archive:
            (tmp_path / "a.fasta").write_bytes(FASTA)
            add = archive.write if pack is zipfile.ZipFile else archive.add
            add(tmp_path / "a.fasta", "a.fasta")
        source = open_source(str(tmp_path / "data"), SourceOptions())
        (batch,) = source.batches()
        assert batch.table["processid"].to_pylist() == ["A"]


@pytest.mark.parametrize(
    ("content", "wanted", "problem"),
    [
        (FASTA, "bold", "is not bold: its first bytes are those of fasta"),
        (TABLE, "fasta", "is not fasta: its first bytes are those of text"),
        (TABLE, "canadian", "is not canadian: it looks like table"),
        (b"", "auto", "is empty"),
        (gzip.compress(b"", mtime=0), "auto", "is empty"),
    ],
)
def test_what_does_not_fit_is_an_error(tmp_path, content, wanted, problem):
    (tmp_path / "data").write_bytes(content)
    with pytest.raises(DataError, match=problem):
        open_source(str(tmp_path / "data"), SourceOptions(format=wanted))


def test_a_directory_and_a_missing_file_are_errors(tmp_path):
    with pytest.raises(DataError, match="is a directory; name the files in it"):
        open_source(str(tmp_path), SourceOptions())
    with pytest.raises(DataError, match="cannot be read: No such file"):
        open_source(str(tmp_path / "none"), SourceOptions())


def test_an_unknown_format_is_an_error():
    with pytest.raises(SettingsError, match="no format 'excel'; there are auto, bioscan5m"):
        SourceOptions(format="excel")


def test_the_table_in_a_zip_is_opened(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("readme.md", "words")
        archive.writestr("folder/unseen.csv", "nucleotides,genus_index\nACGT,1\n")
    source = open_source(str(tmp_path / "t.zip"), SourceOptions())
    assert source.format == "reference"
    assert source.has_splits  # by the name inside the archive


def test_hub_sources_are_fetched_by_name_and_revision(tmp_path, monkeypatch):
    asked = []

    def fetch(repo, file, **options):
        asked.append((repo, file, options))
        return str(tmp_path / "t.csv")

    monkeypatch.setattr(sources, "hf_hub_download", fetch)
    source = "hf://datasets/bioscan-ml/CanadianInvertebrates-ML@a8cb2b5/CanInv_metadata.csv"
    assert local_path(source) == str(tmp_path / "t.csv")
    assert local_path("hf://datasets/a/b/x/y.zip::z.csv") == f"{tmp_path / 't.csv'}::z.csv"
    options = {"repo_type": "dataset", "revision": "a8cb2b5"}
    assert asked == [
        ("bioscan-ml/CanadianInvertebrates-ML", "CanInv_metadata.csv", options),
        ("a/b", "x/y.zip", options | {"revision": None}),
    ]


def test_a_hub_source_that_cannot_be_fetched_is_an_error():
    with pytest.raises(DataError, match="cannot be fetched"):
        local_path("hf://datasets/nobody/nothing/file.csv")
    with pytest.raises(SettingsError, match="is not of the form"):
        local_path("hf://nonsense")


def test_simulated_barcodes_are_a_source_like_any_other():
    source = open_source("simulate", SourceOptions(num_species=60, barcodes_per_species=4))
    (batch,) = source.batches()
    assert source.has_splits
    assert batch.table.num_rows > 100
    assert batch.table["dna_barcode"].null_count == 0


def test_simulated_batches_that_are_left_out_change_no_row_behind_them(monkeypatch):
    monkeypatch.setattr(sources, "ROWS_PER_BATCH", 50)
    source = open_source("simulate", SourceOptions(num_species=48, barcodes_per_species=4))
    batches = list(source.batches())
    assert len(batches) == 3
    (last,) = source.batches(2)
    assert last.table.equals(batches[2].table)
    assert last.places.tolist() == batches[2].places.tolist()
