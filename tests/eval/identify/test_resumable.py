import gzip
import json
import os

import pytest

from barcodemae.errors import DataError, SettingsError, WorkerError
from barcodemae.eval.identify import resumable
from barcodemae.eval.identify.resumable import FileSink, StreamSink
from barcodemae.fasta import RecordDigest, SequenceRecord
from barcodemae.output.rejected import HEADER


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
    sink.close()
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
    (tmp_path / "out.rejected.tsv").write_text(HEADER + "old")
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


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def interrupted(tmp_path):
    """What a run leaves that was interrupted after three records."""
    sink = FileSink(tmp_path / "out.tsv", "header\n", SETTINGS, resume=False)
    write(sink, [1, 2, 3])
    error = KeyboardInterrupt()
    sink.stop(error)
    sink.close()
    return tmp_path, error


def test_a_second_run_on_one_output_is_refused_and_disturbs_nothing(tmp_path):
    first = FileSink(tmp_path / "out.tsv", "header\n", SETTINGS, resume=False)
    write(first, [1])
    for resume in (False, True):
        with pytest.raises(SettingsError, match="is being written by another run"):
            FileSink(tmp_path / "out.tsv", "header\n", SETTINGS, resume=resume)
    with pytest.raises(SettingsError, match=r"out\.rejected\.tsv is being written by another run"):
        FileSink(tmp_path / "out.jsonl", "", SETTINGS, resume=False)
    write(first, [2])
    first.finish()
    assert (tmp_path / "out.tsv").read_text() == "header\nline 1\nline 2\n"
    assert names(tmp_path) == ["out.tsv"]


def test_an_interrupted_run_says_how_to_go_on(interrupted):
    folder, error = interrupted
    assert error.__notes__ == ["the same command with --resume goes on after record 3"]
    sink = FileSink(folder / "out.tsv", "header\n", SETTINGS, resume=True)
    assert sink.progress.records == 3
    sink.close()


def test_a_worker_that_died_leaves_what_can_be_continued(tmp_path):
    sink = FileSink(tmp_path / "out.tsv", "header\n", SETTINGS, resume=False)
    write(sink, [1, 2, 3])
    sink.stop(WorkerError("memory ran out"))
    sink.close()
    assert len(names(tmp_path)) == 3


@pytest.mark.parametrize("error", [SettingsError("no"), DataError("q.fasta", "no"), OSError("no")])
def test_a_run_that_fails_at_once_leaves_nothing(tmp_path, error):
    sink = FileSink(tmp_path / "out.tsv", "header\n", SETTINGS, resume=False)
    sink.stop(error)
    sink.close()
    assert names(tmp_path) == []


def test_a_fault_of_the_input_leaves_what_an_earlier_run_had_done(interrupted):
    folder, _ = interrupted
    sink = FileSink(folder / "out.tsv", "header\n", SETTINGS, resume=True)
    sink.stop(SettingsError("other records"))
    sink.close()
    sink = FileSink(folder / "out.tsv", "header\n", SETTINGS, resume=True)
    assert sink.progress.records == 3
    sink.close()


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"records": "3"}', '{"records": -1}', "[" * 100_000, '{"a": 1}']
)
@pytest.mark.parametrize("resume", [False, True])
def test_a_damaged_progress_is_one_line_and_nothing_is_touched(interrupted, content, resume):
    folder, _ = interrupted
    note = folder / "out.tsv.progress.json"
    note.write_text(content)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(
        DataError, match=r"progress\.json: is damaged, or not the progress"
    ) as caught:
        FileSink(folder / "out.tsv", "header\n", SETTINGS, resume=resume)
    assert "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("name", ["out.tsv.partial", "out.tsv.rejected.partial"])
def test_files_of_somebody_else_that_are_in_the_way_are_kept(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(DataError, match="was not left by a run of ours"):
        FileSink(tmp_path / "out.tsv", "", SETTINGS, resume=False)
    assert (tmp_path / name).read_text() == "mine"
    assert names(tmp_path) == [name]


def test_a_list_of_somebody_else_is_kept(tmp_path):
    (tmp_path / "out.rejected.tsv").write_text("mine")
    with pytest.raises(SettingsError, match="no list that barcodemae wrote"):
        FileSink(tmp_path / "out.tsv", "", SETTINGS, resume=False)
    assert names(tmp_path) == ["out.rejected.tsv"]


def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "out.tsv").symlink_to("there/real.tsv")
    sink = FileSink(tmp_path / "out.tsv", "header\n", SETTINGS, resume=False)
    write(sink, [1, 2, 3])
    sink.finish()
    assert (tmp_path / "out.tsv").is_symlink()
    assert names(tmp_path / "there") == ["real.rejected.tsv", "real.tsv"]


def test_a_pipe_is_written_through(tmp_path, capsys):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    sink = StreamSink("header\n", pipe)
    write(sink, [1, 2, 3])
    sink.finish()
    sink.close()
    assert os.read(reader, 100) == b"header\nline 1\nline 2\n"
    os.close(reader)
    assert names(tmp_path) == ["pipe"]
    assert capsys.readouterr().err == "barcodemae: not identified: record 3\tbad\n"


def test_what_other_programs_wrote_to_the_standard_output_stays(tmp_path):
    path = tmp_path / "out"
    path.write_text("before\n")
    sink = StreamSink("header\n", path)
    write(sink, [1])
    sink.close()
    assert path.read_text() == "before\nheader\nline 1\n"
