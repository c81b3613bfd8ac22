import gzip
import random
from functools import partial
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from barcodemae.dataset import RANKS
from barcodemae.errors import DataError, SettingsError
from barcodemae.eval.embed.loading import load_embedder
from barcodemae.eval.embed.offsets import OffsetEmbedder
from barcodemae.eval.identify import resumable
from barcodemae.eval.identify import stream as stream_module
from barcodemae.eval.identify.forks import ForkPool, can_fork
from barcodemae.eval.identify.formats import FORMATS
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
from barcodemae.eval.identify.judge.ladder import Mixture
from barcodemae.eval.identify.reference.build import LibraryPlan, build_library
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.resumable import FileSink
from barcodemae.eval.identify.stream import identify_stream
from barcodemae.fasta import SequenceRecord, read_records


SETTINGS = {"library": "x"}


@pytest.fixture
def identifier(library, embedder):
    return Identifier(library, embedder, IdentifyOptions())


@pytest.fixture
def queries(tmp_path, rows):
    """Sixty records, some of them unusable."""
    generator = random.Random(0)
    lines = []
    for number in range(60):
        text = generator.choice(rows)["dna_barcode"] if number % 7 else "PROTEIN"
        lines.append(f">q{number};size=2 words\n{text}\n")
    path = tmp_path / "queries.fasta"
    path.write_text("".join(lines))
    return path


def run(identifier, queries, output, *, resume=False, threads=1, forks=False):
    sink = FileSink(output, FORMATS["tsv"].header, SETTINGS, resume=resume)
    read = partial(read_records, queries, list_damage=True)
    identify_stream(identifier, read, FORMATS["tsv"], sink, threads=threads, forks=forks)
    return output.read_bytes(), output.with_name(output.stem + ".rejected.tsv").read_bytes()


def test_rows_come_in_input_order_with_ids_verbatim(identifier, queries, tmp_path, monkeypatch):
    monkeypatch.setattr(stream_module, "RECORDS_PER_BATCH", 7)
    table, rejected = run(identifier, queries, tmp_path / "out.tsv", threads=3)
    ids = [line.split("\t")[0] for line in table.decode().splitlines()[1:]]
    assert ids == [f"q{number};size=2" for number in range(60) if number % 7]
    numbers = [line.split("\t")[0] for line in rejected.decode().splitlines()[1:]]
    assert numbers == [str(number + 1) for number in range(60) if number % 7 == 0]


@pytest.mark.number_format
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_batch_size_and_threads_change_nothing(
    tmp_path, tiny_model, tokenizer, reference_data, queries, monkeypatch, dtype
):
    monkeypatch.setattr(stream_module, "RECORDS_PER_BATCH", 16)
    folder = tmp_path / "model"
    tiny_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    lib = tmp_path / "lib"
    lib.mkdir()
    embedder = OffsetEmbedder(load_embedder(folder, dtype=dtype), 1)
    build_library(reference_data, lib, embedder, LibraryPlan())
    outcomes = set()
    in_threads = [(64, 1, False), (3, 1, False), (64, 4, False), (1, 2, False)]
    for batch_size, threads, forks in [*in_threads, (9, 3, True)]:
        model = load_embedder(folder, batch_size=batch_size, dtype=dtype)
        options = IdentifyOptions(thresholds=dict.fromkeys(RANKS, 0.1))
        identifier = Identifier(ReferenceLibrary(lib), OffsetEmbedder(model, 1), options)
        output = tmp_path / "out.tsv"
        outcomes.add(run(identifier, queries, output, threads=threads, forks=forks))
    assert len(outcomes) == 1


def test_a_run_killed_anywhere_and_resumed_gives_the_same_files(
    identifier, queries, tmp_path, monkeypatch
):
    monkeypatch.setattr(stream_module, "RECORDS_PER_BATCH", 5)
    monkeypatch.setattr(resumable, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(stream_module, "MAX_SAMPLED", 8)
    expected = run(identifier, queries, tmp_path / "whole.tsv")

    class Killed(Exception):
        pass

    for survived in (0, 2, 6, 11):
        output = tmp_path / f"killed{survived}.tsv"
        batches = [0]

        def examine(records, batches=batches, survived=survived):
            if batches[0] == survived:
                raise Killed
            batches[0] += 1
            return Identifier.examine(identifier, records)

        monkeypatch.setattr(identifier, "examine", examine)
        monkeypatch.setattr(stream_module, "MAX_SAMPLED", 8)
        with pytest.raises(Killed):
            run(identifier, queries, output)
        monkeypatch.undo()
        monkeypatch.setattr(stream_module, "RECORDS_PER_BATCH", 5)
        monkeypatch.setattr(resumable, "SECONDS_BETWEEN_SAVES", 0.0)
        monkeypatch.setattr(stream_module, "MAX_SAMPLED", 8)
        assert run(identifier, queries, output, resume=True) == expected


def test_forked_workers_give_the_same_results_but_are_not_used_with_a_model_on_a_gpu(
    identifier, queries, tmp_path, monkeypatch
):
    monkeypatch.setattr(stream_module, "RECORDS_PER_BATCH", 7)
    expected = run(identifier, queries, tmp_path / "out.tsv")
    processes = []
    monkeypatch.setattr(
        stream_module,
        "ForkPool",
        lambda work, count: processes.append(count) or ForkPool(work, count),
    )
    assert run(identifier, queries, tmp_path / "out.tsv", threads=2, forks=True) == expected
    assert processes == ([2, 2] if can_fork() else [])  # for the sample, then for all
    assert not stream_module.can_copy(SimpleNamespace(device="cuda:1"))


def test_a_run_on_other_records_is_not_resumed(identifier, queries, tmp_path, monkeypatch):
    monkeypatch.setattr(resumable, "SECONDS_BETWEEN_SAVES", 0.0)
    output = tmp_path / "out.tsv"
    sink = FileSink(output, "", SETTINGS, resume=False)
    sink.append(["a line\n"], [], 3, "digest of other records")
    sink.close()
    with pytest.raises(SettingsError, match="first 3 records are not those"):
        run(identifier, queries, output, resume=True)


def mixture_lines(identifier, records):
    """Rows in the order of their ids, and the mixture, of records given in some order."""
    lines = []
    sink = SimpleNamespace(
        progress=SimpleNamespace(records=0, digest=""),
        append=lambda new, *_: lines.extend(new),
        finish=lambda: None,
        stop=lambda error: None,
        close=lambda: None,
    )
    summary = identify_stream(identifier, lambda: iter(records), FORMATS["tsv"], sink)
    return sorted(lines), summary


def test_the_order_of_the_records_changes_no_row(identifier, queries, monkeypatch):
    monkeypatch.setattr(stream_module, "MAX_SAMPLED", 20)
    records = [record for record in read_records(queries) if "P" not in record.sequence]
    rows, summary = mixture_lines(identifier, records)
    again, other = mixture_lines(identifier, records[::-1])
    assert rows == again
    assert summary.mixture == other.mixture
    assert summary.mixture.origin == "estimated"


def test_records_with_the_same_id_and_letters_give_a_line_each(identifier, rows):
    record = SequenceRecord(1, "twice", "twice", rows[0]["dna_barcode"])
    lines, summary = mixture_lines(identifier, [record, record])
    assert len(lines) == sum(summary.records.values()) == 2


def test_a_given_mixture_is_used(library, embedder, rows):
    given_mixture = Mixture.parse("50,30,20")
    identifier = Identifier(library, embedder, IdentifyOptions(mixture=given_mixture))
    record = SequenceRecord(1, "a", "a", rows[0]["dna_barcode"])
    assert mixture_lines(identifier, [record])[1].mixture is given_mixture


PIECES = st.one_of(
    st.binary(max_size=200),
    st.text("ACGTN-acgtu", max_size=300).map(str.encode),
    st.sampled_from([b"\r\n", b">", b"\n>", b"\n\n", b"\x00", b"ACGT" * 60, b">x\n", b"\xff\xfe"]),
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(pieces=st.lists(PIECES, max_size=12))
def test_every_record_of_any_bytes_comes_out_once(identifier, tmp_path, pieces):
    content = b">first\n" + b"".join(pieces)
    path = tmp_path / "fuzz.fasta"
    path.write_bytes(content)
    num_records = sum(line.startswith(b">") for line in content.split(b"\n"))
    sink = FileSink(tmp_path / "out.tsv", "header\n", SETTINGS, resume=False)
    identify_stream(identifier, partial(read_records, path, list_damage=True), FORMATS["tsv"], sink)
    rows = (tmp_path / "out.tsv").read_bytes().count(b"\n") - 1
    report = tmp_path / "out.rejected.tsv"
    rejected = report.read_bytes().count(b"\n") - 1 if report.exists() else 0
    assert rows + rejected == num_records == sink.progress.records


def rows_and_rejected(identifier, path, folder):
    sink = FileSink(folder / "out.tsv", "header\n", SETTINGS, resume=False)
    identify_stream(identifier, partial(read_records, path, list_damage=True), FORMATS["tsv"], sink)
    report = folder / "out.rejected.tsv"
    rejected = report.read_bytes().split(b"\n")[1:-1] if report.exists() else []
    return (folder / "out.tsv").read_bytes().split(b"\n")[1:-1], rejected, sink.progress.records


FASTQ_PIECES = st.one_of(
    st.binary(max_size=100),
    st.sampled_from([b"@", b"+", b"\n", b"@x\n", b"+\n", b"ACGT" * 50, b"I" * 200, b"\n@\n+\n"]),
    st.just(b"\n@w\n" + b"ACGT" * 50 + b"\n+\n" + b"I" * 200 + b"\n"),
)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(pieces=st.lists(FASTQ_PIECES, max_size=12), cut=st.floats(0.3, 1))
def test_every_record_of_any_fastq_comes_out_once_compressed_and_truncated_or_not(
    identifier, tmp_path, pieces, cut
):
    content = b"@first\n" + b"ACGT" * 50 + b"\n+\n" + b"I" * 200 + b"\n" + b"".join(pieces)
    (tmp_path / "fuzz.fq").write_bytes(content)
    packed = gzip.compress(content)
    (tmp_path / "fuzz.fq.gz").write_bytes(packed[: max(int(cut * len(packed)), 60)])
    for name in ("fuzz.fq", "fuzz.fq.gz"):
        path = tmp_path / name
        try:
            found = list(read_records(path))
        except DataError:  # nothing at all could be unpacked
            assert path.suffix == ".gz"
            continue
        lines, rejected, num_records = rows_and_rejected(identifier, path, tmp_path)
        assert len(lines) + len(rejected) == num_records == len(found)
        assert sum(bool(record.problem) for record in found) <= len(rejected)


def test_a_truncated_archive_gives_its_complete_records_and_one_rejected(
    identifier, rows, tmp_path
):
    text = "".join(f"@q{n}\n{r['dna_barcode']}\n+\n{'I' * 200}\n" for n, r in enumerate(rows))
    packed = gzip.compress(text.encode())
    path = tmp_path / "cut.fq.gz"
    path.write_bytes(packed[: int(0.9 * len(packed))])
    lines, rejected, num_records = rows_and_rejected(identifier, path, tmp_path)
    assert len(lines) > len(rows) / 2
    assert len(rejected) == 1
    assert len(lines) + 1 == num_records
    assert b"cut off" in rejected[0]
