"""A table of names is the command's file, whatever holds the sequences."""

import io

import pandas as pd
import pytest

import barcodemae
from barcodemae import cli
from barcodemae.errors import DataWarning, SettingsError
from barcodemae.eval.identify.formats import TSV_COLUMNS


pytestmark = pytest.mark.filterwarnings("ignore::barcodemae.errors.DataWarning")


def as_written(table):
    text = io.StringIO()
    table.to_csv(text, sep="\t", index=False, float_format="%.4f", quoting=3)
    return text.getvalue()


def test_the_table_is_the_file_of_the_command_letter_for_letter(queries, lib, tmp_path):
    output = tmp_path / "names.tsv"
    command = ["identify", str(queries), "-r", str(lib), "-m", "kmer:4", "--threshold", "0.3"]
    assert cli.main([*command, "-o", str(output)]) == 0
    table = barcodemae.identify(queries, lib, model="kmer:4", threshold=0.3)
    assert tuple(table.columns) == TSV_COLUMNS
    assert as_written(table) == output.read_text()
    rejected = (tmp_path / "names.rejected.tsv").read_text().splitlines()[1:]
    assert rejected == ["\t".join(map(str, row.values())) for row in table.attrs["rejected"]]


def test_a_dict_a_series_and_a_file_of_the_same_records_give_the_same_rows(lineages, lib, tmp_path):
    texts = {name: text for name, text, _ in lineages[::5]}
    path = tmp_path / "same.fasta"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    opened = barcodemae.open_library(lib, "kmer:4")
    tables = [opened.identify(source) for source in (texts, pd.Series(texts), path, str(path))]
    assert len(tables[0]) == len(texts)
    for other in tables[1:]:
        pd.testing.assert_frame_equal(tables[0], other)


def test_an_open_library_answers_again_and_says_how_large_it_is(lineages, lib):
    opened = barcodemae.open_library(lib, "kmer:4")
    assert len(opened) == len(lineages)
    text = lineages[0][1]
    first = opened.identify(text, mixture="65,30,5")
    again = barcodemae.identify([text], opened, mixture=[65, 30, 5], progress=False, threads=1)
    pd.testing.assert_frame_equal(first, again)
    assert first["nearest_reference"].tolist() == [lineages[0][0]]


def test_names_are_cut_where_the_threshold_says(lineages, lib):
    opened = barcodemae.open_library(lib, "kmer:4")
    text = lineages[0][1]
    for threshold in (1.0, {"species": 1.0, "genus": 1.0}, "species=1,genus=1"):
        table = opened.identify(text, threshold=threshold, mixture="65,30,5")
        assert table["species"].tolist() == ["unassigned"]
    assert opened.identify(text, threshold=0)["species"].tolist() == ["Genus0 sp0"]


def test_restrictions_may_be_lists_or_files(lineages, lib, tmp_path):
    opened = barcodemae.open_library(lib, "kmer:4")
    names = tmp_path / "names.txt"
    names.write_text("Genus1\n")
    for choice in ({"within": "Genus1"}, {"within": ["Genus1"]}, {"checklist": ["Genus1"]},
                   {"checklist": names}):  # fmt: skip
        table = opened.identify(lineages[0][1], **choice)
        assert table["nearest_reference"].str.startswith("R1").all()
        assert table["excluded"].tolist() == ["Genus0 sp0"]


def test_rejected_records_are_warned_of_and_listed(lib):
    with pytest.warns(DataWarning, match=r"record 2 \(gone\): empty"):
        table = barcodemae.identify(
            {"a": "ACGTAC" * 20, "gone": None}, lib, model="kmer:4", mixture="65,30,5"
        )
    assert table["id"].tolist() == ["a"]
    assert [part["id"] for part in table.attrs["rejected"]] == ["gone"]
    assert table.attrs["summary"]["records"] == 2


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"treshold": 0.5}, "unknown choice treshold; there are .*threshold"),
        ({"threshold": 2}, "a probability between 0 and 1"),
        ({"strand": "minus"}, "strand 'minus'"),
        ({"within": "Nobody"}, "holds no taxon 'Nobody'"),
        ({"threads": -1}, "at least one thread"),
    ],
)
def test_a_wrong_choice_is_refused_in_one_line(lib, choices, words):
    with pytest.raises(SettingsError, match=words):
        barcodemae.identify("ACGT" * 40, lib, model="kmer:4", **choices)


def test_an_unknown_choice_of_opening_is_refused(lib):
    with pytest.raises(SettingsError, match="unknown choice batchsize; there are batch_size"):
        barcodemae.open_library(lib, "kmer:4", batchsize=3)


def test_demo_stands_for_the_bundled_queries_and_references(lib, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "barcodemae.calls.names.resolve_reference",
        lambda library, open_model, say: asked.append(library) or lib,
    )
    table = barcodemae.identify("demo", "demo", model="kmer:4")
    assert asked == ["demo"]
    assert len(table) + len(table.attrs["rejected"]) == 40
