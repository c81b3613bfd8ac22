"""A label is read as the name of the taxon, or as none; what a name means is not lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.conventions.taxa import looks_binomial, names_of_organism, tidy_taxon


@pytest.mark.parametrize(
    ("deposited", "species"),
    [
        ("Aedes aegypti", "Aedes aegypti"),
        ("Aedes_aegypti", "Aedes aegypti"),
        (" Aedes  aegypti ", "Aedes aegypti"),
        ("Aedes aegypti (Linnaeus, 1762)", "Aedes aegypti"),
        ("Aedes aegypti Linnaeus, 1762", "Aedes aegypti"),
        ("Andrena (Melandrena) nitida", "Andrena nitida"),
        ("Apis mellifera carnica", "Apis mellifera"),
        ("Spodoptera_eridania_184240", "Spodoptera eridania"),
        ("Polygonia c-album", "Polygonia c-album"),
        ("Coccinella 7-punctata", "Coccinella 7-punctata"),
        ("Salix \u00d7 rubens", "Salix \u00d7 rubens"),
        ("Salix \u00d7rubens", "Salix \u00d7 rubens"),
        ("Salix x rubens", "Salix \u00d7 rubens"),
        ("Salix alba x Salix fragilis", "Salix alba \u00d7 Salix fragilis"),
        ("Genus0012 species00034", "Genus0012 species00034"),
    ],
)
def test_a_species_has_one_name_however_it_is_written(deposited, species):
    assert tidy_taxon("species", deposited) == species


@pytest.mark.parametrize(
    "deposited",
    [
        *("Bactrocera sp.", "Ceratitis_sp.", "Aedes sp", "Aedes spp.", "Aedes sp. 1ABC"),
        *("Bactrocera cf. dorsalis", "Bactrocera aff. dorsalis", "Aedes nr. vexans"),
        *("Eulepidotis Poole02", "Anopheles gambiae complex", "Aedes sp.BOLD:AAA0001"),
        *("Tephritidae_XX", "Arthropoda_XXX_sp.", "uncultured_organism", "unidentified"),
        *("nan nan", "None None", "undef_undef_Aedes"),
        *("None", "NA", "nan", "", " ", "None (Linnaeus, 1758)", "Spodoptera", "Spodoptera_9000"),
        *("BOLD:AAA0001", "Insecta incertae sedis", "species_Noctuidae_7100"),
    ],
)
def test_a_placeholder_or_an_interim_name_is_no_species(deposited):
    assert tidy_taxon("species", deposited) is None


@pytest.mark.parametrize(
    ("deposited", "name"),
    [
        ("Spodoptera_9000", "Spodoptera"),
        ("Noctuidae Latreille, 1809", "Noctuidae"),
        ("Andrena (Melandrena)", "Andrena"),
        ("\u00d7Triticosecale", "\u00d7Triticosecale"),
        ("Genus12", "Genus12"),
        ("Tephritidae_X", None),
        ("unclassified_Lepidoptera", None),
        ("Arthropoda_unclassified", None),
        ("unidentified", None),
        ("Fungi_phy_Incertae_sedis", None),
        ("order_Flabellinia_1485085", None),
        ("<NA>", None),
    ],
)
def test_taxa_above_the_species_are_read(deposited, name):
    assert tidy_taxon("genus", deposited) == name


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Aedes aegypti", {"genus": "Aedes", "species": "Aedes aegypti"}),
        ("Bactrocera cf. dorsalis", {"genus": "Bactrocera"}),
        ("Culicidae", {"family": "Culicidae"}),
        ("Cecidomyiidae sp. BIOUG1", {"family": "Cecidomyiidae"}),
        ("Culicinae", {"subfamily": "Culicinae"}),
        ("Lepidoptera sp. 4ABC", {}),
        ("NHM 0", {}),
        ("Aedes", {}),
        ("Costa Rica", {}),
    ],
)
def test_an_organism_without_rank_gives_only_what_its_name_says(text, names):
    assert names_of_organism(text) == names


def test_the_form_of_a_species_name_is_told_from_a_museums_number():
    assert looks_binomial("Aedes_aegypti")
    assert not any(map(looks_binomial, ["NHM 0", "Costa Rica", "Aedes", "Aedes sp. 1"][:3]))


@given(st.sampled_from(["species", "genus", "order"]), st.text(max_size=30))
def test_any_text_is_read_and_a_name_stays_as_it_is(rank, text):
    name = tidy_taxon(rank, text)
    if name is not None:
        assert name.strip() == name
        assert tidy_taxon(rank, name) in (name, None)
