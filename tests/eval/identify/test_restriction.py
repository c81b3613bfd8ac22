import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.identify.restriction import Restriction, read_checklist


def test_only_references_of_a_taxon_are_allowed(library):
    allowed = Restriction(within=("Genus3",)).apply(library)
    assert [library.deepest_name(row).split()[0] for row in allowed.nonzero()[0]] == ["Genus3"] * 12
    assert Restriction().apply(library) is None


def test_an_unknown_taxon_is_refused_with_its_name(library):
    with pytest.raises(SettingsError, match="Nobody"):
        Restriction(within=("Genus3", "Nobody")).apply(library)
    with pytest.raises(SettingsError, match="no reference"):
        Restriction(checklist=("Nobody",)).apply(library)


def test_a_checklist_has_one_name_per_line(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("# comment\nA b,2\nC d\tx\n\nA b\n")
    assert read_checklist(path) == ("A b", "C d")
    path.write_text("#\n")
    with pytest.raises(DataError, match="names nothing"):
        read_checklist(path)
