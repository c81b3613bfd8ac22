import gzip
import json

import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.identify import resumable
from barcodemae.eval.identify.resumable import FileSink, RecordDigest
from barcodemae.fasta import SequenceRecord


SETTINGS = {"threshold": 0.8}


@pytest.fixture(autouse=True)
def save_progress_at_every_append(monkeypatch):
    """Save the progress after every append."""
    monkeypatch.setattr(resumable, "SECONDS_BETWEEN_SAVES", 0.0)


def write(sink, numbers):
    for number in numbers:
        rejected = [f"{number}\tbad\n"] if number % 3 == 0 else []
        sink.append([] if rejected else [f"line {number}\n"], rejected, 1, f"digest {number}")


@pytest.mark.parametrize("name", ["out.tsv", "out.tsv.gz"])
def test_a_resumed_run_leaves_the_same_files_as_an_uninterrupted_one(tmp_path, name):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    sink = FileSink(whole / name, "header\n", SETTINGS, resume=False)
    write(sink, range(1, 8))
    sink.finish()
    sink = FileSink(parts / name, "header\n", SETTINGS, resume=False)
    write(sink, range(1, 4))
    for stream in sink.streams:  # written after the progress was last saved, half of it lost
        stream.write(b"half a li")
        stream.close()
    assert not (parts / name).exists()
    sink = FileSink(parts / name, "header\n", SETTINGS, resume=True)
    assert (sink.progress.records, sink.progress.digest) == (3, "digest 3")
    write(sink, range(4, 8))
    sink.finish()
    found = {path.name: path.read_bytes() for path in parts.iterdir()}
    assert found == {path.name: path.read_bytes() for path in whole.iterdir()}
    assert set(found) == {name, "out.rejected.tsv"}
    text = gzip.decompress(found[name]) if name.endswith("gz") else found[name]
    assert text.decode().splitlines() == ["header", *(f"line {i}" for i in (1, 2, 4, 5, 7))]


def test_a_run_with_other_settings_is_not_resumed(tmp_path):
    sink = FileSink(tmp_path / "out.tsv", "", SETTINGS, resume=False)
    write(sink, [1])
    sink.close()
    with pytest.raises(SettingsError, match="started with another threshold"):
        FileSink(tmp_path / "out.tsv", "", {"threshold": 0.9}, resume=True)


def test_a_file_shorter_than_its_saved_progress_is_not_resumed(tmp_path):
    sink = FileSink(tmp_path / "out.tsv", "", SETTINGS, resume=False)
    write(sink, [1, 2])
    sink.close()
    (tmp_path / "out.tsv.partial").write_bytes(b"")
    with pytest.raises(DataError, match="shorter than the interrupted run"):
        FileSink(tmp_path / "out.tsv", "", SETTINGS, resume=True)


def test_a_run_without_rejected_records_deletes_the_list_of_an_earlier_run(tmp_path):
    (tmp_path / "out.rejected.tsv").write_text("old")
    sink = FileSink(tmp_path / "out.tsv", "h\n", SETTINGS, resume=True)  # nothing to resume
    write(sink, [1])
    sink.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["out.tsv"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(SettingsError, match="does not exist"):
        FileSink(tmp_path / "no" / "out.tsv", "", SETTINGS, resume=False)


def test_a_digest_tells_records_apart():
    def digest(*records):
        found = RecordDigest()
        for header, text in records:
            found.add(SequenceRecord(1, header, header, text))
        return found.value()

    assert digest(("a", "C"), ("b", "G")) != digest(("a", "C"), ("b", "T"))
    assert digest(("a", "C"), ("b", "G")) != digest(("b", "G"), ("a", "C"))
    assert digest(("a", "C")) != digest(("other", "C"))


def test_what_a_note_calls_good_is_on_the_disk(tmp_path):
    sink = FileSink(tmp_path / "out.tsv", "header\n", SETTINGS, resume=False)
    write(sink, [1, 2, 3])
    note = json.loads((tmp_path / "out.tsv.progress.json").read_text())
    assert (tmp_path / "out.tsv.partial").stat().st_size == note["output_bytes"]
    assert (tmp_path / "out.tsv.rejected.partial").stat().st_size == note["rejected_bytes"]
    sink.close()


def test_compressed_output_holds_no_time(tmp_path):
    sink = FileSink(tmp_path / "out.tsv.gz", "header\n", SETTINGS, resume=False)
    sink.finish()
    assert (tmp_path / "out.tsv.gz").read_bytes()[4:8] == bytes(4)
