"""References and queries are chosen by rule, and what is unclear is passed over."""

import random

import pytest

from barcodemae.demonstration.barcodes import KNOWN_SPECIES, NEW_GENUS, NEW_SPECIES
from barcodemae.demonstration.making import queries, references
from barcodemae.demonstration.making.candidates import ACCESSION, Barcode, is_clean
from barcodemae.demonstration.making.queries import Holdings, choose_queries
from barcodemae.demonstration.making.references import Share, choose_references
from barcodemae.errors import SettingsError


CODONS = ("ATT", "GGA", "CTA", "TTT", "GCC", "AAT")


def letters(seed):
    generator = random.Random(seed)
    return "".join(generator.choices(CODONS, k=210))


def barcode(family=0, genus=0, species=0, copy=0, *, accession=None, text=None):
    name = f"Genus{'abcdefgh'[genus]}{'abcdefgh'[family]}"
    lineage = (
        "Chordata",
        "Aves",
        "Order",
        f"Family{family}",
        name,
        f"{name} sp{'abcdef'[species]}x",
    )
    number = ((family * 10 + genus) * 10 + species) * 10 + copy
    seed = (family, genus, species)
    return Barcode(accession or f"AB{number:06d}", lineage, text or letters(str(seed)), "val")


@pytest.fixture
def shares(monkeypatch):
    shares = {"Aves": Share(families=2, genera=2, species=2, barcodes=2)}
    monkeypatch.setattr(references, "SHARES", shares)
    monkeypatch.setattr(queries, "SHARES", shares)


EVERYTHING = [
    barcode(family, genus, species, copy)
    for family in range(3)
    for genus in range(4)
    for species in range(3)
    for copy in range(3)
]


@pytest.mark.parametrize("good", ["U12345", "AB123456", "MT878318.1"])
def test_accession_numbers_are_known(good):
    assert ACCESSION.fullmatch(good)


@pytest.mark.parametrize("bad", ["GBMIN12345-13", "NC_012345", "AB12345", "MT878318.", "ABC12345"])
def test_other_ids_are_no_accession_numbers(bad):
    assert not ACCESSION.fullmatch(bad)


def test_a_clean_barcode_is_taken_and_each_fault_is_refused():
    good = barcode()
    assert is_clean(good)
    assert not is_clean(barcode(accession="GBMIN12345-13"))
    assert not is_clean(barcode(text=good.letters[:599]))
    assert not is_clean(barcode(text="N" * 7 + good.letters[7:]))
    lineage = (*good.lineage[:-1], f"{good.lineage[4]} sp.")
    assert not is_clean(Barcode(good.accession, lineage, good.letters, "val"))
    assert not is_clean(Barcode(good.accession, ("", *good.lineage[1:]), good.letters, "val"))


@pytest.mark.usefixtures("shares")
def test_no_taxon_gives_more_references_than_its_share():
    chosen = choose_references(EVERYTHING)
    assert len(chosen) == 2 * 2 * 2 * 2
    assert choose_references(EVERYTHING[::-1]) == chosen


@pytest.mark.usefixtures("shares")
def test_queries_are_of_the_truth_they_are_chosen_for_and_no_references():
    chosen = choose_references(EVERYTHING)
    found = choose_queries(EVERYTHING, chosen)
    assert {truth: len(group) for truth, group in found.items()} == queries.COUNTS
    holdings = Holdings(chosen)
    for truth, group in found.items():
        assert {holdings.truth(one) for one in group} == {truth}
        assert not set(group) & set(chosen)


def test_truth_is_what_the_references_hold():
    holdings = Holdings([barcode(0, 0, 0, 0)])
    assert holdings.truth(barcode(0, 0, 0, 0)) is None
    assert holdings.truth(barcode(0, 0, 0, 1)) == KNOWN_SPECIES
    assert holdings.truth(barcode(0, 0, 1, 0)) == NEW_SPECIES
    assert holdings.truth(barcode(0, 1, 1, 0)) == NEW_GENUS
    assert holdings.truth(barcode(1, 0, 0, 0)) is None


def test_a_species_that_was_moved_to_another_genus_is_not_new():
    moved = barcode(0, 1, 0, 0)
    assert Holdings([barcode(0, 0, 0, 0)]).truth(moved) is None


def test_a_label_that_the_letters_contradict_is_no_truth():
    holdings = Holdings([barcode(0, 0, 0, 0)])
    assert not holdings.contradicts(barcode(0, 0, 0, 1), KNOWN_SPECIES)
    assert holdings.contradicts(barcode(0, 0, 0, 1, text=letters("other")), KNOWN_SPECIES)
    twin = barcode(0, 1, 1, 0, text=barcode(0, 0, 0, 0).letters)
    assert holdings.contradicts(twin, NEW_GENUS)


@pytest.mark.usefixtures("shares")
def test_too_few_queries_are_an_error_that_names_the_class():
    few = [barcode(0, 0, 0, copy) for copy in range(3)]
    with pytest.raises(SettingsError, match="Aves: only"):
        choose_queries(few, choose_references(few))
