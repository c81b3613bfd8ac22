"""Site embeddings: the sum over a token's letters, at their sites and nowhere else."""

import json

import pytest
import torch
from transformers import AutoModel

from barcodemae import BarcodeMAEForPreTraining, BarcodeMAEModel
from barcodemae.modeling_barcodemae.configuration_barcodemae import NUM_SPECIAL_TOKENS
from barcodemae.modeling_barcodemae.site_embeddings_barcodemae import SiteEmbeddings


K, SITES, WIDTH = 3, 30, 5


@pytest.fixture
def table():
    torch.manual_seed(0)
    embeddings = SiteEmbeddings(SITES, WIDTH, K, NUM_SPECIAL_TOKENS)
    torch.nn.init.normal_(embeddings.weight)
    return embeddings


def token_of(kmer):
    """Token id of a k-mer in letters."""
    return NUM_SPECIAL_TOKENS + sum(
        "ACGT".index(base) * 4**power for power, base in enumerate(reversed(kmer))
    )


def test_a_token_gets_the_sum_over_its_letters_at_their_sites(table):
    ids = torch.tensor([[token_of("ACG"), token_of("TTA")], [token_of("GGC"), token_of("CAT")]])
    positions = torch.tensor([[0, 1], [4, 9]])
    found = table(ids, positions)
    for row, kmers in enumerate((("ACG", "TTA"), ("GGC", "CAT"))):
        for column, kmer in enumerate(kmers):
            first = int(positions[row, column]) * K
            expected = sum(
                table.weight[(first + place) * 4 + "ACGT".index(base)]
                for place, base in enumerate(kmer)
            )
            torch.testing.assert_close(found[row, column], expected)


def test_special_tokens_and_letters_beyond_the_frame_add_nothing(table):
    ids = torch.tensor([[0, 1, token_of("ACG"), token_of("ACG")]])
    found = table(ids, torch.tensor([[0, 1, SITES // K, 400]]))
    assert torch.equal(found, torch.zeros_like(found))


def test_what_is_hidden_adds_nothing_to_the_mean(sites_folder):
    model = BarcodeMAEModel.from_pretrained(sites_folder).eval()
    ids = torch.randint(2, 66, (2, 40), generator=torch.Generator().manual_seed(0))
    ids[:, ::3] = 0
    visible = (ids[0] != 0).nonzero().flatten()
    with torch.no_grad():
        states = model(ids).last_hidden_state
        same = model(ids[:, visible], position_ids=visible.expand(2, -1)).last_hidden_state
    torch.testing.assert_close(states, same)


def test_a_position_says_which_letters_a_token_has(sites_folder):
    model = BarcodeMAEModel.from_pretrained(sites_folder).eval()
    ids = torch.tensor([[5, 9, 7]])
    with torch.no_grad():
        first = model(ids, position_ids=torch.tensor([[0, 1, 2]])).last_hidden_state
        later = model(ids, position_ids=torch.tensor([[3, 4, 5]])).last_hidden_state
        assert torch.equal(model(ids).last_hidden_state, first)
    assert not torch.allclose(first, later, atol=0.1)


def test_embeddings_in_place_of_ids_are_refused(sites_folder):
    model = BarcodeMAEModel.from_pretrained(sites_folder)
    with pytest.raises(ValueError, match="reads letters: give input_ids"):
        model(inputs_embeds=torch.zeros(1, 4, 16))


def test_the_folder_opens_with_its_own_code_and_gives_the_same_states(sites_folder):
    ids = torch.randint(2, 66, (2, 40), generator=torch.Generator().manual_seed(0))
    expected = BarcodeMAEModel.from_pretrained(sites_folder).eval()(ids).last_hidden_state
    for folder in (sites_folder, sites_folder / "encoder"):
        found = AutoModel.from_pretrained(folder, trust_remote_code=True).eval()
        torch.testing.assert_close(found(ids).last_hidden_state, expected)


def test_training_leaves_the_table_as_it_was_computed(make_config):
    model = BarcodeMAEForPreTraining(make_config(num_sites=30))
    frozen = [name for name, value in model.named_parameters() if not value.requires_grad]
    assert frozen == ["barcodemae.sites.weight"]
    assert BarcodeMAEModel(make_config(num_sites=30)).sites.weight.requires_grad


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tower_size": 30, "num_attention_heads": 4}, "tower_size must be a positive multiple"),
        ({"num_sites": -1}, "num_sites must not be negative"),
        ({"hidden_size": 0, "tower_size": 16}, "hidden_size must be at least 1"),
    ],
)
def test_sizes_that_cannot_be_are_refused(make_config, changes, message):
    with pytest.raises(ValueError, match=message):
        make_config(**changes)


def test_a_model_without_them_is_stored_as_before(tiny_folder, sites_folder):
    plain, full = (
        json.loads((folder / "config.json").read_text()) for folder in (tiny_folder, sites_folder)
    )
    assert not {"tower_size", "num_sites"} & plain.keys()
    assert (full["tower_size"], full["hidden_size"]) == (16, plain["hidden_size"])
