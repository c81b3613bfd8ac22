"""The demo leaves what it says, says what the numbers say, and deletes nothing of others."""

import io
import shlex

import numpy as np
import pytest
import typer.main
from rich.console import Console
from transformers import AutoModel, AutoModelForPreTraining, AutoTokenizer

from barcodemae.cli import app, main
from barcodemae.dataset import SPLITS, read_splits
from barcodemae.demonstration import tour as demo
from barcodemae.errors import CheckpointError, SettingsError
from barcodemae.eval.report.records import ResultRecord, read_records


SMALL = demo.DemoSettings(
    num_species=48,
    taxon_size=6,
    barcodes_per_species=4,
    max_steps=2,
    batch_size=4,
    k=3,
    seed=5,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder, the records and the talk of one small demo."""
    directory = tmp_path_factory.mktemp("demo") / "out"
    talk = []
    records = demo.run_demo(directory, SMALL, talk.append)
    return directory, records, talk


def record(model, value):
    return ResultRecord(model=model, dataset="d", probe="1nn", metric="accuracy", value=value)


def test_it_measures_counts_untrained_and_trained_in_this_order_and_writes_them_down(finished):
    directory, records, talk = finished
    assert [record.model for record in records] == ["kmer:6", "untrained", "trained"]
    assert read_records(directory / "results.json") == records
    assert len({record.weights for record in records}) == 3
    assert all(record.counts["queries"] > 0 for record in records)
    assert len(talk) == 4


def test_it_leaves_a_data_set_and_both_artefacts_that_the_auto_classes_open(finished):
    directory, _, _ = finished
    assert set(read_splits(directory / "data", SPLITS)["split"].to_pylist()) == set(SPLITS)
    encoder = AutoModel.from_pretrained(directory / "model" / "encoder")
    assert encoder.config.model_type == "bert"
    full = AutoModelForPreTraining.from_pretrained(directory / "model")
    batch = AutoTokenizer.from_pretrained(directory / "model")(["ACGTAC"], return_tensors="pt")
    plain = encoder(**batch).last_hidden_state.detach().numpy()
    whole = full.eval().base_model(**batch).last_hidden_state.detach().numpy()
    np.testing.assert_allclose(plain, whole, atol=1e-5)


def test_trained_and_untrained_start_from_the_same_weights_and_end_apart(finished):
    directory, _, _ = finished
    trained, untrained = (
        AutoModel.from_pretrained(directory / name / "encoder").state_dict()
        for name in ("model", "untrained")
    )
    name = "embeddings.word_embeddings.weight"
    correlation = np.corrcoef(trained[name].flatten(), untrained[name].flatten())[0, 1]
    assert 0.9 < correlation < 1.0


def test_an_earlier_demo_is_replaced_and_foreign_files_are_not_touched(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "old.parquet").touch()
    (tmp_path / "results.json").touch()
    demo.make_room(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "data").mkdir()
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SettingsError, match=r"thesis\.tex"):
        demo.make_room(tmp_path)
    assert (tmp_path / "data").is_dir()


def test_the_command_refuses_a_folder_of_others_with_exit_code_2(tmp_path, capsys):
    (tmp_path / "thesis.tex").touch()
    assert main(["demo", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_model_that_plain_auto_model_cannot_open_is_an_error(finished, tmp_path):
    with pytest.raises(CheckpointError, match="plain AutoModel cannot open it"):
        demo.check_fresh_process(tmp_path, finished[0] / "data")


def test_a_fresh_process_that_embeds_differently_is_an_error(finished, monkeypatch):
    class Elsewhere:
        def embed(self, sequences):
            return np.full((len(sequences), 128), 9.0)

    monkeypatch.setattr(demo, "load_embedder", lambda _: Elsewhere())
    with pytest.raises(CheckpointError, match="embeds differently"):
        demo.check_fresh_process(finished[0] / "model" / "encoder", finished[0] / "data")


@pytest.mark.parametrize(
    ("counts", "untrained", "trained", "said"),
    [
        (90.0, 60.0, 75.5, ["Training helped: +15.5 points", "6-mer counts win by 14.5 points"]),
        (70.0, 60.0, 75.5, ["Training helped: +15.5 points", "beats 6-mer counts by 5.5 points"]),
        (90.0, 60.0, 58.0, ["did not help here: -2.0 points", "6-mer counts win by 32.0 points"]),
    ],
)
def test_the_verdict_says_what_the_numbers_say(counts, untrained, trained, said):
    records = [record("kmer:6", counts), record("untrained", untrained), record("trained", trained)]
    for sentence, part in zip(demo.verdict(records), said, strict=True):
        assert part in sentence


def test_the_table_shows_every_model_with_its_accuracy():
    console = Console(record=True, width=80, file=io.StringIO())
    console.print(demo.make_table([record("kmer:6", 91.25), record("trained", 73.5)]))
    text = console.export_text()
    assert "kmer:6" in text
    assert "91.2" in text
    assert "73.5" in text


def test_the_next_commands_are_commands_with_options_that_exist(tmp_path):
    registered = typer.main.get_command(app).commands
    lines = [shlex.split(line) for line in demo.next_commands(tmp_path)]
    ours = [words[1:] for words in lines if words[0] == "barcodemae"]
    assert len(ours) >= 2
    for name, *rest in ours:
        known = {flag for parameter in registered[name].params for flag in parameter.opts}
        assert {word for word in rest if word.startswith("-")} <= known
