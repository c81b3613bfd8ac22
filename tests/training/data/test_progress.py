"""A preparation that is stopped anywhere goes on and writes the same bytes, or says why not."""

import csv
import errno
import gzip
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.cli import main
from barcodemae.dataset import COLUMNS, SPLITS
from barcodemae.errors import DataError, SettingsError
from barcodemae.training.data import prepare as preparing
from barcodemae.training.data import progress
from barcodemae.training.data.cleaning import CleaningRules
from barcodemae.training.data.partitions import PartitionPlan
from barcodemae.training.data.prepare import PrepareOptions, prepare
from barcodemae.training.data.sources import parquet_files, recognition, sequences
from barcodemae.training.data.sources.recognition import SourceOptions
from barcodemae.training.data.sources.tables import TableSource
from barcodemae.training.data.sources.text_blocks import TextFile


ROWS, ROWS_PER_BATCH, BYTES_PER_BLOCK, ROWS_PER_SEGMENT = 100, 7, 700, 25


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    """Make batches of a few rows, and segments of a few batches."""
    for module in (parquet_files, recognition, sequences):
        monkeypatch.setattr(module, "ROWS_PER_BATCH", ROWS_PER_BATCH)
    monkeypatch.setattr(TextFile.blocks, "__defaults__", (BYTES_PER_BLOCK,))
    monkeypatch.setattr(progress, "ROWS_PER_SEGMENT", ROWS_PER_SEGMENT)


def make_rows(seed=0):
    """Rows with duplicates, conflicts and unusable ones among them, named by number."""
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(ROWS):
        species = int(generator.integers(0, 12))
        row = dict.fromkeys(COLUMNS, "") | {
            "processid": f"S{seed}-{number}",
            "phylum": "Arthropoda",
        }
        row |= {"genus": f"Genus{species // 3}", "species": f"Genus{species // 3} name{species}"}
        row |= {"dna_bin": f"BOLD:AAA{species:04}", "split": SPLITS[species % len(SPLITS)]}
        row["dna_barcode"] = "".join(generator.choice(list("ACGT"), 30))
        if number % 4 == 3:
            row["dna_barcode"] = rows[int(generator.integers(0, number))]["dna_barcode"]
        if number % 17 == 16:
            row["dna_barcode"] = "MKVLAEEQ"
        rows.append(row)
    return rows


def as_table(rows, separator):
    names = [*COLUMNS, "chunk", "note"]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, delimiter=separator, lineterminator="\n")
    writer.writeheader()
    for number, row in enumerate(rows):
        note = 'of "two"\nlines' if number % 5 == 0 else "one"
        writer.writerow(row | {"note": note if separator == "," else "one"})
    return text.getvalue()


def write_csv(folder, rows):
    (folder / "t.csv").write_text(as_table(rows, ","))
    return [folder / "t.csv"], None


def write_targz(folder, rows):
    content = as_table(rows, "\t").encode()
    with tarfile.open(folder / "t.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("t.tsv")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return [folder / "t.tar.gz"], None


def write_parquet(folder, rows):
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), folder / "t.parquet")
    return [folder / "t.parquet"], None


def write_fasta(folder, rows):
    """Only the first record is in the taxonomy."""
    with gzip.open(folder / "t.fa.gz", "wt") as stream:
        stream.writelines(f">{row['processid']}\n{row['dna_barcode']}\n" for row in rows)
    lineage = "p__Arthropoda; c__Insecta; g__Aedes; s__Aedes aegypti"
    (folder / "taxa.tsv").write_text(f"Feature ID\tTaxon\n{rows[0]['processid']}\t{lineage}\n")
    return [folder / "t.fa.gz"], folder / "taxa.tsv"


def write_several(folder, rows):
    paths = [write(folder, rows)[0][0] for write in (write_parquet, write_csv)]
    (folder / "u.csv").write_text(as_table(make_rows(seed=1), ","))
    return [*paths, folder / "u.csv"], None


def write_nothing(folder, rows):
    return ["simulate"], None


KINDS = {
    "csv": write_csv,
    "targz": write_targz,
    "parquet": write_parquet,
    "fasta": write_fasta,
    "several": write_several,
    "simulate": write_nothing,
}
CASES = [
    *((kind, {"partitions": "make"}) for kind in KINDS),
    *((kind, {"dedup": "partition"}) for kind in ("csv", "several")),
    ("targz", {"dedup": "none", "partitions": "make"}),
    ("parquet", {"dedup": "none", "heldout": False}),
    ("several", {}),
]


def make_case(folder, kind, changes):
    """Write sources; return what `prepare` takes, and what it gives without interruption."""
    sources, taxonomy = KINDS[kind](folder, make_rows())
    source = SourceOptions(taxonomy=taxonomy, num_species=48, barcodes_per_species=4)
    call = (
        [str(source) for source in sources],
        folder / "d",
        PrepareOptions(source=source, **changes),
    )
    prepare(call[0], folder / "whole", call[2])
    return call, content_of(folder / "whole")


def content_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


GO_ON = "the same command with --resume goes on after row 55"


class Stopped(BaseException):
    """What stops a run, as Ctrl-C would."""


@contextmanager
def stopping(name, at, module=progress):
    """Make the n-th call of a function of a module stop the run; yield the calls."""
    calls, wanted = [], getattr(module, name)

    def stop(*arguments, **options):
        calls.append(arguments)
        if len(calls) == at:
            raise Stopped
        return wanted(*arguments, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, name, stop)
        yield calls


@pytest.fixture
def case(tmp_path):
    return make_case(tmp_path, "csv", {"partitions": "make"})


@pytest.fixture
def stopped(case):
    """A run that was stopped in its third segment: its call, and what it is to give."""
    call, expected = case
    with stopping("_write_learnt", 3), pytest.raises(Stopped) as caught:
        prepare(*call, resume=True)
    assert caught.value.__notes__ == [GO_ON]
    return call, expected


def test_an_interrupted_run_says_how_to_go_on_and_so_does_the_next(stopped):
    call, _ = stopped
    with stopping("_write_learnt", 1), pytest.raises(Stopped) as caught:
        prepare(*call, resume=True)
    assert caught.value.__notes__ == [GO_ON]


def names_beside(folder):
    """The files and folders of a test, without its sources."""
    return sorted(path.name for path in folder.iterdir() if path.is_dir() or path.name[0] == ".")


@pytest.mark.parametrize(("kind", "changes"), CASES)
def test_a_run_stopped_in_every_segment_gives_the_same_bytes(tmp_path, kind, changes):
    call, expected = make_case(tmp_path, kind, changes)
    num_stops = 0
    while not (tmp_path / "d").exists() and num_stops < 20:
        with stopping("_write_learnt", 2), suppress(Stopped):
            prepare(*call, resume=True)
        num_stops += not (tmp_path / "d").exists()
        assert len(list(tmp_path.glob("d.partial/*.zip"))) in (num_stops, 0)
    assert content_of(tmp_path / "d") == expected
    assert num_stops >= 3
    assert names_beside(tmp_path) == ["d", "whole"]


@pytest.mark.parametrize(
    ("name", "module"),
    [("write_json", progress), ("_draw", preparing), ("write_description", preparing)],
)
def test_a_run_stopped_at_any_step_gives_the_same_bytes(tmp_path, case, name, module):
    call, expected = case
    for at in range(1, 99):
        with stopping(name, at, module) as calls, suppress(Stopped):
            prepare(*call, resume=True)
        if len(calls) < at:
            break
        assert not (tmp_path / "d").exists()
        prepare(*call, resume=True)
        assert content_of(tmp_path / "d") == expected
        shutil.rmtree(tmp_path / "d")
    assert at > 1
    assert content_of(tmp_path / "d") == expected
    assert names_beside(tmp_path) == ["d", "whole"]


def test_what_is_done_is_not_parsed_again(tmp_path, stopped, monkeypatch):
    call, _ = stopped
    found = []
    parse = TableSource._parse
    monkeypatch.setattr(
        TableSource,
        "_parse",
        lambda self, text, note: found.append(text) or parse(self, text, note),
    )
    prepare(*call, resume=True)
    resumed = list(found)
    found.clear()
    prepare(call[0], tmp_path / "again", call[2])
    assert resumed == found[-len(resumed) :]
    assert len(found) - len(resumed) >= 4  # those of two segments


def test_a_run_without_an_interrupted_one_just_begins(tmp_path, case):
    call, expected = case
    prepare(*call, resume=True)
    assert content_of(tmp_path / "d") == expected
    assert names_beside(tmp_path) == ["d", "whole"]


def test_a_run_that_is_not_to_be_resumed_begins_anew_and_tidies_up(tmp_path, stopped):
    call, expected = stopped
    prepare(*call)
    assert content_of(tmp_path / "d") == expected
    assert names_beside(tmp_path) == ["d", "whole"]


def test_it_leaves_alone_what_is_not_ours(tmp_path, case):
    call, expected = case
    (tmp_path / "d.partial").mkdir()
    (tmp_path / "d.partial" / "000001.zip").write_text("precious")
    for name, text in (("progress.json", "{}"), ("other", "")):
        (tmp_path / "d.partial" / name).write_text(text)
        prepare(*call, overwrite=True)
        assert (tmp_path / "d.partial" / "000001.zip").read_text() == "precious"
    assert content_of(tmp_path / "d") == expected


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"dedup": "none"}, "another dedup;"),
        ({"partitions": "source", "leakage": False}, "another partitions, leakage;"),
        ({"rules": CleaningRules(min_length=9)}, r"another rules\.min_length;"),
        ({"source": SourceOptions(num_species=48, seed=1)}, r"source\.barc.*, source\.seed;"),
        ({"plan": PartitionPlan(seed=1)}, r"another plan\.seed;"),
    ],
)
def test_other_settings_are_refused_by_name(tmp_path, stopped, changes, named):
    (sources, out, options), _ = stopped
    with pytest.raises(SettingsError, match=named) as caught:
        prepare(sources, out, replace(options, **changes), resume=True)
    told = str(caught.value)
    assert told.startswith(f"{out}.partial: the interrupted run was started with another")
    assert told.endswith("; remove this folder to start afresh")
    assert names_beside(tmp_path) == ["d.partial", "whole"]


def test_other_sources_are_refused_by_name(tmp_path, stopped):
    (sources, out, options), _ = stopped
    (tmp_path / "u.csv").write_text(as_table(make_rows(seed=1), ","))
    with pytest.raises(SettingsError, match=r"another list of sources, file .*u\.csv; remove"):
        prepare([*sources, str(tmp_path / "u.csv")], out, options, resume=True)
    with pytest.raises(SettingsError, match="another list of sources; remove"):
        prepare([*sources, *sources], out, options, resume=True)


@pytest.mark.parametrize("change", ["size", "time"])
def test_a_source_that_was_changed_is_refused_by_name(tmp_path, stopped, change):
    call, _ = stopped
    path = tmp_path / "t.csv"
    if change == "size":
        path.write_text(path.read_text() + "\n")
    os.utime(path, ns=(0, path.stat().st_mtime_ns + (change == "time")))
    with pytest.raises(SettingsError, match=r"another file .*t\.csv; remove this folder"):
        prepare(*call, resume=True)


def test_another_version_is_refused_by_name(stopped, monkeypatch):
    call, _ = stopped
    versions = {"written_by": "barcodemae 99", "versions": {"pyarrow": "99"}}
    monkeypatch.setattr(progress, "record_versions", lambda: versions)
    named = "another version of barcodemae, version of pyarrow, version of python"
    with pytest.raises(SettingsError, match=named):
        prepare(*call, resume=True)


def test_a_segment_that_is_damaged_anywhere_is_refused_by_name(tmp_path, stopped):
    call, _ = stopped
    path = tmp_path / "d.partial" / "000002.zip"
    whole = path.read_bytes()
    damaged = [whole[: len(whole) // 2], b"", whole + b"\0"]
    for at in range(0, len(whole), len(whole) // 9):
        damaged.append(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"000002\.zip: is not as the .* remove .*d\.partial"):
            prepare(*call, resume=True)
    path.write_bytes(whole)
    prepare(*call, resume=True)


def test_a_segment_that_is_damaged_while_it_is_used_is_an_error(tmp_path, stopped, monkeypatch):
    call, _ = stopped
    path = tmp_path / "d.partial" / "000001.zip"
    store = progress.Segments.store

    def damage(*arguments):
        store(*arguments)
        content = path.read_bytes()
        path.write_bytes(content.replace(b"Arthropoda", b"Arthropodb", 1))

    monkeypatch.setattr(progress.Segments, "store", damage)
    with pytest.raises(DataError, match="is not as the interrupted run left it"):
        prepare(*call, resume=True)


def test_segments_that_were_lost_are_made_again(tmp_path, stopped):
    call, expected = stopped
    (tmp_path / "d.partial" / "000002.zip").unlink()
    (tmp_path / "d.partial" / ".000003.1-12345678.tmp.zip").write_text("half a segm")
    prepare(*call, resume=True)
    assert content_of(tmp_path / "d") == expected
    assert names_beside(tmp_path) == ["d", "whole"]


def test_a_progress_file_that_is_cut_off_is_refused(tmp_path, stopped):
    call, _ = stopped
    path = tmp_path / "d.partial" / "progress.json"
    whole = path.read_bytes()
    for size in range(0, len(whole) - 1, 50):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"progress\.json: is damaged, or not the progress"):
            prepare(*call, resume=True)


def test_a_folder_that_is_not_ours_is_refused_and_stays(tmp_path, case):
    call, _ = case
    partial = tmp_path / "d.partial"
    partial.mkdir()
    (partial / "000001.zip").write_text("precious")
    with pytest.raises(DataError, match=r"d\.partial: is in the way and was not left by a run"):
        prepare(*call, resume=True)
    (partial / "progress.json").write_text('{"written_by": "me", "settings": {}, "segments": []}')
    with pytest.raises(DataError, match="not the progress of an interrupted run"):
        prepare(*call, resume=True)
    assert (partial / "000001.zip").read_text() == "precious"
    assert not (tmp_path / "d").exists()


def test_a_folder_in_which_nothing_is_finished_is_used(tmp_path, case):
    call, expected = case
    (tmp_path / "d.partial").mkdir()
    (tmp_path / "d.partial" / ".progress.1-12345678.tmp.json").write_text("{")
    prepare(*call, resume=True)
    assert content_of(tmp_path / "d") == expected
    assert names_beside(tmp_path) == ["d", "whole"]


def test_standard_input_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="--resume: <stdin> cannot be read again; name a file"):
        progress.settings_of({"source": {"taxonomy": None}}, ["-"], ["-"])


def test_a_data_set_that_is_there_is_refused_before_anything_is_written(tmp_path, case):
    call, _ = case
    prepare(*call)
    with pytest.raises(SettingsError, match="holds a data set already; --overwrite replaces it"):
        prepare(*call, resume=True)
    assert names_beside(tmp_path) == ["d", "whole"]
    prepare(*call, resume=True, overwrite=True)


def test_a_fault_of_a_source_leaves_nothing_behind(tmp_path, case):
    (_, out, options), _ = case
    (tmp_path / "t.csv").write_bytes((tmp_path / "t.csv").read_bytes() + b"\0\n")
    with pytest.raises(DataError, match="holds a zero byte"):
        prepare([str(tmp_path / "t.csv")], out, options, resume=True)
    assert names_beside(tmp_path) == ["whole"]


def test_a_full_disk_leaves_what_can_be_continued(tmp_path, case):
    call, expected = case

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(preparing, "leakage_report", full)
        with pytest.raises(DataError, match="cannot be written: No space") as caught:
            prepare(*call, resume=True)
    assert caught.value.__notes__ == ["the same command with --resume goes on after row 100"]
    prepare(*call, resume=True)
    assert content_of(tmp_path / "d") == expected


def test_a_second_run_is_refused_and_disturbs_nothing(tmp_path, case):
    call, expected = case
    refused = []

    def try_again(stage, done, total):
        if (tmp_path / "d.partial").exists() and not refused:
            with pytest.raises(SettingsError, match=r"d\.partial is being written by another run"):
                prepare(*call, resume=True)
            refused.append(stage)

    prepare(*call, resume=True, on_progress=try_again)
    assert refused
    assert content_of(tmp_path / "d") == expected


# In a process of its own, which waits for its death once two segments are on the disk.
WAITING = f"""
import signal, sys
from barcodemae.cli import main
from barcodemae.training.data import progress
from barcodemae.training.data.sources.text_blocks import TextFile

TextFile.blocks.__defaults__ = ({BYTES_PER_BLOCK},)
progress.ROWS_PER_SEGMENT = {ROWS_PER_SEGMENT}
write = progress._write_learnt

def wait(archive, learnt, position):
    if learnt.counts["num_read"] > 2 * progress.ROWS_PER_SEGMENT + 10:
        signal.pause()
    write(archive, learnt, position)

progress._write_learnt = wait
main(sys.argv[1:])
"""


def test_a_command_that_was_killed_goes_on(tmp_path, case, capsys):
    (sources, out, _), expected = case
    command = ["prepare", *sources, "-o", str(out), "--partitions", "make", "--resume"]
    command += ["--species", "48", "--barcodes-per-species", "4"]
    process = subprocess.Popen([sys.executable, "-c", WAITING, *command], stderr=subprocess.DEVNULL)
    note = tmp_path / "d.partial" / "progress.json"
    while not note.is_file() or len(json.loads(note.read_text())["segments"]) < 2:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert main(command) == 0
    assert content_of(out) == expected
    assert names_beside(tmp_path) == ["d", "whole"]


def test_a_command_on_standard_input_cannot_be_resumed(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b">a\nACGTACGT\n")))
    assert main(["prepare", "-", "-o", str(tmp_path / "d"), "--unlabelled", "--resume"]) == 2
    assert "--resume: <stdin> cannot be read again; name a file" in capsys.readouterr().err


# In a process of its own, which forks: a run is killed at later and later calls that touch the
# file system, until one gets through.
KILLER = f"""
import os, signal, sys
import barcodemae.training.data.prepare  # now, so that no import is counted below
from barcodemae.cli import main
from barcodemae.training.data import progress
from barcodemae.training.data.sources.text_blocks import TextFile

TextFile.blocks.__defaults__ = ({4 * BYTES_PER_BLOCK},)
progress.ROWS_PER_SEGMENT = {ROWS_PER_SEGMENT}
home = os.path.dirname(sys.argv[1])

def touches_home(event, arguments):
    if event in ("os.remove", "os.rmdir"):
        return True
    return event in ("open", "os.mkdir", "os.rename") and home in str(arguments[0])

def run(kill_at):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    calls = 0
    def hook(event, arguments):
        nonlocal calls
        calls += touches_home(event, arguments)
        if calls == kill_at > 0 and event != "os.kill":
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    os._exit(main(sys.argv[2:]))

code, kill_at = -signal.SIGKILL, 0
while code == -signal.SIGKILL:
    kill_at += 11  # a prime, so that all kinds of calls have their turn
    code = run(kill_at)
assert code == 0
print(kill_at // 11)
"""


def test_a_command_that_is_killed_again_and_again_arrives(tmp_path, case):
    (sources, out, _), expected = case
    command = ["prepare", *sources, "-o", str(out), "--partitions", "make", "--resume"]
    command += ["--species", "48", "--barcodes-per-species", "4", "--overwrite"]
    done = subprocess.run([sys.executable, "-c", KILLER, str(out), *command], capture_output=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
    assert content_of(out) == expected
    assert names_beside(tmp_path) == ["d", "whole"]
