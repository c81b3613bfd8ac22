"""Rows of any source come in the same columns, with tidy labels."""

import numpy as np
import pyarrow as pa

from barcodemae.training.data.sources.source_batches import (
    BATCH_SCHEMA,
    LABEL_TYPE,
    canonical_table,
    generated_names,
    tidy_labels,
)


def test_columns_of_a_source_become_the_canonical_ones():
    rows = pa.record_batch({"nuc": ["AC", "GT"], "genus": [" Aedes", "NA"], "set": ["val", None]})
    found = canonical_table(rows, {"dna_barcode": "nuc", "genus": "genus", "split": "set"})
    assert found.schema == BATCH_SCHEMA
    assert found["dna_barcode"].to_pylist() == ["AC", "GT"]
    assert found["genus"].to_pylist() == ["Aedes", None]
    assert found["split"].to_pylist() == ["val", None]
    assert found["species"].to_pylist() == [None, None]


def test_labels_are_trimmed_and_aliases_translated():
    labels = pa.chunked_array([pa.array([" a", "b ", None], pa.string())]).cast(LABEL_TYPE)
    assert tidy_labels(labels, {"b": "c"}).to_pylist() == ["a", "c", None]


def test_rows_without_a_name_are_named_by_the_file_and_their_place():
    names = generated_names("folder/unseen.csv.gz", np.array([2, 17]))
    assert names.to_pylist() == ["unseen:2", "unseen:17"]
