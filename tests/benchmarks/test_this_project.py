"""This project among its rivals: the whole benchmark on simulated barcodes, and both adapters."""

import json
import random
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from barcodemae.dataset import COLUMNS, RANKS, read_splits
from barcodemae.errors import BarcodeMAEError
from barcodemae.eval.identify.identification import IdentifyOptions
from barcodemae.eval.identify.reference.library import ReferenceLibrary


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from open_world import main
from queries import Queries
from rivals.references import References
from rivals.this_project import identify_by_command, identify_ours, run_barcodemae
from worlds.parts import SMALL, Source


COPIES = {"train": 3, "val": 1, "test": 1}
UNSEEN_COPIES = {"val_unseen": 2, "test_unseen": 1}
ORDER, GENUS, SPECIES = (RANKS.index(name) for name in ("order", "genus", "species"))


def mutate(text, rate, generator):
    return "".join(generator.choice("ACGT") if generator.random() < rate else x for x in text)


def simulate():
    """Ten genera of five species, the last of each without references, and a mollusc."""
    generator = random.Random(3)
    rows = []
    for genus in range(11):
        root = "".join(generator.choices("ACGT", (30, 12, 18, 40), k=300))
        for species in range(5 if genus < 10 else 1):
            parent = mutate(root, 0.1, generator)
            copies = COPIES if species < 4 else UNSEEN_COPIES
            for split, number in (copies if genus < 10 else {"pretrain": 1}).items():
                rows += [
                    {
                        "processid": f"P{genus}{species}{split}{copy}",
                        "phylum": "Arthropoda" if genus < 10 else "Mollusca",
                        "class": f"Class{genus // 5}",
                        "order": f"Order{genus // 5}",
                        "family": f"Family{genus // 2}",
                        "genus": f"Genus{genus}",
                        "species": f"Genus{genus} species{species}",
                        "dna_barcode": mutate(parent, 0.01, generator),
                        "split": split,
                    }
                    for copy in range(number)
                ]
    return rows


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    pyarrow.parquet.write_table(pa.Table.from_pylist(simulate()), folder / "part.parquet")
    return folder


@pytest.fixture
def source(data):
    return Source(data=data, splits=("test", "test_unseen"), draws=2)


def test_every_part_asks_of_references_what_its_name_says(source):
    parts = {(part.name, part.draw): part for part in source.parts(["closed", "genera", "ties"])}
    assert list(parts) == [("closed", None), ("genera", 0), ("genera", 1), ("ties", None)]
    whole, fewer = parts["closed", None], parts["genera", 0]
    kept = set(fewer.references["genus"].to_pylist())
    assert len(kept) == 7
    assert kept == set(fewer.held_out["genus"].to_pylist())
    references = References.of(fewer.references)
    (queries,) = fewer.sets.values()
    is_new = fewer.truth(references, queries).is_new(GENUS)
    assert [name not in kept for name in queries.names[GENUS]] == is_new.tolist()
    assert whole.references.num_rows == 120
    assert parts["ties", None].references.num_rows == 240


def test_a_small_library_holds_few_orders_and_is_asked_for_others_too(source, monkeypatch):
    monkeypatch.setitem(SMALL, "orders", 1)
    monkeypatch.setitem(SMALL, "references", 30)
    (part, _) = source.parts(["small"])
    (order,) = set(part.references["order"].to_pylist())
    assert part.references.num_rows == 30
    assert part.held_out.num_rows == 0
    own, others, foreign, _ = part.sets.values()
    assert set(own.names[ORDER]) == {order}
    assert order not in others.names[ORDER]
    assert len(foreign.ids) == 1


def test_foreigners_and_what_is_no_barcode_have_no_right_name(source):
    (part,) = source.parts(["foreign"])
    references = References.of(part.references)
    for name, queries in part.sets.items():
        truth = part.truth(references, queries)
        foreign = truth.is_new(0)
        assert foreign.sum() == (1 if name.startswith("a sample") else len(queries.ids))
    assert len(part.sets["foreign phyla"].ids) == 1


@pytest.mark.slow
def test_command_line_and_identifier_name_the_same(data, tmp_path):
    library = tmp_path / "library"
    run_barcodemae(["index", str(data), "-o", str(library), "--model", "kmer:4"])
    queries = Queries.read(data, ("test", "test_unseen"))
    references = References.of(read_splits(data, ("train",), COLUMNS))
    by_command = identify_by_command(references, library, "kmer:4", queries.sequences, 1)
    ours = identify_ours(library, "kmer:4", queries, IdentifyOptions())
    opened = ReferenceLibrary(library)
    names = [opened.taxon(SPECIES, code) for code in ours.names[:, SPECIES].tolist()]
    assert by_command.names[:, SPECIES].tolist() == [
        references.code_of[SPECIES][name] for name in names
    ]
    assert (by_command.is_assigned[:, SPECIES] == ours.is_assigned[:, SPECIES]).all()
    assert by_command.is_assigned[:, SPECIES].any()


@pytest.mark.slow
def test_a_part_is_named_scored_and_written(data, tmp_path, monkeypatch):
    results = tmp_path / "results.json"
    command = ["--data", str(data), "--model", "kmer:4", "--parts", "closed", "--limit", "20"]
    command += ["--work", str(tmp_path / "work"), "--json", str(results)]
    monkeypatch.setattr(sys, "argv", ["open_world.py", *command, "--methods", "identify"])
    main()
    (row,) = json.loads(results.read_text())["rows"]
    assert (row["method"], row["queries"], row["references"]) == ("identify", 20, 120)
    assert row["scores"]["order_named_right"] > 90
    assert row["weights"]
    assert row["command"].startswith("python benchmarks/open_world.py --data simulated")


def test_a_command_that_fails_says_why(tmp_path):
    with pytest.raises(BarcodeMAEError, match="identify failed: "):
        run_barcodemae(["identify", str(tmp_path / "none.fa"), "-r", str(tmp_path / "none")])
