"""The list of our rows and of unavailable systems: read strictly, and complete as committed."""

from pathlib import Path

import pytest

from barcodemae.errors import DataError
from barcodemae.eval.embed.foreign.loading import PUBLISHED
from barcodemae.eval.report.systems import Systems, Unavailable, read_systems


COMMITTED = Path(__file__).parents[3] / "results" / "systems.yaml"


def test_the_file_is_read_as_written(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(
        "ours: [Mine*]\nunavailable:\n- {model: A, architecture: encoder-only, weights: x/a}\n"
    )
    assert read_systems(path) == Systems(("Mine*",), (Unavailable("A", "encoder-only", "x/a"),))
    path.write_text("")
    assert read_systems(path) == Systems()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not YAML"),
        ("- a", "holds more than `ours` and `unavailable`"),
        ("missing: [A]", "holds more than"),
        ("ours: Mine", "must be lists"),
        ("unavailable: [A]", "entry 1 of `unavailable` needs exactly architecture, model, weights"),
        ("unavailable: [{model: A, architecture: b, weights: c, value: 1}]", "needs exactly"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, words):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_systems(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_systems(tmp_path / "none.yaml")


def test_every_system_of_the_papers_table_is_listed_with_the_weights_that_probe_would_open():
    listed = {system.model: system.weights for system in read_systems(COMMITTED).unavailable}
    for model, short in {
        "BarcodeBERT (published)": "barcodebert",
        "DNABERT-2": "dnabert-2",
        "DNABERT-S": "dnabert-s",
        "Nucleotide Transformer v2-50m": "nucleotide-transformer",
        "HyenaDNA": "hyenadna",
    }.items():
        assert listed.pop(model) == PUBLISHED[short]
    assert set(listed) == {"BarcodeMAE (published)", "BarcodeMAE w/MASK (published)"}
