"""The content of the two exported folders, and what is refused."""

import json
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer, BertModel, ModernBertModel, pipeline

from barcodemae import (
    BarcodeKmerTokenizer,
    BarcodeMAEForPreTraining,
    BarcodeMAEForSequenceClassification,
    BarcodeMAEModel,
    masked_mean,
)
from barcodemae.cli import main
from barcodemae.errors import CheckpointError, DataError
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.tokenization.tokenization_barcodemae import HUB_FILES
from barcodemae.training.export.folders import export, export_native, load_model_folder
from barcodemae.training.run.classifier import load_encoder


@pytest.fixture
def exported(tiny_model, tokenizer, tmp_path):
    """Export the tiny model to a full folder and a native encoder."""
    with torch.no_grad():  # as after training: no row of the table is special
        tiny_model.get_input_embeddings().weight.normal_()
    export(tiny_model, tokenizer, tmp_path / "model")
    return tmp_path / "model"


def embed(model, batch):
    with torch.no_grad():
        return masked_mean(model(**batch).last_hidden_state, batch["attention_mask"])


def names_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_folders_hold_safetensors_code_and_tokenizer_and_nothing_else(exported):
    native = {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "modules.json",
        "sentence_bert_config.json",
        "config_sentence_transformers.json",
        "1_Pooling/config.json",
    }
    assert names_in(exported / "encoder") == native
    assert names_in(exported) == {f"encoder/{name}" for name in native} | {
        "fill_mask_barcodemae.py",
        "pooling_barcodemae.py",
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        *HUB_FILES,
        "configuration_barcodemae.py",
        "site_embeddings_barcodemae.py",
        "modeling_barcodemae.py",
        "pipeline_barcodemae.py",
        "handler.py",
        "requirements.txt",
    }


def test_the_native_encoder_is_a_plain_bert(exported):
    config = json.loads((exported / "encoder" / "config.json").read_text())
    assert config["model_type"] == "bert"
    assert config["architectures"] == ["BertModel"]
    assert config["pad_token_id"] == 1
    assert "auto_map" not in config
    assert config["barcodemae"] == {"decoder_num_hidden_layers": 1, "encoder_sees_mask": False}
    weights = load_file(exported / "encoder" / "model.safetensors")
    assert set(weights) == set(BertModel.from_pretrained(exported / "encoder").state_dict())
    assert "embeddings.word_embeddings.weight" in weights
    assert not weights["pooler.dense.weight"].any()


def test_the_native_encoder_gives_the_same_states(exported, tiny_model, barcodes):
    batch = AutoTokenizer.from_pretrained(exported / "encoder")(
        [*barcodes, "ACGNNNACG"], padding=True, return_tensors="pt"
    )
    assert (batch["input_ids"][-1, :3] == torch.tensor([8, 1, 8])).all()
    native, report = AutoModel.from_pretrained(exported / "encoder", output_loading_info=True)
    assert not any(report.values())
    with torch.no_grad():
        expected = tiny_model.barcodemae(**batch).last_hidden_state
        found = native(**batch).last_hidden_state
        torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
        assert not native(**batch).pooler_output.any()


def test_modern_towers_make_a_plain_modernbert_folder_that_embeds_alike(
    make_config, tokenizer, barcodes, tmp_path
):
    torch.manual_seed(0)
    model = BarcodeMAEForPreTraining(make_config(tower_type="modernbert", initializer_range=0.1))
    export(model.eval(), tokenizer, tmp_path / "model")
    folder = tmp_path / "model" / "encoder"
    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["pad_token_id"]) == ("modernbert", 1)
    assert type(AutoModel.from_pretrained(folder)) is ModernBertModel
    embedders = [load_embedder(place) for place in (folder, tmp_path / "model")]
    assert [embedder.packed for embedder in embedders] == [None, None]
    native, full = (embedder.embed(barcodes) for embedder in embedders)
    np.testing.assert_allclose(native, full, atol=1e-6)
    batch = tokenizer(barcodes, padding=True, return_tensors="pt")
    expected = embed(model.barcodemae, batch)
    torch.testing.assert_close(torch.from_numpy(native), expected, atol=1e-5, rtol=0)
    export(model, tokenizer, folder.parent)  # onto itself: recognised as ours
    weights, rebuilt, _ = load_encoder(folder)
    assert rebuilt.encoder_config().to_diff_dict() == model.config.encoder_config().to_diff_dict()
    assert weights.keys() == model.barcodemae.state_dict().keys()


def test_sentence_transformers_gives_the_masked_mean(exported, tiny_model, tokenizer, barcodes):
    sentence_model = SentenceTransformer(str(exported / "encoder"), device="cpu")
    assert sentence_model.max_seq_length == tokenizer.model_max_length == 220
    long_and_short = [*barcodes, "ACGTT" * 200]
    vectors = sentence_model.encode(long_and_short, convert_to_tensor=True)
    expected = embed(tiny_model.barcodemae, tokenizer(long_and_short, return_tensors="pt"))
    torch.testing.assert_close(vectors, expected, atol=1e-5, rtol=0)


def test_the_published_k_keeps_110_tokens(make_config, tmp_path):
    model = BarcodeMAEModel(make_config(k=6))
    export_native(model, BarcodeKmerTokenizer(k=6), tmp_path / "native")
    settings = json.loads((tmp_path / "native" / "sentence_bert_config.json").read_text())
    assert settings["max_seq_length"] == 110


def test_feature_extraction_pipeline_opens_the_native_encoder(exported, tiny_model, tokenizer):
    extract = pipeline("feature-extraction", model=str(exported / "encoder"))
    states = torch.tensor(extract("ACGTTTACGAAA"))
    with torch.no_grad():
        expected = tiny_model.barcodemae(**tokenizer(["ACGTTTACGAAA"], return_tensors="pt"))
    torch.testing.assert_close(states, expected.last_hidden_state, atol=1e-5, rtol=0)


def test_the_stored_tokenizer_needs_no_custom_class(exported, tokenizer, barcodes):
    for folder in (exported, exported / "encoder"):
        stored = Tokenizer.from_file(str(folder / "tokenizer.json"))
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        # The full folder has our class, under whose name the package opens it without remote code.
        assert ("auto_map" in settings) == (folder == exported)
        name = "BarcodeKmerTokenizer" if folder == exported else "PreTrainedTokenizerFast"
        assert settings["tokenizer_class"] == name
        for barcode in [*barcodes, "acgu-NNAC.gttNNN"]:
            assert stored.encode(barcode).ids == tokenizer(barcode)["input_ids"]


def test_load_model_folder_gives_back_every_weight(exported, tiny_model):
    model, tokenizer = load_model_folder(exported)
    assert isinstance(model, BarcodeMAEForPreTraining)
    assert not model.training
    assert tokenizer.k == 3
    stored = model.state_dict()
    assert all(torch.equal(stored[name], value) for name, value in tiny_model.state_dict().items())


def test_a_fine_tuned_classifier_is_exported_with_its_head(make_config, tokenizer, tmp_path):
    model = BarcodeMAEForSequenceClassification(make_config(num_labels=4))
    export(model, tokenizer, tmp_path / "model")
    loaded, _ = load_model_folder(tmp_path / "model")
    assert isinstance(loaded, BarcodeMAEForSequenceClassification)
    assert torch.equal(loaded.classifier.weight, model.classifier.weight)


def test_exporting_again_replaces_the_model_and_keeps_other_files(exported, tiny_model, tokenizer):
    (exported / "notes.txt").write_text("mine")
    (exported / "encoder" / "stale.bin").write_text("of the first export")
    with torch.no_grad():
        tiny_model.head.bias.fill_(1.0)
    export(tiny_model, tokenizer, exported)
    assert load_model_folder(exported)[0].head.bias.eq(1.0).all()
    assert (exported / "notes.txt").read_text() == "mine"
    assert not (exported / "encoder" / "stale.bin").exists()


def test_a_foreign_folder_is_left_alone_unless_forced(tiny_model, tokenizer, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(CheckpointError, match="--force"):
        export(tiny_model, tokenizer, tmp_path)
    assert names_in(tmp_path) == {"thesis.tex"}
    export(tiny_model, tokenizer, tmp_path, force=True)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
    assert load_model_folder(tmp_path)


def test_a_folder_with_a_foreign_model_is_left_alone(tiny_model, tokenizer, tmp_path):
    BertModel(tiny_model.config.encoder_config()).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="no BarcodeMAE model"):
        export_native(tiny_model, tokenizer, tmp_path)


def test_a_file_in_the_way_is_refused(tiny_model, tokenizer, tmp_path):
    (tmp_path / "model").write_text("a file")
    with pytest.raises(CheckpointError, match="is a file"):
        export(tiny_model, tokenizer, tmp_path / "model")


def test_a_failed_export_leaves_nothing_behind(tiny_model, tokenizer, tmp_path, monkeypatch):
    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(BertModel, "save_pretrained", full_disk)
    with pytest.raises(DataError, match="model: cannot be written: No space left"):
        export(tiny_model, tokenizer, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_exported_folders_are_as_readable_as_any_other(exported, tmp_path):
    (tmp_path / "ordinary").mkdir()
    for folder in (exported, exported / "encoder"):
        assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(
            (tmp_path / "ordinary").stat().st_mode
        )


def test_a_tokenizer_of_another_k_is_refused(tiny_model, tmp_path):
    with pytest.raises(CheckpointError, match=r"k=4.*k=3"):
        export(tiny_model, BarcodeKmerTokenizer(k=4), tmp_path / "model")


def test_a_tokenizer_that_outruns_the_positions_is_refused(make_config, tokenizer, tmp_path):
    model = BarcodeMAEModel(make_config(max_position_embeddings=219))
    with pytest.raises(CheckpointError, match=r"220 tokens.*max_position_embeddings=219"):
        export(model, tokenizer, tmp_path / "model")


def test_the_command_exports_in_bfloat16(
    exported, tiny_model, tokenizer, barcodes, tmp_path, capsys
):
    out = tmp_path / "half"
    assert main(["export", str(exported), "--out", str(out), "--dtype", "bfloat16"]) == 0
    assert capsys.readouterr().out == ""
    for folder in (out, out / "encoder"):
        weights = load_file(folder / "model.safetensors")
        assert {value.dtype for value in weights.values()} == {torch.bfloat16}
        assert AutoModel.from_pretrained(folder).dtype == torch.bfloat16
    batch = tokenizer(barcodes, return_tensors="pt")
    half = embed(AutoModel.from_pretrained(out / "encoder"), batch).float()
    similarity = torch.cosine_similarity(half, embed(tiny_model.barcodemae, batch))
    assert similarity.min() > 0.999


def test_the_command_names_a_folder_that_is_not_a_model(tmp_path, capsys):
    assert main(["export", str(tmp_path / "absent"), "--out", str(tmp_path / "out")]) == 2
    assert "absent: no such folder" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_damaged_weights_is_refused(exported, capsys, tmp_path):
    weights = exported / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert main(["export", str(exported), "--out", str(tmp_path / "out")]) == 2
    assert "is not a safetensors file, or is truncated" in capsys.readouterr().err


def test_a_folder_that_lacks_weights_is_refused(exported, tiny_model, tmp_path):
    tiny_model.barcodemae.save_pretrained(tmp_path / "base")
    (tmp_path / "base" / "model.safetensors").replace(exported / "model.safetensors")
    with pytest.raises(CheckpointError, match="the weights lack decoder"):
        load_model_folder(Path(exported))


def test_a_full_disk_is_reported_and_the_folder_stays(exported, tiny_model, tokenizer, monkeypatch):
    before = {name: (exported / name).read_bytes() for name in names_in(exported)}

    def fill_disk(*_, **__):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(type(tiny_model), "save_pretrained", fill_disk)
    with pytest.raises(CheckpointError, match=r"weights cannot be written: .*No space left"):
        export(tiny_model, tokenizer, exported)
    assert {name: (exported / name).read_bytes() for name in names_in(exported)} == before
    assert [path.name for path in exported.parent.iterdir()] == ["model"]


def test_framed_folders_hold_the_tokenizers_code_beside_a_tokenizer_of_framed_text(framed_folder):
    code = set(HUB_FILES)
    for folder in (framed_folder, framed_folder / "encoder"):
        names = {path.name for path in folder.iterdir()}
        assert code <= names
        assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode("ACGTTT").ids == []
    _, tokenizer = load_model_folder(framed_folder)
    native = BarcodeKmerTokenizer.from_pretrained(framed_folder / "encoder")
    assert tokenizer.frame == native.frame
    assert len(tokenizer.frame[0]) == 240


def test_an_export_with_a_frame_replaces_a_tokenizer_without_one(
    exported, tiny_model, framed_tokenizer
):
    assert Tokenizer.from_file(str(exported / "tokenizer.json")).encode("ACGTTT").ids
    export(tiny_model, framed_tokenizer, exported)
    for stored in exported.rglob("tokenizer.json"):
        assert Tokenizer.from_file(str(stored)).encode("ACGTTT").ids == []
    assert load_model_folder(exported)[1].frame == framed_tokenizer.frame


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_all_files_are_as_readable_as_the_umask_lets_them(
    tiny_model, tokenizer, tmp_path, umask, mode
):
    before = os.umask(umask)
    try:
        export(tiny_model, tokenizer, tmp_path / "model")
    finally:
        os.umask(before)
    files = [path for path in (tmp_path / "model").rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"model.safetensors", "config.json"}
    assert "probe" not in {path.name for path in files}
    assert {path.stat().st_mode & 0o777 for path in files} == {mode}


def test_an_encoder_with_site_embeddings_opens_with_its_code(sites_folder, relatives):
    sentence_model = SentenceTransformer(
        str(sites_folder / "encoder"), device="cpu", trust_remote_code=True
    )
    whole = [text[:240] for text in relatives[:5]]
    expected = load_embedder(sites_folder).embed(whole)
    np.testing.assert_allclose(sentence_model.encode(whole), expected, atol=1e-5)
