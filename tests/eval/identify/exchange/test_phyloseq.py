from dataclasses import replace

from barcodemae.eval.identify.exchange.phyloseq import HEADER, to_phyloseq


def test_a_row_holds_the_names_given_and_nothing_below_them(found):
    cells = dict(
        zip(
            HEADER.rstrip("\n").split("\t"),
            to_phyloseq(found).rstrip("\n").split("\t"),
            strict=True,
        )
    )
    assert list(cells) == ["id", "Phylum", "Class", "Order", "Family", "Genus", "Species"]
    assert (cells["id"], cells["Genus"], cells["Species"]) == ("q1;size=3|x", "Aedes", "")


def test_a_record_without_a_name_keeps_its_row(found):
    assert to_phyloseq(replace(found, depth=0)) == "q1;size=3|x" + "\t" * 6 + "\n"
