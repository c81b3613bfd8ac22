"""The endpoint's handler, loaded from the exported folder and called as the endpoint does."""

import importlib.util
import json

import pytest
import torch
from safetensors import safe_open

from barcodemae import BarcodeMAEForSequenceClassification, masked_mean
from barcodemae.training.export.folders import export


def load_handler(folder):
    """Load the handler as the endpoint's server does: the file by its path, then the class."""
    specification = importlib.util.spec_from_file_location("handler", folder / "handler.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.EndpointHandler(str(folder))


@pytest.fixture
def handler(tiny_model, tokenizer, tmp_path):
    export(tiny_model, tokenizer, tmp_path / "model")
    return load_handler(tmp_path / "model")


@torch.no_grad()
def test_every_form_of_input_gives_the_same_vectors(handler, tiny_model, tokenizer):
    first, second = "ACGTTTACGAAA", "TTTGGGCCCAAATTTACG"
    fasta = f">a some words\n{first}\n>b\n{second[:9]}\n{second[9:]}\n"
    forms = [
        {"inputs": fasta},
        {"inputs": fasta.encode()},
        fasta.encode(),
        {"inputs": [{"id": "a", "sequence": first}, {"id": "b", "sequence": second}]},
        json.dumps({"inputs": [{"id": "a", "sequence": first}, {"id": "b", "sequence": second}]})
        .encode(),
    ]  # fmt: skip
    batch = tokenizer([first, second], return_tensors="pt")
    hidden = tiny_model.barcodemae(**batch).last_hidden_state
    expected = masked_mean(hidden, batch["attention_mask"])
    for form in forms:
        answers = json.loads(json.dumps(handler(form)))
        assert [answer["id"] for answer in answers] == ["a", "b"]
        found = torch.tensor([answer["embedding"] for answer in answers])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_bare_sequences_are_numbered_and_parameters_reach_the_pipeline(handler):
    answers = handler({"inputs": ["ACGTTT", "TTTACG"], "parameters": {"normalize": True}})
    assert [answer["id"] for answer in answers] == ["1", "2"]
    assert torch.tensor(answers[0]["embedding"]).norm().item() == pytest.approx(1, abs=1e-5)
    assert handler("ACGTTT")[0]["id"] == handler({"inputs": "ACGTTT"})[0]["id"] == "1"


def test_a_bad_record_does_not_affect_the_others(handler):
    answers = handler({"inputs": ["ACGTTT", "NNNN", "MKV*", "TTTACG"]})
    assert ["embedding" in answer for answer in answers] == [True, False, False, True]
    assert "0 bases after clean-up" in answers[1]["error"]
    assert "error" in handler({"inputs": ["NN"]})[0]


@pytest.mark.parametrize(
    ("request_body", "message"),
    [
        (b"{not json", "property name"),
        (b"\xff\xfe", "decode"),
        ({"parameters": {}}, "there are no inputs"),
        ({"inputs": []}, "inputs must be"),
        ({"inputs": 7}, "inputs must be"),
        ({"inputs": [7]}, "record 1 has no text under 'sequence'"),
        ({"inputs": [{"id": "a"}]}, "record 1 has no text under 'sequence'"),
        ({"inputs": ">\nACG"}, "FASTA line 1"),
        ({"inputs": "ACGTTT", "parameters": [1]}, "parameters must be"),
        ({"inputs": "ACGTTT", "parameters": {"pooling": "max"}}, "pooling must be"),
        ({"inputs": ["ACGTTT"] * 4097}, "more than the 4096"),
    ],
)
def test_a_request_that_cannot_be_read_is_answered_with_an_error(handler, request_body, message):
    answer = handler(request_body)
    assert set(answer) == {"error"}
    assert message in answer["error"]
    assert "\n" not in answer["error"]


def test_a_classifier_answers_with_labels(make_config, tokenizer, tmp_path):
    names = {0: "Apis", 1: "Bombus", 2: "Vespa"}
    config = make_config(id2label=names, label2id={name: row for row, name in names.items()})
    export(BarcodeMAEForSequenceClassification(config).eval(), tokenizer, tmp_path / "model")
    answers = load_handler(tmp_path / "model")({"inputs": ["ACGTTT", "NN", "TTTACG"]})
    assert [set(answer) for answer in answers] == [{"id", "labels"}, {"id", "error"},
                                                   {"id", "labels"}]  # fmt: skip
    labels = answers[0]["labels"]
    assert {label["label"] for label in labels} == set(names.values())
    scores = [label["score"] for label in labels]
    assert scores == sorted(scores, reverse=True)


def test_the_endpoint_installs_what_the_code_needs_and_not_torch(tiny_model, tokenizer, tmp_path):
    export(tiny_model, tokenizer, tmp_path / "model")
    lines = (tmp_path / "model" / "requirements.txt").read_text().split()
    assert {line.partition(">=")[0] for line in lines} == {"transformers", "safetensors"}


def test_the_native_folder_holds_what_text_embeddings_inference_reads(
    tiny_model, tokenizer, tmp_path
):
    # The fields that huggingface/text-embeddings-inference reads:
    # backends/candle/src/models/bert.rs (BertConfig) and core's reading of 1_Pooling/config.json.
    export(tiny_model, tokenizer, tmp_path / "model")
    folder = tmp_path / "model" / "encoder"
    config = json.loads((folder / "config.json").read_text())
    needed = {
        "vocab_size": int, "hidden_size": int, "num_hidden_layers": int,
        "num_attention_heads": int, "intermediate_size": int, "hidden_act": str,
        "hidden_dropout_prob": float, "max_position_embeddings": int, "type_vocab_size": int,
        "initializer_range": float, "layer_norm_eps": float, "pad_token_id": int,
        "model_type": str,
    }  # fmt: skip
    for name, kind in needed.items():
        assert isinstance(config[name], kind), name
    assert config["model_type"] == "bert"
    assert config["architectures"] == ["BertModel"]
    assert config["hidden_act"] == "gelu"
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
    modes = {name for name, value in pooling.items() if name.startswith("pooling_mode") and value}
    assert modes == {"pooling_mode_mean_tokens"}
    limits = json.loads((folder / "sentence_bert_config.json").read_text())
    assert limits["max_seq_length"] <= config["max_position_embeddings"]
    with safe_open(folder / "model.safetensors", "np") as weights:
        names = set(weights.keys())
        assert weights.get_slice("embeddings.word_embeddings.weight").get_shape() == [66, 32]
    assert {
        "embeddings.position_embeddings.weight",
        "embeddings.token_type_embeddings.weight",
        "embeddings.LayerNorm.weight",
        "encoder.layer.0.attention.self.query.weight",
        "encoder.layer.1.output.LayerNorm.bias",
    } <= names
