import numpy as np
import pytest

from barcodemae import BarcodeKmerTokenizer
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.embedder import (
    Embedder,
    EmbedderDecorator,
    SparseEmbedder,
    precision_of,
    split_leads,
)
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.model_embedder import ArithmeticTokenizer
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.probe.probe_data import CachedEmbedder
from barcodemae.eval.probe.probing import probe_finetuning
from barcodemae.eval.probe.subjects import ProbeSettings, Subject


SAID = ("name", "fingerprint", "architecture", "dtype", "device")


@pytest.fixture(params=["counts", "network"])
def embedder(request):
    """An embedder without decorators."""
    if request.param == "counts":
        return KmerCounts(3)
    return load_embedder(request.getfixturevalue("model_folder"), dtype="bfloat16", device="cpu")


@pytest.mark.parametrize(
    "around",
    [
        lambda inner: inner,
        CachedEmbedder,
        lambda inner: OffsetEmbedder(inner, 2),
        lambda inner: CachedEmbedder(OffsetEmbedder(inner, 2)),
    ],
)
def test_decorators_of_an_embedder_share_its_attributes(embedder, around):
    outer = around(embedder)
    assert isinstance(outer, Embedder)
    assert [getattr(outer, name) for name in SAID] == [getattr(embedder, name) for name in SAID]
    assert list(outer.find_invalid(["ACGTACGT", "NNNN"])) == [1]


def test_a_network_names_its_number_format_and_counts_have_none(model_folder):
    network = load_embedder(model_folder, dtype="bfloat16")
    assert precision_of(CachedEmbedder(OffsetEmbedder(network, 2))) == {"dtype": "bfloat16"}
    assert precision_of(CachedEmbedder(KmerCounts(3))) == {}


def test_threads_may_share_all_but_a_cache(embedder):
    assert embedder.shareable
    assert OffsetEmbedder(embedder, 2).shareable
    assert not CachedEmbedder(embedder).shareable
    assert not OffsetEmbedder(CachedEmbedder(embedder), 1).shareable


def test_a_network_is_tuned_through_a_cache_and_never_without_its_offsets(
    model_folder, dataset_folder
):
    network = load_embedder(model_folder)
    assert network.network is network
    assert CachedEmbedder(network).network is network
    several = Subject("several", CachedEmbedder(OffsetEmbedder(network, 2)))
    with pytest.raises(SettingsError, match="several cannot be fine-tuned"):
        probe_finetuning(several, ProbeSettings(dataset=dataset_folder))


def test_a_model_with_a_frame_places_sequences_and_no_other_does(
    framed_folder, model_folder, relatives
):
    framed = load_embedder(framed_folder)
    (placed,) = framed.placer.place([relatives[0][31:]])
    assert (placed.letters, placed.site, placed.is_barcode) == (relatives[0][31:], 31, True)
    assert framed.placer.width == len(relatives[0])
    assert CachedEmbedder(OffsetEmbedder(framed, 2)).placer is framed.placer
    for other in (load_embedder(model_folder), KmerCounts(3)):
        assert other.placer is None
        assert CachedEmbedder(other).placer is None


def test_only_counts_are_sparse(model_folder):
    assert isinstance(KmerCounts(3), SparseEmbedder)
    assert not isinstance(CachedEmbedder(KmerCounts(3)), SparseEmbedder)
    assert not isinstance(load_embedder(model_folder), SparseEmbedder)


def test_a_decorator_adds_nothing_of_its_own():
    inner = KmerCounts(2)
    outer = EmbedderDecorator(inner)
    assert outer.embedder is inner
    assert outer.shareable
    assert outer.network is None


class Framed:
    frame = ("1" * 9,)
    unk_token_id = 1


def test_the_lead_of_a_barcode_is_stripped_if_the_tokenizer_has_a_frame():
    tokens = [[1, 1, 7, 1, 8], [7, 8], [1, 1]]
    rows, leads = split_leads(tokens, Framed())
    assert rows == [[7, 1, 8], [7, 8], []]
    np.testing.assert_array_equal(leads, [2, 0, 2])
    rows, leads = split_leads(tokens, object())
    assert rows == tokens
    np.testing.assert_array_equal(leads, [0, 0, 0])


def test_token_ids_are_computed_by_arithmetic_if_the_tokenizer_can(model_folder, encoder_folder):
    assert isinstance(BarcodeKmerTokenizer(k=3), ArithmeticTokenizer)
    asked = []
    embedder = load_embedder(model_folder)
    embedder.tokenizer.kmer_ids = lambda texts, longest: asked.append(longest) or [[5], [6]]
    assert embedder.tokenize(["ACG", "ACT"]) == [[5], [6]]
    assert asked == [embedder.max_tokens]
    plain = load_embedder(encoder_folder)  # of transformers' own class
    assert not isinstance(plain.tokenizer, ArithmeticTokenizer)
    assert plain.tokenize(["ACG"]) == [BarcodeKmerTokenizer(k=3)("ACG").input_ids]
