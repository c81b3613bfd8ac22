import json
import re

import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.identify.findings import FLAGS, NOVEL_FLAGS
from barcodemae.eval.identify.overview.page import FLAG_MEANINGS, write_overview


EVIL = "</script><img src=x onerror=alert(1)>"


def test_the_page_shows_candidates_rejected_records_and_every_sample(table_of, tmp_path):
    one = table_of("one.tsv", table_of.row("query1", depth=6, flags="novel_species,frameshift"))
    two = table_of("two.tsv", table_of.row("c"), rejected=[("2", "prot", "not DNA: E")])
    write_overview([one, two], tmp_path / "p.html", {"library": "insects"})
    page = (tmp_path / "p.html").read_text()
    assert "<title>one, two" in page
    for words in ("query1", "REF7", "98.8 %", "frameshift", "prot", "not DNA: E", "insects"):
        assert words in page
    assert "1 of a new species." in page


def test_ids_taxa_and_reasons_are_text_and_never_markup(table_of, tmp_path):
    lineage = (EVIL, "Insecta", "Diptera", "", "", EVIL, EVIL)
    row = table_of.row(EVIL, lineage=lineage, flags="novel_species").replace("REF7", EVIL)
    path = table_of("n.tsv", row, rejected=[("2", EVIL, EVIL)])
    write_overview([path], tmp_path / "p.html", {EVIL: EVIL})
    page = (tmp_path / "p.html").read_text()
    assert "<img" not in page
    assert page.count("</script>") == page.count("<script")


def test_nothing_is_loaded_from_anywhere(table_of, tmp_path):
    write_overview([table_of("n.tsv", table_of.row("a"))], tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text()
    assert "default-src 'none'" in page
    assert re.findall(r"""(?:src|href)=["']?http|@import|url\(""", page) == []


def test_the_data_of_the_sunburst_can_be_read_back(table_of, tmp_path):
    write_overview([table_of("n.tsv", table_of.row("a;size=7"))], tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text()
    records, reads, _ = (
        json.loads(text)
        for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', page)
    )
    assert (records["count"], reads["count"]) == (1, 7)


def test_an_empty_table_is_a_page_too(table_of, tmp_path):
    write_overview([table_of("n.tsv")], tmp_path / "p.html")
    assert "None: every record could be read." in (tmp_path / "p.html").read_text()


def test_bytes_that_were_no_text_do_not_stop_the_page(table_of, tmp_path):
    path = table_of("n.tsv", table_of.row("caf@"))
    path.write_bytes(path.read_bytes().replace(b"caf@", b"caf\xe9"))
    write_overview([path], tmp_path / "p.html")
    assert (tmp_path / "p.html").read_text(encoding="utf-8")


def test_a_page_must_be_called_one(table_of, tmp_path):
    with pytest.raises(SettingsError, match=r"let its name end in \.html"):
        write_overview([table_of("n.tsv")], tmp_path / "p.pdf")


def test_every_flag_has_its_meaning():
    assert set(FLAG_MEANINGS) == set(FLAGS) - set(NOVEL_FLAGS)
