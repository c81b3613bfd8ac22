"""The reader gives the same batches as the tokenizer, from any offset."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barcodemae.dataset import COLUMNS
from barcodemae.errors import DataError
from barcodemae.tokenization import BarcodeKmerTokenizer
from barcodemae.training.batches.kmers import base_codes
from barcodemae.training.batches.reader import BarcodeReader


MAX_LENGTH_BP = 30  # short enough that hypothesis reaches the truncation
TOKENIZERS = {k: BarcodeKmerTokenizer(k, max_length_bp=MAX_LENGTH_BP) for k in (3, 4, 6, 8)}
KMER = "ACGTACGT"  # so that every barcode has one usable k-mer, whatever follows
BARCODES = st.lists(st.text(alphabet="ACGTNR", max_size=50), min_size=1, max_size=6)


def reader_of(sequences, k, **options):
    return BarcodeReader(*base_codes(sequences), k=k, max_length_bp=MAX_LENGTH_BP, **options)


@given(tails=BARCODES, k=st.sampled_from(sorted(TOKENIZERS)), data=st.data())
def test_batches_equal_the_tokenizers(tails, k, data):
    barcodes = [(tail + KMER).lstrip("N") for tail in tails]
    offsets = [data.draw(st.integers(0, len(barcode) - k)) for barcode in barcodes]
    rows = data.draw(st.permutations(range(len(barcodes))))
    cut = [barcodes[row][offsets[row] :] for row in rows]
    ids, lengths = reader_of(barcodes, k).batch(np.array(rows), np.array(offsets)[list(rows)])
    encodings = TOKENIZERS[k].backend_tokenizer
    encodings.no_padding()
    expected = [encodings.encode(letters).ids[: MAX_LENGTH_BP // k] for letters in cut]
    assert lengths.tolist() == [len(row) for row in expected]
    assert ids.shape == (len(rows), max(lengths))
    width = ids.shape[1]
    assert ids.tolist() == [row + [1] * (width - len(row)) for row in expected]


@pytest.mark.parametrize("k", sorted(TOKENIZERS))
def test_a_whole_batch_equals_a_padded_tokenizer_call(k):
    generator = np.random.default_rng(0)
    barcodes = ["".join(generator.choice(list("ACGT"), size)) for size in (8, 29, 30, 31, 45)]
    ids, lengths = reader_of(barcodes, k).batch(np.arange(5), np.zeros(5, np.int64))
    expected = TOKENIZERS[k](barcodes, return_tensors="np")
    assert ids.dtype == expected["input_ids"].dtype
    np.testing.assert_array_equal(ids, expected["input_ids"])
    np.testing.assert_array_equal(lengths, expected["attention_mask"].sum(axis=1))


def test_an_offset_beyond_the_last_kmer_still_leaves_one():
    ids, lengths = reader_of(["ACGTTT", "ACG"], 3).batch(np.array([0, 1]), np.array([5, 2]))
    assert lengths.tolist() == [1, 1]
    vocabulary = TOKENIZERS[3].get_vocab()
    assert ids.ravel().tolist() == [vocabulary["TTT"], vocabulary["ACG"]]


def test_the_last_barcode_does_not_read_beyond_the_codes():
    ids, lengths = reader_of(["ACGTACGTACGTACGTACGT", "AAA"], 3).batch(
        np.array([1, 0]), np.array([0, 0])
    )
    assert lengths.tolist() == [1, 6]
    assert ids[0, 1:].tolist() == [1] * 5


def test_a_memory_map_gives_the_same_batches(tmp_path):
    codes, offsets = base_codes(["ACGTACGTA", "TTTACG"])
    padded = np.concatenate([codes, np.full(MAX_LENGTH_BP, 4, np.uint8)])
    padded.tofile(tmp_path / "codes")
    mapped = np.memmap(tmp_path / "codes", dtype=np.uint8, mode="r")
    readers = [
        BarcodeReader(each, offsets, k=3, max_length_bp=MAX_LENGTH_BP) for each in (codes, mapped)
    ]
    batches = [reader.batch(np.array([1, 0]), np.array([0, 1])) for reader in readers]
    for mine, theirs in zip(*batches, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_an_empty_batch_is_empty():
    none = np.empty(0, np.int64)
    ids, lengths = reader_of(["ACGT"], 3).batch(none, none)
    assert ids.shape == (0, 0)
    assert lengths.shape == (0,)


def test_a_barcode_shorter_than_k_is_refused():
    with pytest.raises(ValueError, match=r"1 barcode\(s\) shorter than k=4, first in row 1"):
        reader_of(["ACGT", "ACG"], 4)


def test_a_length_shorter_than_k_is_refused():
    with pytest.raises(ValueError, match="max_length_bp must be at least k=6, got 5"):
        BarcodeReader(*base_codes(["ACGTACGT"]), k=6, max_length_bp=5)


def write_dataset(directory, rows):
    directory.mkdir()
    columns = {name: [row.get(name) for row in rows] for name in COLUMNS}
    table = pa.table(columns, schema=pa.schema([(name, pa.string()) for name in COLUMNS]))
    pq.write_table(table, directory / "part.parquet", row_group_size=1)
    return directory


def test_a_data_set_is_read_partition_by_partition(tmp_path):
    rows = [
        {"processid": "A", "dna_barcode": "ACGTAA", "split": "pretrain"},
        {"processid": "B", "dna_barcode": "CCC", "split": "train"},
        {"processid": "C", "dna_barcode": "GGGTTT", "split": "other_heldout"},
    ]
    directory = write_dataset(tmp_path / "d", rows)
    reader = BarcodeReader.from_dataset(directory, ["pretrain", "other_heldout"], k=3)
    assert len(reader) == 2
    assert reader.processids.to_pylist() == ["A", "C"]
    ids, _ = reader.batch(np.array([0, 1]), np.array([0, 0]))
    expected = BarcodeKmerTokenizer(3)(["ACGTAA", "GGGTTT"])["input_ids"]
    assert ids.tolist() == expected


def test_a_short_barcode_in_a_data_set_is_named(tmp_path):
    directory = write_dataset(
        tmp_path / "d", [{"processid": "SHORTY", "dna_barcode": "ACG", "split": "pretrain"}]
    )
    with pytest.raises(DataError, match="barcode SHORTY has fewer than k=6 bases"):
        BarcodeReader.from_dataset(directory, ["pretrain"], k=6)


def test_a_missing_partition_is_named_with_those_there_are(tmp_path):
    directory = write_dataset(
        tmp_path / "d", [{"processid": "A", "dna_barcode": "ACG", "split": "train"}]
    )
    with pytest.raises(DataError, match=r"no rows in split\(s\) pretrain; it has train"):
        BarcodeReader.from_dataset(directory, ["pretrain"], k=3)
