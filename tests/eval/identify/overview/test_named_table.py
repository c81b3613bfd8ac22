import gzip

import pytest

from barcodemae.errors import DataError
from barcodemae.eval.identify.overview.named_table import read_named, read_rejected


def test_a_row_tells_names_novelty_and_what_its_id_carries(table_of):
    path = table_of(
        "n.tsv",
        table_of.row("a;size=12;sample=river 2", depth=6, flags="novel_species,short"),
    )
    (record,) = read_named(path)
    assert list(record.names) == ["phylum", "class", "order", "family", "genus"]
    assert (record.outcome, record.probability, record.identity) == ("genus", 0.9, 0.9876)
    assert (record.novel, record.novelty) == ("species", 0.7)
    assert (record.sample, record.reads) == ("river 2", 12)


def test_what_is_no_barcode_has_no_name_and_no_numbers(table_of):
    path = table_of("n.tsv", table_of.row("a", depth=0, flags="not_a_barcode", identity=""))
    (record,) = read_named(path)
    assert (record.outcome, record.names) == ("not a barcode", {})
    assert record.probability is record.identity is record.novel is record.reads is None


def test_compressed_tables_and_more_columns_are_read(table_of, tmp_path):
    header, line = table_of("n.tsv", table_of.row("a")).read_text().splitlines()
    packed = tmp_path / "more.tsv.gz"
    packed.write_bytes(gzip.compress(f"new\t{header}\nx\t{line}\n".encode()))
    assert [record.id for record in read_named(packed)] == ["a"]


def test_rejected_records_are_read_from_the_list_beside_the_table(table_of):
    path = table_of("n.tsv", rejected=[("3", "prot;size=2", "not DNA: letter(s) E")])
    (record,) = read_rejected(path)
    assert (record.number, record.id, record.reason) == ("3", "prot;size=2", "not DNA: letter(s) E")
    assert record.reads == 2


def test_without_a_list_nothing_was_rejected(table_of):
    assert list(read_rejected(table_of("n.tsv"))) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "id\tname\nx\ty\n", "is not a table that"),
        (lambda text: "", "is not a table that"),
        (lambda text: text + "a\tb\n", "line 3: 2 cells instead of"),
        (lambda text: text.replace("0.9876", "much"), "line 2: is damaged: could not convert"),
    ],
)
def test_other_files_and_damage_are_one_line(table_of, change, words):
    path = table_of("n.tsv", table_of.row("a"))
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=words):
        list(read_named(path))
