"""Taxa that differ only in case or blanks are told once each; others are not."""

import pytest

from barcodemae.conventions.spellings import Spellings
from barcodemae.errors import DataWarning


def test_pairs_are_told_once_by_rank():
    spellings = Spellings("data")
    spellings.note("genus", ["Aedes", "aedes", None])
    spellings.note("genus", ["aedes"])
    spellings.note("species", ["Aedes aegypti", "Aedes  aegypti", "aedes"])
    with pytest.warns(DataWarning) as told:
        spellings.warn()
    assert str(told[0].message) == (
        "data: taxa that differ only in case or blanks: genus 'Aedes' and 'aedes'; "
        "species 'Aedes aegypti' and 'Aedes  aegypti'"
    )


def test_no_pair_is_no_warning():
    spellings = Spellings("data")
    spellings.note("genus", ["Aedes", "Culex"])
    spellings.warn()
