import numpy as np
import pytest

from barcodemae.errors import SettingsError
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.search.reference_search import unit_length


@pytest.fixture
def plain(tmp_path, tiny_model, tokenizer):
    tiny_model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return load_embedder(tmp_path)


def test_one_offset_is_the_embedder_itself(plain, barcodes):
    np.testing.assert_array_equal(OffsetEmbedder(plain, 1).embed(barcodes), plain.embed(barcodes))


def test_several_offsets_are_the_mean_of_unit_vectors(plain, barcodes):
    expected = sum(unit_length(plain.embed([text[o:] for text in barcodes])) for o in range(3)) / 3
    np.testing.assert_allclose(OffsetEmbedder(plain, 3).embed(barcodes), expected, atol=1e-5)


def test_a_missing_first_base_matters_less_with_every_offset(plain, barcodes):
    def cosine(embedder):
        whole, cut = (unit_length(embedder.embed(part)) for part in (barcodes, shifted))
        return np.einsum("nd,nd->n", whole, cut).mean()

    shifted = [text[1:] for text in barcodes]
    assert cosine(OffsetEmbedder(plain, 3)) > cosine(plain)


def test_sequences_that_cannot_be_read_at_every_offset_are_refused(plain):
    assert set(OffsetEmbedder(plain, 3).find_invalid(["ACGT", "ACGTACGT"])) == {0}
    with pytest.raises(SettingsError, match="at least one offset"):
        OffsetEmbedder(plain, 0)
