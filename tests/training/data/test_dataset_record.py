"""A data set says what it was made of; the counts are held by test_prepare.py."""

import hashlib

from barcodemae.training.data.dataset_record import checksums, record_source
from barcodemae.training.data.sources.recognition import SourceOptions, open_source


def test_a_file_is_known_by_its_size_and_checksums(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"processid\n")
    expected = {
        "bytes": 10,
        "md5": hashlib.md5(b"processid\n").hexdigest(),
        "sha256": hashlib.sha256(b"processid\n").hexdigest(),
    }
    assert checksums(str(tmp_path / "t.csv")) == expected
    assert checksums(f"{tmp_path / 't.csv'}::member") == expected  # of the archive as a whole


def test_what_is_no_file_has_no_checksums():
    assert checksums("-") == {}
    assert checksums("simulate") == {}


def test_a_source_is_recorded_under_the_name_that_was_given():
    source = open_source("simulate", SourceOptions(num_species=5, barcodes_per_species=2, seed=3))
    record = record_source("hf://datasets/a/b/c.csv", source, {"bytes": 7})
    assert record == {
        "path": "hf://datasets/a/b/c.csv",
        "format": "simulate",
        "recognised_by": "the word: 5 species, 2 barcodes of each, seed 3",
        "bytes": 7,
    }
