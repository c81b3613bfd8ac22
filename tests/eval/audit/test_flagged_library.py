"""What is found about references goes into their library, and names that rest on them say so."""

import csv
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae.eval.audit.doctor import audit_reference
from barcodemae.eval.audit.report.tables import write_flagged
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.candidates import COLUMNS, candidate_lines
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.reference.revising import Revision, revise
from barcodemae.fasta import SequenceRecord
from barcodemae.stored.manifest import write_manifest


LABEL_RANKS = ("order", "family", "genus", "species")


@pytest.fixture(scope="module")
def faulty(clean_rows):
    """A label of another family, a stop codon, a lost base, and a name of another species' BIN."""
    rows = [dict(row) for row in clean_rows]
    for rank in LABEL_RANKS:
        rows[0][rank] = rows[53][rank]
    rows[3]["dna_barcode"] = rows[3]["dna_barcode"][:30] + "TAA" + rows[3]["dna_barcode"][33:]
    rows[9]["dna_barcode"] = rows[9]["dna_barcode"][:150] + rows[9]["dna_barcode"][151:]
    rows[20]["dna_bin"] = rows[24]["dna_bin"]
    return rows


@pytest.fixture(scope="module")
def data(faulty, tmp_path_factory):
    """The data set of these references."""
    folder = tmp_path_factory.mktemp("data")
    pyarrow.parquet.write_table(pa.Table.from_pylist(faulty), folder / "part.parquet")
    return folder


@pytest.fixture(scope="module")
def report(data, framed_counts, tmp_path_factory):
    """The findings of a whole audit."""
    folder = tmp_path_factory.mktemp("report")
    write_flagged(folder / "flagged.tsv", audit_reference(data, framed_counts, ("train",)))
    return folder


@pytest.fixture(scope="module")
def folder(data, framed_counts, tmp_path_factory):
    """A library of the references, made without an audit; tests only read it."""
    return build(data, framed_counts, tmp_path_factory.mktemp("plain"))


@pytest.fixture
def plain(folder):
    """This library, opened."""
    return ReferenceLibrary(folder)


@pytest.fixture(scope="module")
def audited_library(data, framed_counts, report, tmp_path_factory):
    """A library of the references and the findings of the audit."""
    folder = tmp_path_factory.mktemp("audited")
    return ReferenceLibrary(build(data, framed_counts, folder, report))


def build(data, embedder, folder, findings=None):
    plan = LibraryPlan(held_out=(), max_fragments=20, findings=findings)
    build_library(data, folder, OffsetEmbedder(embedder, 1), plan)
    return folder


def test_index_finds_what_needs_no_neighbours_and_lists_it(plain):
    library = plain
    assert library.doubts[3] == ["stop_codon"]
    assert library.doubts[9] == ["frameshift"]
    assert "bin_several_names" in library.doubts[20]
    assert library.description["faults"] == {"stop_codon": 1, "frameshift": 1}
    with (library.folder / "report.tsv").open(newline="") as stream:
        listed = [row for row in csv.reader(stream, delimiter="\t") if row[0] == "fault"]
    assert [row[1:3] for row in listed] == [["stop_codon", "R0003"], ["frameshift", "R0101"]]


def test_a_wrong_label_is_told_by_a_library_with_the_findings_of_an_audit(
    audited_library, faulty, framed_counts
):
    library = audited_library
    assert "wrong_family" in library.doubts[0] or "wrong_order" in library.doubts[0]
    identifier = Identifier(library, framed_counts, IdentifyOptions(num_candidates=2))
    texts = [faulty[row]["dna_barcode"] for row in (0, 60)]
    asked = [SequenceRecord(n, "q", "q", text) for n, text in enumerate(texts, start=1)]
    doubted, sound = identifier.identify(asked)
    assert doubted.nearest == "R0000"
    assert "reference_flagged" in doubted.flags
    assert "reference_flagged" not in sound.flags
    found = identifier.examine(asked)[0].match.candidates
    first = candidate_lines("q", found, library)[0].rstrip("\n").split("\t")
    assert dict(zip(COLUMNS, first, strict=True))["flagged"] == ",".join(library.doubts[0])


def test_a_library_is_flagged_afterwards_and_keeps_its_vectors(plain, report, tmp_path):
    old = plain
    (tmp_path / "new").mkdir()
    keep = np.ones(len(old), bool)
    found = revise(old, tmp_path / "new", Revision("flag", keep, findings=report))
    new = ReferenceLibrary(tmp_path / "new")
    before, after = set(old.doubts[0]), set(new.doubts[0])
    assert before < after
    assert any(kind.startswith("wrong") for kind in after - before)
    assert (new.vectors == old.vectors).all()
    assert new.fingerprint() != old.fingerprint()
    assert found["flagged"]["references"] == len(new.doubts)


def test_doubts_stay_with_their_references_when_others_are_retired(audited_library, tmp_path):
    old = audited_library
    (tmp_path / "new").mkdir()
    keep = np.ones(len(old), bool)
    keep[[7, 8, 60]] = False
    revise(old, tmp_path / "new", Revision("remove", keep))
    new = ReferenceLibrary(tmp_path / "new")
    assert {new.ids[row]: kinds for row, kinds in new.doubts.items()} == {
        old.ids[row]: kinds for row, kinds in old.doubts.items()
    }


def test_a_library_made_before_there_were_doubts_opens_and_flags_nothing(folder, tmp_path):
    old = tmp_path / "old"
    shutil.copytree(folder, old)
    (old / "flagged.tsv").unlink()
    description = json.loads((old / "library.json").read_text())
    del description["flagged"]
    (old / "library.json").write_text(json.dumps(description))
    write_manifest(old)
    assert ReferenceLibrary(old).doubts == {}
