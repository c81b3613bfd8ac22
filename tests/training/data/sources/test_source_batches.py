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
    found = canonical_table(rows, {"dna_barcode": "nuc", "genus": "genus", "split": "set"}, "table")
    assert found.schema == BATCH_SCHEMA
    assert found["dna_barcode"].to_pylist() == ["AC", "GT"]
    assert found["genus"].to_pylist() == ["Aedes", None]
    assert found["split"].to_pylist() == ["val", None]
    assert found["species"].to_pylist() == [None, None]


def test_labels_are_trimmed_and_read():
    labels = pa.chunked_array([pa.array([" a", "b ", None, "d"], pa.string())]).cast(LABEL_TYPE)
    tidy = tidy_labels(labels, {"a": "a", "b": "c", "d": None}.get)
    assert tidy.to_pylist() == ["a", "c", None, None]
    assert tidy.null_count == 2


def test_published_data_sets_keep_their_names_and_others_are_tidied():
    rows = pa.record_batch({"species": ["Aedes sp. 2", "Aedes_aegypti", "None"]})
    columns = {"species": "species"}
    published = canonical_table(rows, columns, "bioscan5m")["species"].to_pylist()
    assert published == ["Aedes sp. 2", "Aedes_aegypti", None]
    others = canonical_table(rows, columns, "bold")["species"].to_pylist()
    assert others == [None, "Aedes aegypti", None]


def test_text_of_any_kind_of_column_is_read():
    names = ["Aedes", None, "Aedes"]
    for column in (
        pa.array(names).dictionary_encode(),
        pa.array(names, pa.large_string()),
        pa.array(names, pa.string_view()),
    ):
        rows = pa.record_batch({"genus": column})
        assert canonical_table(rows, {"genus": "genus"}, "parquet")["genus"].to_pylist() == names


def test_rows_without_a_name_are_named_by_the_file_and_their_place():
    names = generated_names("folder/unseen.csv.gz", np.array([2, 17]))
    assert names.to_pylist() == ["unseen:2", "unseen:17"]
