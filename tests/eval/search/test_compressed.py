import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from barcodemae.errors import SettingsError
from barcodemae.eval.search.compressed import (
    VECTOR_FORMATS,
    CompressedVectors,
    check_format,
    expand,
    open_compressed,
    shorten,
    write_compressed,
)
from barcodemae.eval.search.reference_search import ExactSearch, unit_length


SHORT = VECTOR_FORMATS[1:]


def compressed(vectors, form):
    short, scales = shorten(vectors, form)
    lost = vectors.astype(np.float64) - expand(short, scales)
    return CompressedVectors(short, scales, float(np.linalg.norm(lost, axis=1).max()) * (1 + 1e-6))


def clustered(num, width, seed):
    """Vectors in tight clusters, where many references are nearly equally near."""
    generator = np.random.default_rng(seed)
    centers = generator.normal(size=(max(num // 20, 1), width))
    found = centers[generator.integers(len(centers), size=num)]
    return unit_length((found + generator.normal(0, 0.01, found.shape)).astype(np.float32))


@pytest.mark.parametrize("form", SHORT)
@given(
    data=st.data(),
    num=st.integers(1, 80),
    width=st.integers(1, 24),
    num_neighbors=st.integers(1, 10),
)
def test_short_forms_find_what_the_vectors_in_full_precision_find(
    form, data, num, width, num_neighbors
):
    numbers = st.floats(-1, 1, width=32)
    references = unit_length(data.draw(arrays(np.float32, (num, width), elements=numbers)))
    queries = data.draw(arrays(np.float32, (5, width), elements=numbers))
    plain = ExactSearch(references).search(queries, num_neighbors)
    short = ExactSearch(references, scanned=compressed(references, form)).search(
        queries, num_neighbors
    )
    np.testing.assert_array_equal(short.rows, plain.rows)
    np.testing.assert_array_equal(short.similarity, plain.similarity)


@pytest.mark.parametrize("form", SHORT)
def test_crowded_neighborhoods_are_found_as_in_full_precision(form):
    references, queries = clustered(3000, 48, 0), clustered(40, 48, 0)
    plain = ExactSearch(references).search(queries, 32)
    short = ExactSearch(references, scanned=compressed(references, form)).search(queries, 32)
    np.testing.assert_array_equal(short.rows, plain.rows)
    np.testing.assert_array_equal(short.similarity, plain.similarity)


@pytest.mark.parametrize("form", SHORT)
def test_what_is_excluded_stays_excluded(form):
    references, queries = clustered(300, 16, 1), clustered(4, 16, 1)

    def odd(rows, block):
        is_odd = np.arange(block.start, block.stop) % 2 == 1
        return np.broadcast_to(is_odd, (len(rows), len(is_odd)))

    plain = ExactSearch(references, odd).search(queries, 5)
    short = ExactSearch(references, odd, compressed(references, form)).search(queries, 5)
    np.testing.assert_array_equal(short.rows, plain.rows)
    assert (short.rows % 2 == 0).all()


@pytest.mark.parametrize("form", SHORT)
def test_no_product_is_further_off_than_the_bound(form):
    references, queries = clustered(500, 32, 2), clustered(50, 32, 3)
    short = compressed(references, form)
    exact = queries.astype(np.float64) @ references.T
    found = queries.astype(np.float64) @ short.block(slice(None)).T
    assert 0 < np.abs(found - exact).max() <= short.error


def test_without_the_bound_neighbors_are_missed():
    references, queries = clustered(3000, 48, 0), clustered(40, 48, 0)
    honest = compressed(references, "int8")
    careless = CompressedVectors(honest.values, honest.scales, 0.0)
    plain = ExactSearch(references).search(queries, 32)
    short = ExactSearch(references, scanned=careless).search(queries, 32)
    assert (short.rows != plain.rows).any()


@pytest.mark.parametrize(("form", "share"), [("float16", 2), ("int8", 4)])
def test_short_forms_on_disk_are_those_in_memory(tmp_path, monkeypatch, form, share):
    monkeypatch.setattr("barcodemae.eval.search.compressed.ROWS_PER_BLOCK", 7)
    references = clustered(50, 16, 4)
    error = write_compressed(references, tmp_path, form)
    found, expected = open_compressed(tmp_path, form, error), compressed(references, form)
    np.testing.assert_array_equal(found.block(slice(3, 20)), expected.block(slice(3, 20)))
    assert found.error == expected.error
    assert found.values.nbytes * share == references.nbytes


def test_short_forms_of_another_format_are_refused(tmp_path):
    write_compressed(clustered(5, 4, 0), tmp_path, "int8")
    with pytest.raises(ValueError, match="is int8, not float16"):
        open_compressed(tmp_path, "float16", 0.1)


def test_a_vector_of_zeros_stays_one():
    short, scales = shorten(np.zeros((1, 4), np.float32), "int8")
    assert not expand(short, scales).any()


def test_an_unknown_format_is_refused():
    with pytest.raises(SettingsError, match="'int4' are not one of float32, float16, int8"):
        check_format("int4")
