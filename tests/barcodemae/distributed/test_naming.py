import pytest

from barcodemae import cli
from barcodemae.calls.names import open_library
from barcodemae.distributed.blocks import blocks_of
from barcodemae.distributed.naming import NamingOrder, name_blocks, write_named
from barcodemae.distributed.shards import ShardFolder
from barcodemae.errors import SettingsError, WorkerError
from barcodemae.eval.identify import stream
from barcodemae.eval.identify.formats import FORMATS
from barcodemae.eval.identify.identification import Identifier, IdentifyOptions
from barcodemae.eval.identify.judge.ladder import Mixture
from barcodemae.eval.identify.resumable import FileSink
from barcodemae.fasta import read_records


MODEL, SIZE = "kmer:3", 8  # records of a block


@pytest.fixture(scope="module")
def lib(tmp_path_factory, relatives):
    """A library of half of the relatives: six families, of two genera of four barcodes or less."""
    folder = tmp_path_factory.mktemp("lib")
    fasta, names = folder / "refs.fasta", folder / "names.tsv"
    chosen = [(n, text) for n, text in enumerate(relatives) if n % 10 < 7]
    fasta.write_text("".join(f">R{n}\n{text}\n" for n, text in chosen))
    lines = (
        f"R{n}\tk__A; p__P; c__C; o__O; f__F{n // 10}; g__G{n // 5}; s__G{n // 5} s{n // 5}\n"
        for n, _ in chosen
    )
    names.write_text("Feature ID\tTaxon\n" + "".join(lines))
    output = folder / "lib"
    command = ["index", str(fasta), "--taxonomy", str(names), "-o", str(output), "-m", MODEL]
    assert cli.main(command) == 0
    return output


@pytest.fixture
def queries(tmp_path, relatives):
    path = tmp_path / "queries.fasta"
    lines = [f">q{n};size={n} words\n{text[n % 5 :]}\n" for n, text in enumerate(relatives)]
    path.write_text("".join([*lines, ">protein\nMKLVEEFF\n", ">tiny\nACGT\n"]))
    return path


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Batches of four records, of which nine are the sample."""
    monkeypatch.setattr(stream, "RECORDS_PER_BATCH", 4)
    monkeypatch.setattr("barcodemae.distributed.naming.RECORDS_PER_BATCH", 4)
    monkeypatch.setattr(stream, "MAX_SAMPLED", 9)
    monkeypatch.setattr("barcodemae.distributed.sampling.MAX_SAMPLED", 9)


def options(mixture=None):
    return IdentifyOptions(mixture=mixture, num_candidates=2)


def alone(lib, queries, output, how):
    """What one machine writes: table, rejected, candidates, counts."""
    opened = open_library(lib, MODEL)
    candidates = []
    summary = stream.identify_stream(
        Identifier(opened.references, opened.embedder, how),
        lambda: read_records(queries, list_damage=True),
        FORMATS["tsv"],
        FileSink(output, FORMATS["tsv"].header, {}, resume=False),
        on_batch=lambda batch, _: candidates.extend(batch.candidates),
    )
    rejected = output.with_name(f"{output.stem}.rejected.tsv")
    return output.read_bytes(), rejected.read_bytes(), candidates, summary.to_json()


def together(hire, lib, queries, output, how, *, resume=False):
    """What a crew writes, in the same form."""
    candidates = []
    order = NamingOrder(library=str(lib), model=MODEL, choices={}, options=how, form="tsv")
    named = name_blocks(
        hire,
        order,
        lambda: blocks_of(str(queries), lambda: read_records(queries, list_damage=True), SIZE),
        {"library": "lib"},
        ShardFolder(output.with_name("shards")),
    )
    sink = FileSink(output, FORMATS["tsv"].header, {}, resume=resume)
    summary = write_named(named, sink, lambda batch, _: candidates.extend(batch.candidates))
    rejected = output.with_name(f"{output.stem}.rejected.tsv")
    return output.read_bytes(), rejected.read_bytes(), candidates, summary.to_json()


@pytest.mark.parametrize("mixture", [None, Mixture.parse("65,30,5")])
def test_a_crew_writes_what_one_machine_writes(hire, lib, queries, tmp_path, mixture):
    expected = alone(lib, queries, tmp_path / "alone.tsv", options(mixture))
    assert len(expected[0].splitlines()) == 1 + 60
    assert together(hire, lib, queries, tmp_path / "crew.tsv", options(mixture)) == expected


def test_lost_workers_change_nothing(hire, lib, queries, tmp_path):
    hire.deaths = {0: 1, 1: 1, 3: 2}
    expected = alone(lib, queries, tmp_path / "alone.tsv", options())
    assert together(hire, lib, queries, tmp_path / "crew.tsv", options()) == expected


def test_a_second_run_names_only_what_the_first_did_not(hire, lib, queries, tmp_path):
    output, given = tmp_path / "crew.tsv", options(Mixture.parse("65,30,5"))
    hire.size, hire.deaths = 1, {4: 99}
    with pytest.raises(WorkerError):
        together(hire, lib, queries, output, given)
    assert not output.exists()
    hire.deaths = {}
    expected = alone(lib, queries, tmp_path / "alone.tsv", given)
    assert together(hire, lib, queries, output, given) == expected
    assert hire.crews[-1].done == [4, 5, 6, 7, 8]


def test_another_sample_names_all_anew(hire, lib, queries, tmp_path):
    hire.size = 1
    together(hire, lib, queries, tmp_path / "crew.tsv", options())
    queries.write_text(queries.read_text() + ">more\n" + "ACGT" * 60 + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("barcodemae.distributed.sampling.MAX_SAMPLED", 99)
        together(hire, lib, queries, tmp_path / "crew.tsv", options())
    assert len(hire.crews[-1].done) == 8


def test_a_table_cut_off_while_it_was_written_is_resumed(hire, lib, queries, tmp_path, monkeypatch):
    expected = alone(lib, queries, tmp_path / "alone.tsv", options())
    output = tmp_path / "crew.tsv"
    append = FileSink.append

    def interrupted(sink, *batch):
        if sink.progress.records >= 2 * SIZE:
            raise KeyboardInterrupt
        append(sink, *batch)

    monkeypatch.setattr(FileSink, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        together(hire, lib, queries, output, options())
    monkeypatch.setattr(FileSink, "append", append)
    found = together(hire, lib, queries, output, options(), resume=True)
    assert (found[0], found[1], found[3]) == (expected[0], expected[1], expected[3])


def test_a_table_of_other_records_is_not_resumed(hire, lib, queries, tmp_path, monkeypatch):
    output = tmp_path / "crew.tsv"
    append = FileSink.append

    def interrupted(sink, *batch):
        append(sink, *batch)
        raise KeyboardInterrupt

    monkeypatch.setattr(FileSink, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        together(hire, lib, queries, output, options())
    monkeypatch.setattr(FileSink, "append", append)
    queries.write_text(queries.read_text().replace(">q0;", ">other;"))
    with pytest.raises(SettingsError, match="not those of this run"):
        together(hire, lib, queries, output, options(), resume=True)
