import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae.dataset import RANKS, dataset_hash
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify.reference import library as library_module
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.reference.writer import Extras, write_library
from barcodemae.eval.search.reference_search import unit_length
from barcodemae.stored.manifest import write_manifest


def test_a_library_holds_the_references_in_order(library, rows, embedder):
    train = [row for row in rows if row["split"] == "train"]
    assert len(library) == len(train)
    assert [library.ids[row] for row in range(len(library))] == [r["processid"] for r in train]
    assert library.barcodes[7] == train[7]["dna_barcode"]
    vectors = unit_length(embedder.embed([row["dna_barcode"] for row in train]))
    np.testing.assert_array_equal(library.vectors, vectors)
    genus = RANKS.index("genus")
    names = [library.taxon(genus, code) for code in library.codes[:, genus]]
    assert names == [row["genus"] for row in train]
    assert library.taxon(RANKS.index("subfamily"), library.codes[0, 4]) is None


def test_a_library_says_what_made_it(library, reference_data):
    found = library.description
    assert found["model"] == {"name": "kmer:4", "weights": "kmer:4", "dtype": "float32"}
    assert found["reference"]["hash"] == dataset_hash(reference_data)
    assert found["references"] == 120
    assert found["dimensions"] == 256
    assert found["is_coding"] is False  # simulated without regard to codons


def test_another_model_is_refused(library):
    with pytest.raises(SettingsError, match=r"indexed with kmer:4 .* not with kmer:3"):
        library.check_model(OffsetEmbedder(KmerCounts(3), 1))


def test_the_same_weights_with_other_vectors_are_refused(library):
    class Reversed(KmerCounts):
        def embed(self, sequences, *, progress=False):
            return super().embed(sequences)[:, ::-1]

    with pytest.raises(SettingsError, match="no longer gives the vectors"):
        library.check_model(OffsetEmbedder(Reversed(4), 1))


def test_an_identical_barcode_is_found_and_a_similar_one_is_not(library):
    text = library.barcodes[11]
    other = ("A" if text[0] != "A" else "C") + text[1:]
    found = library.find_identical([other, text, "ACGT"])
    assert [rows.tolist() for rows in found] == [[], [11], []]


def test_a_folder_that_is_no_library_or_damaged_is_refused(tmp_path, library_folder):
    with pytest.raises(DataError, match="is not a reference library"):
        ReferenceLibrary(tmp_path)
    copy = tmp_path / "copy"
    shutil.copytree(library_folder, copy)
    (copy / "lineage.arrow").write_bytes(b"damaged")
    write_manifest(copy)
    with pytest.raises(DataError, match="damaged library"):
        ReferenceLibrary(copy)
    shutil.copy(library_folder / "lineage.arrow", copy)
    np.save(copy / "hashes.npy", np.zeros(3, np.uint64))
    write_manifest(copy)
    with pytest.raises(DataError, match=r"hashes are uint64 \(3,\), not"):
        ReferenceLibrary(copy)
    description = json.loads((copy / "library.json").read_text())
    (copy / "library.json").write_text(json.dumps(description | {"format_version": 0}))
    with pytest.raises(DataError, match="another version"):
        ReferenceLibrary(copy)


def test_an_engine_the_library_was_not_made_for_is_refused(library):
    pytest.importorskip("faiss")
    with pytest.raises(SettingsError, match="index with --engine faiss"):
        library.engine("faiss")
    with pytest.raises(SettingsError, match="not one of exact, faiss"):
        library.engine("annoy")


def test_references_that_are_left_out_are_counted_and_listed(tmp_path, embedder):
    data = tmp_path / "data"
    data.mkdir()
    barcode = "ACGTACGATTACAGGATACCATTGACCA"
    table = [("a", barcode, "Aus"), ("b", "NNNN", "Aus"), ("c", barcode, None)]
    columns = zip(*table, strict=True)
    names = ("processid", "dna_barcode", "genus")
    found = dict(zip(names, map(list, columns), strict=True)) | {"split": ["train"] * 3}
    pyarrow.parquet.write_table(pa.table(found), data / "part.parquet")
    listed = "source\tline\tprocessid\treason\nrefs.fa\t4\tz\ttoo_short\n"
    (data / "rejected.tsv").write_text(listed)  # as prepare lists what it drops
    description = write_library(data, tmp_path, embedder, splits=("train",))
    assert description["references"] == 1
    assert description["references_left_out"] == {"unreadable": 1, "no name at any rank": 1}
    report = (tmp_path / "report.tsv").read_text().splitlines()
    assert [line.split("\t")[:3] for line in report[1:]] == [
        ["left out", "too_short", "z"],
        ["left out", "unreadable", "b"],
        ["left out", "no name at any rank", "c"],
    ]
    pyarrow.parquet.write_table(pa.table(found).slice(1), data / "part.parquet")
    with pytest.raises(DataError, match="no reference can be used"):
        write_library(data, tmp_path, embedder, splits=("train",))


def test_a_barcode_whose_fingerprint_is_beyond_all_others_is_not_found(library, monkeypatch):
    monkeypatch.setattr(library_module, "hash_barcode", lambda text: 2**64 - 1)
    assert library.find_identical(["ACGT"])[0].tolist() == []


def test_vectors_of_another_width_are_refused(library):
    class Narrower(KmerCounts):
        def embed(self, sequences, *, progress=False):
            return super().embed(sequences)[:, :-1]

    with pytest.raises(SettingsError, match="no longer gives the vectors"):
        library.check_model(OffsetEmbedder(Narrower(4), 1))


@pytest.mark.parametrize("file", ["library.json", "calibration.json"])
def test_what_decides_an_identification_is_in_the_fingerprint(tmp_path, library_folder, file):
    copy = tmp_path / "copy"
    shutil.copytree(library_folder, copy)
    before = ReferenceLibrary(copy).fingerprint()
    assert before == ReferenceLibrary(library_folder).fingerprint()
    (copy / file).write_text((copy / file).read_text() + "\n")
    write_manifest(copy)
    assert ReferenceLibrary(copy).fingerprint() != before


def test_one_changed_byte_of_a_library_is_refused(tmp_path, library_folder):
    copy = tmp_path / "copy"
    shutil.copytree(library_folder, copy)
    content = bytearray((copy / "vectors.npy").read_bytes())
    content[500] ^= 1
    (copy / "vectors.npy").write_bytes(content)
    with pytest.raises(DataError, match=r"vectors\.npy is not what was written"):
        ReferenceLibrary(copy)


@pytest.mark.parametrize("form", ["float16", "int8"])
def test_short_forms_of_the_vectors_change_no_neighbor(
    library, reference_data, embedder, tmp_path, rows, form
):
    description = write_library(
        reference_data, tmp_path, embedder, splits=("train",), extras=Extras(vectors=form)
    )
    assert description["scanned"]["format"] == form
    short = ReferenceLibrary(tmp_path, is_finished=False)
    assert short.scanned is not None
    queries = embedder.embed([row["dna_barcode"] for row in rows if row["split"] != "train"])
    allowed = np.arange(len(library)) % 3 > 0
    for options in ((), (allowed,)):
        expected = library.engine("exact", *options).search(queries, 8)
        found = short.engine("exact", *options).search(queries, 8)
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_array_equal(found.similarity, expected.similarity)


def test_short_forms_that_are_missing_or_of_another_library_are_refused(
    reference_data, embedder, tmp_path
):
    write_library(
        reference_data, tmp_path, embedder, splits=("train",), extras=Extras(vectors="int8")
    )
    np.save(tmp_path / "scanned.npy", np.zeros((3, 256), np.int8))
    with pytest.raises(DataError, match="damaged library"):
        ReferenceLibrary(tmp_path, is_finished=False)
    (tmp_path / "scanned.npy").unlink()
    with pytest.raises(DataError, match="damaged library"):
        ReferenceLibrary(tmp_path, is_finished=False)
    path = tmp_path / "library.json"
    description = json.loads(path.read_text())
    path.write_text(json.dumps(description | {"scanned": {"format": "int8", "error": -1}}))
    with pytest.raises(DataError, match=r"scanned\.error"):
        ReferenceLibrary(tmp_path, is_finished=False)
