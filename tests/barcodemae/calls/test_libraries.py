"""A library made in Python is the command's, file by file."""

import pytest

import barcodemae
from barcodemae import cli
from barcodemae.errors import SettingsError


def test_the_library_is_that_of_the_command(reference, lib, tmp_path):
    fasta, taxonomy = reference
    output = tmp_path / "lib"
    command = ["index", str(fasta), "--taxonomy", str(taxonomy), "-m", "kmer:4", "-o", str(output)]
    assert cli.main(command) == 0
    assert {path.name for path in output.iterdir()} == {path.name for path in lib.iterdir()}
    for name in ("vectors.npy", "lineage.arrow", "calibration.json", "report.tsv"):
        assert (output / name).read_bytes() == (lib / name).read_bytes()


def test_a_library_is_not_replaced_unasked(reference, lib):
    with pytest.raises(SettingsError, match="holds a library already"):
        barcodemae.index(reference[0], lib, model="kmer:4", taxonomy=reference[1])


def test_an_unknown_choice_is_refused(reference, tmp_path):
    with pytest.raises(SettingsError, match="unknown choice engine_; there are"):
        barcodemae.index(reference[0], tmp_path / "lib", engine_="faiss")
