import pytest

from barcodemae.eval.identify.reference.placeholders import without_placeholder


@pytest.mark.parametrize(
    "name",
    ["Bactrocera sp.", "Aedes cf. aegypti", "Insecta_X", "unidentified", "Spodoptera_9000", " "],
)
def test_a_placeholder_is_no_species(name):
    assert without_placeholder("species", name) is None


@pytest.mark.parametrize(("rank", "name"), [("species", "Aedes aegypti"), ("genus", "Aedes")])
def test_a_real_name_stays(rank, name):
    assert without_placeholder(rank, name) == name
