import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.errors import DataError, DataWarning, SettingsError
from barcodemae.eval.identify.restriction import Restriction, read_checklist, spellings


SPECIES = RANKS.index("species")


def test_only_references_of_a_taxon_are_allowed(library):
    allowed = Restriction(within=("Genus3",)).apply(library)
    assert [library.deepest_name(row).split()[0] for row in allowed.nonzero()[0]] == ["Genus3"] * 12
    assert Restriction().apply(library) is None


def test_an_unknown_taxon_is_refused_with_its_name(library):
    with pytest.raises(SettingsError, match="Nobody"):
        Restriction(within=("Genus3", "Nobody")).apply(library)
    with pytest.raises(SettingsError, match="no reference"):
        Restriction(checklist=("Nobody",)).apply(library)


def test_names_with_an_authority_are_those_without(library):
    plain = library.taxa[SPECIES][library.codes[0, SPECIES]]
    np.testing.assert_array_equal(
        Restriction(checklist=(plain.replace(" ", "_"),)).apply(library),
        Restriction(within=(plain,)).apply(library),
    )
    assert spellings("Apis mellifera Linnaeus") >= {"Apis mellifera"}
    assert spellings("Apis (Apis) mellifera carnica Pollmann") >= {"Apis mellifera"}
    assert spellings("Apidae Latreille") >= {"Apidae"}
    for species in ("Apis (Apis) mellifera Linnaeus", "Apis (Apis) cf. mellifera", "Apis sp."):
        assert "Apis" not in spellings(species)


def test_names_that_the_library_lacks_are_said(library):
    with pytest.warns(DataWarning, match="1 of 2 names are not in the library: Nobody"):
        allowed = Restriction(checklist=("Genus3", "Nobody")).apply(library)
    assert allowed.sum() == 12
    with pytest.raises(SettingsError, match="of what is allowed: Nobody, Neither"):
        Restriction(checklist=("Nobody", "Neither")).apply(library)


def test_a_checklist_has_one_name_per_line(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("# comment\nA b,2\nC d\tx\n\nA b\n")
    assert read_checklist(path) == ("A b", "C d")
    path.write_bytes(b'"Apis mellifera Linnaeus, 1758";bee\r\nMusca M\xfcller # fly\r\n')
    assert read_checklist(path) == ("Apis mellifera Linnaeus", "Musca M\u00fcller")
    path.write_text("#\n")
    with pytest.raises(DataError, match="names nothing"):
        read_checklist(path)
