"""`report` draws tables that `identify` wrote; `identify --report` draws its own."""

import pytest

from barcodemae import cli
from barcodemae.eval.identify.formats import TSV_COLUMNS
from barcodemae.output.rejected import HEADER


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "names.tsv"
    path.write_text("\t".join(TSV_COLUMNS) + "\n" + "a" + "\t" * (len(TSV_COLUMNS) - 1) + "\n")
    return path


def test_a_page_counts_what_its_tables_hold(table, tmp_path, capsys):
    assert cli.main(["report", str(table), "-o", str(tmp_path / "p.html")]) == 0
    assert "1 records of 1 samples" in capsys.readouterr().err
    assert "<title>names" in (tmp_path / "p.html").read_text()


def test_lists_of_rejected_records_among_the_tables_are_read_only_once(table, tmp_path, capsys):
    rejected = tmp_path / "names.rejected.tsv"
    rejected.write_text(HEADER + "2\tb\tnot DNA\n")
    command = ["report", str(table), str(rejected), "-o", str(tmp_path / "p.html")]
    assert cli.main(command) == 0
    assert "2 records of 1 samples" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("output", "words"), [("p.pdf", "end in .html"), ("no/p.html", "does not exist")]
)
def test_a_page_that_cannot_be_written_is_one_line(table, tmp_path, output, words, capsys):
    assert cli.main(["report", str(table), "-o", str(tmp_path / output)]) == 2
    assert words in capsys.readouterr().err


def test_a_table_is_never_replaced_by_its_page(table, tmp_path, capsys):
    page = table.rename(tmp_path / "names.html")
    assert cli.main(["report", str(page), "-o", str(page)]) == 2
    assert "is the input itself" in capsys.readouterr().err
    assert page.read_text().startswith("id\t")
