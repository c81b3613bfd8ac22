"""Gaps are filled in as the model says; tables escape what visitors wrote and lose nothing."""

import pytest
import torch
from answers import Answer, Match, Reference
from gaps import GapError, GapFiller
from tables import answers_table, gaps_table, state

from barcodemae import BarcodeMAEForMaskedLM, BarcodeMAEModel
from barcodemae.errors import CheckpointError
from barcodemae.eval.identify.findings import Identification, Placed
from barcodemae.eval.identify.judge.ladder import LADDER
from barcodemae.training.export.folders import export


@pytest.fixture
def filler(tiny_folder):
    return GapFiller(str(tiny_folder))


@torch.no_grad()
def test_guesses_are_the_models_probabilities_at_the_gaps(filler, tiny_folder, tokenizer):
    text = "ACGTTT[MASK]GGTACA[MASK]AAA"
    gaps, filled = filler.fill(text)
    model = BarcodeMAEForMaskedLM.from_pretrained(tiny_folder)
    batch = tokenizer(text, return_tensors="pt")
    chances = model(**batch).logits[0].softmax(-1)
    places = (batch["input_ids"][0] == tokenizer.mask_token_id).nonzero().flatten().tolist()
    assert [gap.start for gap in gaps] == [7, 16]
    for gap, place in zip(gaps, places, strict=True):
        values, tokens = chances[place].topk(5)
        assert [kmer for kmer, _ in gap.guesses] == tokenizer.convert_ids_to_tokens(tokens)
        assert [share for _, share in gap.guesses] == pytest.approx(values.tolist())
    assert filled == f"ACGTTT{gaps[0].guesses[0][0]}GGTACA{gaps[1].guesses[0][0]}AAA"


def test_case_and_line_breaks_do_not_matter(filler):
    assert filler.fill("acgttt [mask]\nggt") == filler.fill("ACGTTT[MASK]GGT")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ACGTTT", "0 gaps"),
        ("[MASK]" * 21, "21 gaps"),
        ("ACGT[MASK]GGT", "gap 1 does not stand between k-mers: 4 bases before it"),
        ("ACG[MASK]GG[MASK]TTT", "gap 2 does not stand"),
        ("[MASK]", "beside the gaps: empty"),
        ("[MASK]AC", "beside the gaps: too short: 2 bases"),
        ("MKE[MASK]ACG", r"beside the gaps: not DNA: letter\(s\) E"),
        ("ACG" * 220 + "[MASK]", "663 bases with the gaps, the model reads up to 660"),
    ],
)
def test_what_the_tokenizer_would_cut_in_silence_is_refused(filler, text, said):
    with pytest.raises(GapError, match=said):
        filler.fill(text)


def test_the_example_can_be_filled_in(filler):
    text = filler.example("ACGTTGCATTCA" * 10)
    assert text.count("[MASK]") == 2
    assert len(filler.fill(text)[0]) == 2


def test_a_model_without_a_decoder_is_refused(make_config, tokenizer, tmp_path):
    export(BarcodeMAEModel(make_config()), tokenizer, tmp_path / "encoder_only")
    for model in (tmp_path / "encoder_only", tmp_path / "encoder_only" / "encoder"):
        with pytest.raises(CheckpointError, match="no decoder"):
            GapFiller(str(model))


TAXA = {"family": "<b>Apidae</b>", "species": "Apis & co"}
NEAR = (Match(Reference("<r1>", TAXA), 0.123456789), Match(Reference("r2", TAXA), 0.1))


def identification(name, depth, probability, flags=(), strand="+", novelty=None):
    names = [None, None, None, "<b>Apidae</b>", None, "Apis", "Apis & co"]
    values = {
        "id": name, "names": names, "probabilities": [probability] * 7, "depth": depth,
        "novelty": dict.fromkeys(LADDER, 0.0) | (novelty or {}),
        "nearest": "r1", "similarity": 0.5, "agreement": 1.0,
        "identity": None, "coverage": None, "bin": None, "bin_agreement": None,
        "candidates": [], "excluded": None, "flags": list(flags), "placed": Placed(
            is_barcode=True, evidence=1.0, strand=strand, length=30, unknown=0.0, num_before=0,
            num_after=0, num_gained=0, num_lost=0, has_stop=False, is_short=False,
        ),
    }  # fmt: skip
    return Identification(**values)


ANSWERS = [
    Answer("q<1>", 30, identification("q<1>", 4, 0.85, ["novel_species"], strand="-",
           novelty={"species": 0.74}), NEAR),
    Answer("q2", 2, problem="too <short>"),
    Answer("q3", 30, identification("q3", 7, 0.9996), NEAR),
    Answer("q4", 30, identification("q4", 0, 0.2, ["novel_genus", "novel_species"],
           novelty={"genus": 0.6}), NEAR[:1]),
    Answer("q5", 30, identification("q5", 4, 0.9), NEAR[:1]),
]  # fmt: skip


def test_verdicts_follow_the_flags_and_the_names_given():
    assert [answer.verdict for answer in ANSWERS] == [
        "new species", "not identified", "known species", "new genus", "uncertain",
    ]  # fmt: skip


def test_html_escapes_ids_and_names():
    html = answers_table(ANSWERS, 0.8)
    for text in ("q&lt;1&gt;", "Apis &amp; co", "&lt;b&gt;Apidae", "&lt;r1&gt;", "too &lt;short"):
        assert text in html
    assert "q<1>" not in html
    assert html.count("turned round") == 1
    assert "<script>" not in state("error", "<script>", "<script>", "<script>")


def test_names_come_with_their_rank_and_a_probability_that_is_never_certain():
    html = answers_table(ANSWERS, 0.8)
    assert "family, 85 %" in html
    assert "species, over 99 %" in html
    assert '<span class="small">74 %</span>' in html  # that the species is new
    assert "unassigned" in html
    assert "100 %" not in html


def test_the_gaps_table_counts_bases_from_one(filler):
    gaps, filled = filler.fill("ACGTTT[MASK]GGT")
    html = gaps_table(gaps, filled, filler.k)
    assert '<th scope="row">7-9</th>' in html
    assert filled in html
