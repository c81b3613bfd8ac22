import json

import numpy as np
import pytest

from barcodemae.errors import CheckpointError
from barcodemae.eval.embed.readout import Dense, Normalize, load_readout, save_readout


sentence_transformers = pytest.importorskip("sentence_transformers")


def write_modules(folder, *kinds):
    modules = [
        {"idx": index, "name": str(index), "path": path, "type": f"sentence_transformers.{kind}"}
        for index, (kind, path) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))


def test_no_modules_file_means_the_masked_mean_itself(tmp_path):
    vectors = np.ones((2, 3), np.float32)
    assert load_readout(tmp_path)(vectors) is vectors


def test_dense_and_normalize_equal_sentence_transformers(tmp_path):
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize

    dense = Dense(4, 3, activation_function=torch.nn.Identity())
    (tmp_path / "2_Dense").mkdir()
    dense.save(str(tmp_path / "2_Dense"))
    write_modules(tmp_path, ("Transformer", ""), ("Dense", "2_Dense"), ("Normalize", "3_Normalize"))
    vectors = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    with torch.inference_mode():
        features = dense({"sentence_embedding": torch.from_numpy(vectors)})
        expected = Normalize()(features)["sentence_embedding"].numpy()
    np.testing.assert_allclose(load_readout(tmp_path)(vectors), expected, atol=1e-5)


def test_a_dense_layer_with_an_activation_is_refused(tmp_path):
    from sentence_transformers.sentence_transformer.modules import Dense

    (tmp_path / "1_Dense").mkdir()
    Dense(4, 3).save(str(tmp_path / "1_Dense"))
    write_modules(tmp_path, ("Dense", "1_Dense"))
    with pytest.raises(CheckpointError, match="only linear Dense"):
        load_readout(tmp_path)


@pytest.mark.parametrize(
    "settings",
    [
        {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False},
        {"pooling_mode": "cls"},
    ],
)
def test_another_pooling_is_refused(tmp_path, settings):
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    write_modules(tmp_path, ("Pooling", "1_Pooling"))
    with pytest.raises(CheckpointError, match="not the mean"):
        load_readout(tmp_path)


def test_unknown_modules_are_refused_not_skipped(tmp_path):
    write_modules(tmp_path, ("Transformer", ""), ("LSTM", "1_LSTM"))
    with pytest.raises(CheckpointError, match="module LSTM is not supported"):
        load_readout(tmp_path)


def test_a_zero_vector_stays_zero_at_length_one():
    found = Normalize()(np.array([[0, 0], [3, 4]], np.float32))
    np.testing.assert_allclose(found, [[0, 0], [0.6, 0.8]])


def test_a_layer_is_stored_if_it_reads_what_the_model_gives_whatever_it_writes(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"hidden_size": 4}))
    weight = np.arange(8, dtype=np.float32).reshape(2, 4)
    save_readout(tmp_path, Dense(weight, np.ones(2, np.float32)))
    found = load_readout(tmp_path)(np.ones((1, 4), np.float32))
    np.testing.assert_allclose(found, [[7, 23]])
    with pytest.raises(CheckpointError, match="is 4 wide, but the readout is for 2"):
        save_readout(tmp_path, Dense(weight.T, np.ones(4, np.float32)))
