import gzip
import json

import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.fasta import SequenceRecord
from barcodemae.output.rejected import HEADER, rejected_path_of
from barcodemae.output.shards import EMBED, Note, Part, Shard, merge_tables, note_path


SETTINGS = {"library": "abc"}


def records(count):
    return [SequenceRecord(n, f"r{n}", f"r{n}", "ACGT") for n in range(1, count + 1)]


def write_part(folder, number, of, total=10, *, suffix=".tsv", settings=SETTINGS):
    """A finished shard, as `identify` leaves it; record 4 is rejected."""
    part = Part.of(Shard(number, of), lambda: iter(records(total)))
    table = folder / f"part{number}{suffix}"
    kept = [record.number for record in part.read() if record.number != 4]
    text = "id\tname\n" + "".join(f"r{n}\tx\n" for n in kept)
    table.write_bytes(gzip.compress(text.encode()) if suffix.endswith(".gz") else text.encode())
    if any(record.number == 4 for record in part.read()):
        rejected_path_of(table).write_text(f"{HEADER}4\tr4\tno\n")
    part.write_note(table, settings, "id\tname\n")
    return table


@pytest.mark.parametrize(("total", "of"), [(10, 3), (3, 8), (1, 1), (100, 7)])
def test_every_record_is_in_one_shard_and_in_order(total, of):
    rows = [row for number in range(1, of + 1) for row in Shard(number, of).rows(total)]
    assert rows == list(range(total))


@pytest.mark.parametrize(("total", "of"), [(10, 3), (3, 8), (8, 2), (100, 7)])
def test_shards_of_blocks_begin_with_a_block_and_hold_every_record_once(total, of):
    shards = [Shard(number, of).rows(total, 4) for number in range(1, of + 1)]
    assert [row for rows in shards for row in rows] == list(range(total))
    assert all(rows.start % 4 == 0 for rows in shards if rows)


@pytest.mark.parametrize("text", ["", "3", "0/3", "4/3", "a/b", "1/0", "-1/3", "1/3/5", "1.5/2"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(SettingsError, match="expected I/N"):
        Shard.parse(text)


def test_shards_are_merged_to_the_table_of_one_run(tmp_path):
    tables = [write_part(tmp_path, number, 3) for number in (3, 1, 2)]
    assert merge_tables(tables, tmp_path / "all.tsv") == 10
    kept = [n for n in range(1, 11) if n != 4]
    assert (tmp_path / "all.tsv").read_text() == "id\tname\n" + "".join(f"r{n}\tx\n" for n in kept)
    assert (tmp_path / "all.rejected.tsv").read_text() == f"{HEADER}4\tr4\tno\n"


def test_packed_shards_are_merged_to_a_packed_table(tmp_path):
    tables = [write_part(tmp_path, number, 2, suffix=".tsv.gz") for number in (1, 2)]
    merge_tables(tables, tmp_path / "all.tsv.gz")
    assert gzip.decompress((tmp_path / "all.tsv.gz").read_bytes()).decode().count("\n") == 10


def test_a_missing_shard_is_named(tmp_path):
    tables = [write_part(tmp_path, number, 4) for number in (1, 3)]
    with pytest.raises(DataError, match=r"missing: 2/4, 4/4"):
        merge_tables(tables, tmp_path / "all.tsv")
    assert not (tmp_path / "all.tsv").exists()


def test_a_shard_that_is_there_twice_is_refused(tmp_path):
    (tmp_path / "again").mkdir()
    tables = [write_part(tmp_path, 1, 2), write_part(tmp_path / "again", 1, 2)]
    with pytest.raises(DataError, match="is shard 1, and so is"):
        merge_tables(tables, tmp_path / "all.tsv")


@pytest.mark.parametrize("name", ["part2.tsv", "part2.rejected.tsv"])
def test_a_table_that_has_changed_is_refused(tmp_path, name):
    tables = [write_part(tmp_path, number, 2, total=6) for number in (1, 2)]
    with (tmp_path / name).open("a") as stream:
        stream.write("one more\n")
    with pytest.raises(DataError, match="is not as it was written"):
        merge_tables(tables, tmp_path / "all.tsv")


def test_names_and_vectors_are_not_merged(tmp_path):
    first, second = write_part(tmp_path, 1, 2), write_part(tmp_path, 2, 2)
    Part.of(Shard(2, 2), lambda: iter(records(10))).write_note(
        second, SETTINGS, "id\tname\n", written_by=EMBED
    )
    with pytest.raises(DataError, match="another command"):
        merge_tables([first, second], tmp_path / "all.tsv")


@pytest.mark.parametrize("other", [{"of": 3}, {"total": 11}, {"settings": {"library": "other"}}])
def test_shards_of_different_runs_are_refused(tmp_path, other):
    tables = [write_part(tmp_path, 1, 2), write_part(tmp_path, 2, **({"of": 2} | other))]
    with pytest.raises(DataError, match="is a shard of another run"):
        merge_tables(tables, tmp_path / "all.tsv")


def test_a_table_without_a_note_is_refused_with_the_command_that_writes_both(tmp_path):
    (tmp_path / "names.tsv").write_text("id\tname\n")
    with pytest.raises(DataError, match="--shard I/N write both"):
        merge_tables([tmp_path / "names.tsv"], tmp_path / "all.tsv")


@pytest.mark.parametrize("change", [{"number": "1"}, {"written_by": "me"}, {"settings": []}, None])
def test_a_damaged_note_is_refused(tmp_path, change):
    table = write_part(tmp_path, 1, 1)
    path = note_path(table)
    path.write_text("{" if change is None else json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match="is damaged"):
        Note.read(table)
