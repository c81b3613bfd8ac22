from pathlib import Path

from barcodemae.eval.identify.overview import tally
from barcodemae.eval.identify.overview.tally import sample_names, tally_tables


def test_every_record_of_every_table_is_counted_once(table_of):
    one = table_of("one.tsv", table_of.row("a"), table_of.row("b", depth=6, flags="novel_species"))
    two = table_of("two.tsv", table_of.row("c", depth=0), rejected=[("2", "d", "not DNA: E")])
    found = tally_tables([one, two], ["one", "two"])
    assert {name: dict(counts.outcomes) for name, counts in found.records.items()} == {
        "one": {"species": 1, "genus": 1},
        "two": {"no name": 1, "rejected": 1},
    }
    assert found.reasons == {"not DNA": 1}
    assert not found.has_reads


def test_ids_tell_samples_and_reads(table_of):
    path = table_of("n.tsv", table_of.row("a;sample=x;size=5"), table_of.row("b;sample=y"),
                    rejected=[("3", "c;sample=x;size=4", "too short: 3")])  # fmt: skip
    found = tally_tables([path], ["n"])
    assert found.has_reads
    assert {name: counts.outcomes.total() for name, counts in found.reads.items()} == {
        "x": 9,
        "y": 1,
    }
    assert found.records["x"].outcomes.total() == 2


def test_candidates_are_the_most_probable_of_each_rank_species_first(table_of, monkeypatch):
    monkeypatch.setattr(tally, "MAX_LISTED", 2)
    rows = [table_of.row(f"s{n}", flags="novel_species").replace("0.7", f"0.{n}") for n in "796"]
    path = table_of("n.tsv", *rows, table_of.row("g", flags="novel_genus,novel_species"))
    found = tally_tables([path], ["n"])
    assert [record.id for _, record in found.candidates()] == ["s9", "s7", "g"]
    assert found.num_candidates == {"species": 3, "genus": 1}


def test_a_probability_of_one_falls_into_the_last_bin(table_of):
    path = table_of("n.tsv", table_of.row("a", probability=1.0, identity="1.0000"))
    found = tally_tables([path], ["n"])
    assert found.identities == found.probabilities == {"species": {tally.NUM_BINS - 1: 1}}


def test_tables_of_one_name_are_told_apart_by_their_folders():
    paths = [Path("a/names.tsv"), Path("b/names.tsv"), Path("c/river.tsv.gz")]
    assert sample_names(paths) == ["a/names.tsv", "b/names.tsv", "river"]
