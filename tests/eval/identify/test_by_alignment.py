import shutil
import tempfile

import numpy as np
import pytest

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.by_alignment import (
    from_top_hits,
    identify_by_sintax,
    identify_by_top_hit,
    read_sintax,
)
from barcodemae.eval.search.programs import Blastn, Vsearch


SPECIES, GENUS, FAMILY = (RANKS.index(rank) for rank in ("species", "genus", "family"))


def test_sintax_tables_are_read_by_row_and_letter():
    text = "1\tp:0(1.00),g:7(0.85),s:3(0.40)\t+\tp:0,g:7\n0\t\t\t\n"
    found = read_sintax(text, 2)
    assert found.names[1, [0, GENUS, SPECIES]].tolist() == [0, 7, 3]
    assert found.is_assigned[1, [0, GENUS, SPECIES]].tolist() == [True, True, False]
    assert not found.is_assigned[0].any()
    np.testing.assert_allclose(found.novelty[1], [0.6, 0.15])


def test_identity_thresholds_decide_which_names_are_assigned():
    codes = np.arange(2 * len(RANKS), dtype=np.int32).reshape(2, -1)
    found = from_top_hits([(1, 97.0), (1, 96.9), (0, 90.0), None], codes)
    given = found.is_assigned[:, [FAMILY, GENUS, SPECIES]]
    assert given.tolist() == [[True] * 3, [True, True, False], [True, False, False], [False] * 3]
    assert found.names[0].tolist() == codes[1].tolist()


@pytest.mark.parametrize("program", [Vsearch, Blastn])
def test_programs_find_the_species_of_simulated_barcodes(
    program, library, rows, tmp_path, monkeypatch
):
    if shutil.which(program.__name__.lower()) is None:
        pytest.skip(f"{program.__name__.lower()} is not on PATH")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "my temporary files"))
    (tmp_path / "my temporary files").mkdir()
    references = [library.barcodes[row] for row in range(len(library))]
    queries = [row for row in rows if row["split"] == "test"]
    texts = [row["dna_barcode"] for row in queries]
    truth = library.codes_of("species", [row["species"] for row in queries])
    methods = [identify_by_top_hit, *([identify_by_sintax] if program is Vsearch else [])]
    for method in methods:
        found = method(program(threads=1), references, library.codes, texts)
        assert (found.names[:, SPECIES] == truth).mean() > 0.9
