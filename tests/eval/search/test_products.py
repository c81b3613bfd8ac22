"""Products of vectors are right within the bound that is given, with torch and without it."""

import sys
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from barcodemae.eval.embed import number_format
from barcodemae.eval.search import products
from barcodemae.eval.search.products import (
    bf16_products,
    dot_products,
    error_bound,
    import_torch_for,
)
from barcodemae.eval.search.reference_search import unit_length


pytestmark = pytest.mark.number_format
WIDTH = 64


def random_units(count, seed):
    vectors = np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)
    return unit_length(vectors)


@pytest.fixture(params=["exact products", "bf16 products", "without torch"])
def precision(request, monkeypatch):
    """On every processor bf16 products are requested; some compute them exactly nevertheless."""
    monkeypatch.setattr(number_format, "onednn_takes_bfloat16", lambda: True)
    if request.param == "without torch":
        monkeypatch.setattr(products, "loaded_torch", lambda: None)
    with bf16_products() if request.param == "bf16 products" else nullcontext():
        yield request.param


def test_products_differ_by_no_more_than_the_error_bound(precision):
    references, queries = random_units(3000, 0), random_units(50, 1)
    fast = dot_products(queries, references)
    error = np.abs(fast - queries.astype(np.float64) @ references.T.astype(np.float64)).max()
    assert error <= error_bound(WIDTH)
    expected = 0.008 if precision == "bf16 products" else 4e-6
    assert error_bound(WIDTH) == pytest.approx(expected, 0.1)


def test_what_torch_may_do_with_bf16_products_is_allowed_for(monkeypatch):
    """Here factors are rounded before they are multiplied, as some processors do natively."""
    references, queries = random_units(3000, 0), random_units(50, 1)
    rounded = [torch.from_numpy(part).bfloat16().float() for part in (queries, references)]
    error = np.abs((rounded[0] @ rounded[1].T).numpy() - queries @ references.T).max()
    monkeypatch.setattr(number_format, "onednn_takes_bfloat16", lambda: True)
    assert error > error_bound(WIDTH)
    with bf16_products():
        assert error <= error_bound(WIDTH)


@pytest.mark.parametrize("is_taken", [False, True])
def test_products_are_bf16_within_their_block_where_onednn_supports_it(monkeypatch, is_taken):
    monkeypatch.setattr(number_format, "onednn_takes_bfloat16", lambda: is_taken)
    settings_of_torch = torch.backends.mkldnn.matmul
    before = settings_of_torch.fp32_precision
    with bf16_products():
        assert settings_of_torch.fp32_precision == ("bf16" if is_taken else before)
    with pytest.raises(KeyError), bf16_products():
        raise KeyError
    assert settings_of_torch.fp32_precision == before


@pytest.mark.parametrize(("num_numbers", "imports"), [(100, []), (2**30, ["torch"])])
def test_torch_is_imported_for_many_references_only(monkeypatch, num_numbers, imports):
    asked = []
    monkeypatch.setattr(products, "import_module", asked.append)
    import_torch_for(num_numbers)
    assert asked == imports


def test_torch_counts_as_loaded_when_it_is(monkeypatch):
    assert products.loaded_torch() is torch
    monkeypatch.delitem(sys.modules, "torch")
    assert products.loaded_torch() is None
