import csv
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.reference.revising import (
    Addition,
    Recalibration,
    Revision,
    revise,
    rows_without,
)
from barcodemae.eval.identify.reference.writer import Extras, write_library
from barcodemae.stored.manifest import MANIFEST, check_manifest, hash_file, write_manifest


ARRAYS = ("vectors.npy", "hashes.npy", "strand.npy")


def write_data(folder, rows):
    folder.mkdir()
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / "part.parquet")
    return folder


@pytest.fixture(scope="module")
def train(rows):
    """The references in their order."""
    return [row for row in rows if row["split"] == "train"]


@pytest.fixture(scope="module")
def halves(tmp_path_factory, library_folder, train, embedder):
    """A library of the first references, and the data set of the others; only read by tests."""
    folder = tmp_path_factory.mktemp("halves")
    whole = ReferenceLibrary(library_folder)
    first = Revision("remove", np.arange(len(whole)) < 90)
    old, _ = revised(whole, folder / "old", first)
    more = write_data(folder / "more", train[90:])
    return old, Addition(more, ("train",), embedder)


def revised(library, folder, revision, **options):
    folder.mkdir()
    found = revise(library, folder, revision, **options)
    return ReferenceLibrary(folder), found


def every(library):
    return np.ones(len(library), bool)


def lineage(library):
    with pa.memory_map(str(library.folder / "lineage.arrow")) as source:
        return pa.ipc.open_file(source).read_all().to_pylist()


def test_a_library_that_grew_is_the_library_of_all_its_references(halves, library_folder, tmp_path):
    old, addition = halves
    new, _ = revised(old, tmp_path / "new", Revision("add", every(old), addition))
    whole = ReferenceLibrary(library_folder)
    for name in ARRAYS:
        assert (new.folder / name).read_bytes() == (whole.folder / name).read_bytes()
    assert lineage(new) == lineage(whole)
    for entry in ("references", "taxa", "conflicts", "min_evidence", "frame", "dimensions"):
        assert new.description[entry] == whole.description[entry]


def test_a_library_without_some_references_is_the_library_of_the_others(
    library, tmp_path, rows, embedder
):
    gone = ["P00train0", "P52train1"]
    new, _ = revised(library, tmp_path / "new", Revision("remove", rows_without(library, gone)))
    left = [row for row in rows if row["processid"] not in gone]
    (tmp_path / "of").mkdir()
    left_data = write_data(tmp_path / "left", left)
    write_library(left_data, tmp_path / "of", embedder, splits=("train",))
    direct = ReferenceLibrary(tmp_path / "of", is_finished=False)
    for name in ARRAYS:
        assert (new.folder / name).read_bytes() == (direct.folder / name).read_bytes()
    assert lineage(new) == lineage(direct)


def test_short_forms_are_made_anew(tmp_path, library_folder, reference_data, embedder):
    (tmp_path / "old").mkdir()
    write_library(
        reference_data, tmp_path / "old", embedder, splits=("train",), extras=Extras(vectors="int8")
    )
    shutil.copy(library_folder / "calibration.json", tmp_path / "old")
    write_manifest(tmp_path / "old")
    old = ReferenceLibrary(tmp_path / "old")
    new, found = revised(old, tmp_path / "new", Revision("remove", np.arange(120) > 9))
    assert new.scanned.values.shape == new.vectors.shape
    assert 0 < found["scanned"]["error"] <= old.description["scanned"]["error"]


def test_what_stays_is_not_embedded_again(halves, tmp_path):
    old, addition = halves
    embedded = []

    class Counted(type(addition.embedder)):
        def embed_placed(self, placed):
            embedded.extend(sequence.letters for sequence in placed)
            return super().embed_placed(placed)

    counted = Counted(addition.embedder.embedder, 1)
    addition = Addition(addition.dataset, addition.splits, counted)
    new, _ = revised(old, tmp_path / "new", Revision("add", every(old), addition))
    assert embedded == [new.barcodes[row] for row in range(90, 120)]


def test_a_revision_is_another_version_and_names_its_parent(halves, tmp_path):
    old, addition = halves
    new, found = revised(old, tmp_path / "new", Revision("add", every(old), addition))
    assert new.fingerprint() != old.fingerprint()
    last = found["revisions"][-1]
    assert (last["parent"], last["kept"], last["added"]) == (old.fingerprint(), 90, 30)
    manifest = json.loads((new.folder / MANIFEST).read_text())
    assert manifest["parent"] == hash_file(old.folder / MANIFEST).sha256
    check_manifest(new.folder, everything=True)
    again, found = revised(new, tmp_path / "again", Revision("remove", np.arange(120) > 4))
    assert [part["action"] for part in found["revisions"]] == ["remove", "add", "remove"]
    assert again.fingerprint() not in (old.fingerprint(), new.fingerprint())


def test_retiring_other_references_makes_another_version(library, tmp_path):
    versions = set()
    for row in (3, 4):
        keep = np.arange(len(library)) != row
        new, _ = revised(library, tmp_path / str(row), Revision("remove", keep))
        versions.add(new.fingerprint())
    assert len(versions) == 2


def test_the_calibration_stays_unless_it_is_asked_for_anew(library, tmp_path, embedder):
    keep = np.arange(len(library)) >= 6
    kept, found = revised(library, tmp_path / "kept", Revision("remove", keep))
    assert kept.read_calibration() == library.read_calibration()
    assert found["revisions"][-1]["calibration"] == "of the parent"
    again, found = revised(
        library, tmp_path / "again", Revision("remove", keep), recalibration=Recalibration(embedder)
    )
    assert again.read_calibration() != library.read_calibration()
    assert again.read_calibration()["details"]["held_out"] == "references, left out"
    assert again.read_calibration()["assumed"] == library.read_calibration()["assumed"]
    assert found["revisions"][-1]["calibration"] == "fitted again"


def test_retired_references_and_what_could_not_be_added_stand_in_the_report(
    halves, tmp_path, train
):
    old, addition = halves
    bad = [train[95] | {"processid": "bad", "dna_barcode": "NNNN"}, *train[90:]]
    addition = Addition(write_data(tmp_path / "bad", bad), ("train",), addition.embedder)
    new, found = revised(old, tmp_path / "new", Revision("add", np.arange(90) != 7, addition))
    assert found["references_left_out"] == {"unreadable": 1}
    with (new.folder / "report.tsv").open(newline="") as stream:
        listed = [row[:3] for row in csv.reader(stream, delimiter="\t")]
    assert ["left out", "unreadable", "bad"] in listed
    assert ["left out", "retired: add", old.ids[7]] in listed
    last, _ = revised(new, tmp_path / "last", Revision("remove", np.arange(119) != 3))
    with (last.folder / "report.tsv").open(newline="") as stream:
        later = [row[:3] for row in csv.reader(stream, delimiter="\t")]
    left_out = [row for row in listed if row[0] == "left out"]
    retired = ["left out", "retired: remove", new.ids[3]]
    assert [row for row in later if row[0] == "left out"] == [*left_out, retired]


def test_new_conflicts_are_found(halves, tmp_path, train):
    old, addition = halves
    double = [train[0] | {"processid": "double", "species": "Genus0 other"}]
    addition = Addition(write_data(tmp_path / "double", double), ("train",), addition.embedder)
    new, found = revised(old, tmp_path / "new", Revision("add", every(old), addition))
    assert found["conflicts"]["one barcode, several species names"] == 1
    assert "P00train0,double" in (new.folder / "report.tsv").read_text()


def test_an_id_that_is_there_already_is_refused(halves, tmp_path, train):
    old, addition = halves
    again = Addition(write_data(tmp_path / "again", train[80:]), ("train",), addition.embedder)
    with pytest.raises(DataError, match=r"again: 10 of its records are in .*\(first: P"):
        revised(old, tmp_path / "new", Revision("add", every(old), again))
    check_manifest(old.folder, everything=True)


def test_an_id_may_return_if_its_record_is_retired(halves, tmp_path, train):
    old, addition = halves
    again = Addition(write_data(tmp_path / "again", train[89:]), ("train",), addition.embedder)
    new, _ = revised(old, tmp_path / "new", Revision("add", np.arange(90) != 89, again))
    assert len(new) == 120


def test_nothing_added_or_nothing_left_is_refused(halves, tmp_path, train):
    old, addition = halves
    bad = [train[95] | {"dna_barcode": "NNNN"}]
    empty = Addition(write_data(tmp_path / "bad", bad), ("train",), addition.embedder)
    with pytest.raises(DataError, match="no reference can be added: 1 unreadable"):
        revised(old, tmp_path / "new", Revision("add", every(old), empty))
    with pytest.raises(DataError, match="no reference would be left"):
        revised(old, tmp_path / "none", Revision("remove", np.zeros(90, bool)))


def test_an_id_that_the_library_lacks_is_refused(library):
    with pytest.raises(SettingsError, match="has no reference 'X1', nor 1 others"):
        rows_without(library, ["P00train0", "X1", "X2"])
    with pytest.raises(SettingsError, match="no ids"):
        rows_without(library, [])
