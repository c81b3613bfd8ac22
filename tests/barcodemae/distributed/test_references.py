import numpy as np
import pytest

from barcodemae.calls.libraries import LibraryOrder, make_library
from barcodemae.distributed.references import ReferenceHelpers, ReferenceOrder
from barcodemae.distributed.shards import ShardFolder
from barcodemae.eval.embed.loading import ModelOptions
from barcodemae.eval.identify.reference import survey
from barcodemae.training.data.sources.recognition import SourceOptions


FILES = ("vectors.npy", "hashes.npy", "strand.npy", "lineage.arrow", "report.tsv", "flagged.tsv")


@pytest.fixture
def sources(tmp_path, relatives):
    fasta, names = tmp_path / "refs.fasta", tmp_path / "names.tsv"
    texts = [*relatives[:20], relatives[20][:90] + relatives[20][91:], *relatives[21:]]
    fasta.write_text("".join(f">R{n}\n{text}\n" for n, text in enumerate(texts)))
    lines = [
        f"R{n}\tk__A; p__P; c__C; o__O; f__F{n // 10}; g__G{n // 5}; s__G{n // 5} s{n // 5}\n"
        for n in range(len(relatives))
    ]
    lines[3] = "R3\tk__unidentified\n"  # left out
    names.write_text("Feature ID\tTaxon\n" + "".join(lines))
    return [str(fasta)], LibraryOrder(source=SourceOptions(taxonomy=names))


@pytest.mark.parametrize("kind", ["kmer:3", "network", "framed"])
def test_a_crew_makes_the_library_of_one_machine(
    hire, sources, tmp_path, monkeypatch, kind, tiny_folder, framed_folder
):
    monkeypatch.setattr(survey, "ROWS_PER_BATCH", 8)
    hire.deaths = {2: 1, 5: 2}
    model = {"network": str(tiny_folder), "framed": str(framed_folder)}.get(kind, kind)
    paths, order = sources
    options = ModelOptions(device="cpu").lightest(model)
    make_library(paths, tmp_path / "alone", model, options, order)
    helpers = []

    def get_help(embedder):
        work = ReferenceOrder(model=model, options=options)
        folder = ShardFolder(tmp_path / "shards")
        helpers.append(ReferenceHelpers(hire, work, {"model": model}, folder))
        return helpers[0]

    make_library(paths, tmp_path / "crew", model, options, order, get_help=get_help)
    assert len(helpers[0].keys) > 7  # batches
    for name in (*FILES, "calibration.json"):
        expected, found = (tmp_path / which / name for which in ("alone", "crew"))
        assert found.read_bytes() == expected.read_bytes(), name
    assert len(np.load(tmp_path / "crew" / "vectors.npy")) == 59
    flagged = (tmp_path / "crew" / "flagged.tsv").read_text()
    assert ("frameshift" in flagged) is (kind == "framed")  # R20 lost a base
