from dataclasses import replace

import pytest
import torch
from sklearn.metrics import accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from barcodemae.dataset import dataset_hash
from barcodemae.errors import SettingsError
from barcodemae.eval.embed.kmer_counts import KmerCounts
from barcodemae.eval.embed.loading import ModelOptions, load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.probe.clustering import ClusteringProtocol
from barcodemae.eval.probe.probe_data import CachedEmbedder, read_labelled
from barcodemae.eval.probe.probing import choose_probes, probe_nearest, run_probes
from barcodemae.eval.probe.scores import harmonic_mean
from barcodemae.eval.probe.subjects import ProbeSettings, Subject, open_subject
from barcodemae.training.export.folders import export_native


@pytest.fixture
def settings(dataset_folder):
    protocol = ClusteringProtocol(
        rank="genus", num_neighbors=5, num_clusters=None, splits=("test", "test_unseen", "train")
    )
    return ProbeSettings(
        dataset=dataset_folder, clustering=protocol, num_seeds=2, finetune_epochs=1, command="it"
    )


def values(records, probe, metric):
    return [r.value for r in records if (r.probe, r.metric) == (probe, metric)]


@pytest.mark.usefixtures("quick_layout")
def test_a_model_gets_a_full_set_of_records(model_folder, settings):
    subject = open_subject(f"tiny={model_folder}")
    probes = choose_probes("1nn,zsc,linear,logistic,finetune")
    records = run_probes(subject, settings, probes)
    for metric in ("accuracy", "balanced_accuracy", "macro_f1"):
        for probe, repeats in {"1nn": 1, "linear": 2, "logistic": 1, "finetune": 2}.items():
            assert len(values(records, probe, metric)) == repeats
    ami = values(records, "zsc", "ami")
    assert len(ami) == 2
    accuracy = values(records, "1nn", "accuracy")[0]
    expected = harmonic_mean([accuracy, sum(ami) / 2])
    assert values(records, "harmonic", "harmonic_mean") == [pytest.approx(expected)]
    assert {record.model for record in records} == {"tiny"}
    assert {record.dataset for record in records} == {"toy"}
    assert {record.weights for record in records} == {load_embedder(model_folder).fingerprint}
    assert {record.dataset_hash for record in records} == {dataset_hash(settings.dataset)}
    assert {r.architecture for r in records if r.probe == "1nn"} == {"encoder-decoder"}


def test_average_linkage_is_one_record_of_its_own_protocol(settings):
    (record,) = run_probes(Subject("k", KmerCounts(3)), settings, choose_probes("zsc-average"))
    assert (record.probe, record.metric, record.seed) == ("zsc-average", "ami", None)
    assert record.protocol["linkage"] == "average"
    assert record.counts["clusters"] == record.counts["labels"]
    assert record.counts["rows_not_in_subset"] == 0


@pytest.mark.usefixtures("quick_layout")
def test_two_ranks_have_no_harmonic_mean(settings):
    species = replace(settings, rank="species", queries="test")
    records = run_probes(Subject("k", KmerCounts(3)), species, choose_probes("1nn,zsc"))
    assert {record.probe for record in records} == {"1nn", "zsc"}


def test_accuracy_equals_scikit_learn_on_the_same_embeddings(model_folder, settings):
    embedder = load_embedder(model_folder)
    train = read_labelled(settings.dataset, ["train"], "genus")
    query = read_labelled(settings.dataset, ["test_unseen"], "genus")
    oracle = KNeighborsClassifier(1, metric="cosine")
    oracle.fit(embedder.embed(train.sequences).astype(float), train.labels)
    predicted = oracle.predict(embedder.embed(query.sequences).astype(float))
    records = run_probes(open_subject(str(model_folder)), settings, choose_probes("1nn"))
    expected = 100 * accuracy_score(query.labels, predicted)
    assert values(records, "1nn", "accuracy") == [pytest.approx(expected)]
    assert records[0].model == "model"
    assert records[0].counts["references_without_label"] == 1


@pytest.mark.parametrize(("batch_size", "threads"), [(1, 1), (7, 2)])
def test_batch_size_and_thread_count_change_no_result(model_folder, settings, batch_size, threads):
    def results(batch_size):
        options = ModelOptions(batch_size=batch_size)
        records = probe_nearest(open_subject(str(model_folder), options), settings)
        return [(record.metric, record.value, record.low, record.high) for record in records]

    expected = results(batch_size=64)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert results(batch_size=batch_size) == expected
    finally:
        torch.set_num_threads(before)


def test_search_programs_have_no_embeddings_to_cluster(settings):
    class Searches:
        name = fingerprint = "search"
        architecture = "alignment search"
        settings = "--id 0.6"

        def search(self, references, queries):
            return [0] * len(queries)

    subject = Subject("search", Searches())
    records = run_probes(subject, settings, choose_probes("1nn"))
    assert records[0].architecture == "alignment search"
    assert records[0].protocol["similarity"] == "alignment"
    assert records[0].protocol["search"] == "--id 0.6"
    with pytest.raises(SettingsError, match="no embeddings; the zsc probe"):
        run_probes(subject, settings, choose_probes("zsc"))


def test_kmer_counts_cannot_be_fine_tuned(settings):
    with pytest.raises(SettingsError, match="cannot be fine-tuned"):
        run_probes(Subject("k", KmerCounts(3)), settings, choose_probes("finetune"))


@pytest.mark.parametrize("names", ["2nn", "1nn,zcs", ""])
def test_unknown_probes_are_refused(names):
    with pytest.raises(SettingsError, match="choose from 1nn, zsc, zsc-average, linear"):
        choose_probes(names)


@pytest.mark.parametrize(
    ("decoder_layers", "sees_mask", "architecture"),
    [(1, False, "encoder-decoder"), (1, True, "encoder-decoder"), (0, True, "encoder-only")],
)
def test_a_native_encoder_records_the_architecture_it_was_trained_as(
    tmp_path, tokenizer, decoder_layers, sees_mask, architecture
):
    config = BarcodeMAEConfig(
        k=3,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        decoder_hidden_size=32,
        decoder_intermediate_size=64,
        decoder_num_hidden_layers=decoder_layers,
        decoder_num_attention_heads=2,
        encoder_sees_mask=sees_mask,
    )
    export_native(BarcodeMAEForPreTraining(config), tokenizer, tmp_path / "encoder")
    assert load_embedder(tmp_path / "encoder").architecture == architecture


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_record_names_the_number_format(encoder_folder, settings, dtype):
    subject = open_subject(str(encoder_folder), ModelOptions(dtype=dtype))
    record = run_probes(subject, settings, choose_probes("1nn"))[0]
    assert record.protocol["dtype"] == dtype


def test_a_network_read_at_several_offsets_is_still_that_network(model_folder, settings):
    embedder = OffsetEmbedder(load_embedder(model_folder), 3)
    record = probe_nearest(Subject("tiny", CachedEmbedder(embedder)), settings)[0]
    assert (record.architecture, record.protocol["dtype"]) == ("encoder-decoder", "float32")


def test_a_record_without_a_network_names_no_number_format(settings):
    record = run_probes(Subject("k", KmerCounts(3)), settings, choose_probes("1nn"))[0]
    assert "dtype" not in record.protocol
