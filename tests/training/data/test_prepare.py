"""Any source gives the same data set, completely or not at all, with every row accounted for."""

import csv
import gzip
import json
import os
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from barcodemae.dataset import COLUMNS, RANKS, SPLITS, dataset_hash, read_left_out, read_splits
from barcodemae.errors import DataError, SettingsError
from barcodemae.training.batches.reader import BarcodeReader
from barcodemae.training.data.cleaning import CleaningRules
from barcodemae.training.data.prepare import PrepareOptions, prepare
from barcodemae.training.data.sources import recognition as sources
from barcodemae.training.data.sources.recognition import SourceOptions


SINTAX_LETTERS = dict(zip(RANKS, ("p", "c", "o", "f", "sf", "g", "s"), strict=True))
BIOSCAN_ONLY = ("index_bioscan_1M_insect", "chunk")


def make_rows(num_rows=300, seed=0, length=60):
    generator = np.random.default_rng(seed)
    rows = []
    for number in range(num_rows):
        species = int(generator.integers(0, 40))
        genus = species // 4
        is_labelled = generator.random() < 0.8
        row = dict.fromkeys(COLUMNS)
        row |= {"processid": f"BSC{number:04d}-23", "phylum": "Arthropoda", "class": "Insecta"}
        row |= {"order": f"Order{genus % 3}", "family": f"Family{genus % 5}idae"}
        row |= {"dna_bin": f"BOLD:AAA{species:04d}"} if generator.random() < 0.7 else {}
        if is_labelled:
            row |= {"subfamily": f"Family{genus % 5}inae"} if species % 2 else {}
            row |= {"genus": f"Genus{genus}", "species": f"Genus{genus} species{species}"}
        row["dna_barcode"] = "".join(generator.choice(list("ACGT"), length))
        row["split"] = SPLITS[int(generator.integers(0, len(SPLITS)))]
        rows.append(row)
    for row in rows[250:]:  # duplicates, some with other labels
        row["dna_barcode"] = rows[int(generator.integers(0, 50))]["dna_barcode"] + "NN"
    return rows


def write_parquet(path, rows):
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=70)
    return path


def write_bioscan(path, rows):
    names = [*COLUMNS, *BIOSCAN_ONLY]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_bold(path, rows):
    names = ["processid", *RANKS, "bin_uri", "nuc", "marker_code", "split"]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, names, delimiter="\t")
        writer.writeheader()
        for row in rows:
            bold = {name: row[name] or "None" for name in ("processid", *RANKS, "split")}
            bold |= {"bin_uri": row["dna_bin"] or "None", "nuc": row["dna_barcode"].lower()}
            writer.writerow(bold | {"marker_code": "COI-5P"})
    return path


def write_fasta(path, rows):
    with gzip.open(path, "wt") as stream:
        for row in rows:
            lineage = ",".join(
                f"{letter}:{row[rank].replace(' ', '_')}"
                for rank, letter in SINTAX_LETTERS.items()
                if row[rank]
            )
            bin_part = f"bin={row['dna_bin']};" if row["dna_bin"] else ""
            stream.write(f">{row['processid']};tax={lineage};{bin_part}split={row['split']};\n")
            stream.writelines(
                row["dna_barcode"][at : at + 25] + "\n"
                for at in range(0, len(row["dna_barcode"]), 25)
            )
    return path


WRITERS = {
    "parquet": ("t.parquet", write_parquet),
    "bioscan5m": ("t.csv", write_bioscan),
    "bold": ("t.tsv", write_bold),
    "fasta": ("t.fasta.gz", write_fasta),
}


def options(**changes):
    return PrepareOptions(**changes)


@pytest.mark.parametrize("partitions", ["source", "make"])
def test_every_format_gives_the_same_data_set(tmp_path, partitions):
    rows = make_rows()
    hashes, formats, tables = set(), set(), []
    for name, (file, write) in WRITERS.items():
        path = write(tmp_path / file, rows)
        description = prepare([str(path)], tmp_path / name, options(partitions=partitions))
        hashes.add(dataset_hash(tmp_path / name))
        formats.add(description["sources"][0]["format"])
        tables.append(read_splits(tmp_path / name, SPLITS))
    assert formats == set(WRITERS)
    assert all(table.equals(tables[0]) for table in tables)
    assert len(hashes) == 1


def test_ids_labels_and_partitions_are_those_of_the_source(tmp_path):
    rows = make_rows()
    prepare([str(write_bioscan(tmp_path / "t.csv", rows))], tmp_path / "d", options())
    stored = {row["processid"]: row for row in read_splits(tmp_path / "d", SPLITS).to_pylist()}
    first = {}
    for row in rows:
        first.setdefault(row["dna_barcode"].rstrip("N"), row)
    assert stored == {
        row["processid"]: row | {"dna_barcode": letters} for letters, row in first.items()
    }


def test_every_row_is_kept_or_counted_and_listed(tmp_path):
    rows = make_rows()
    rows[3] |= {"dna_barcode": "ACGT"}
    rows[4] |= {"dna_barcode": "MKVLAEEQ" * 5}
    rows[5] |= {"processid": None}
    rows[6] |= {"split": "mystery"}
    rows[7] |= {"dna_barcode": ""}
    path = write_bioscan(tmp_path / "t.csv", rows)
    path.write_text(path.read_text() + 'X,"open\nshort,row\n')
    description = prepare([str(path)], tmp_path / "d", options())
    filters = description["filters"]
    assert description["rows"]["read"] == len(rows) + 2
    assert description["rows"]["kept"] + sum(filters.values()) == len(rows) + 2
    expected = {
        **{5: "too_short", 6: "foreign_letter", 7: "no_processid", 8: "unknown_split"},
        **{9: "no_barcode", 302: "open_quote", 303: "wrong_fields"},
    }
    lines = (tmp_path / "d" / "rejected.tsv").read_text().splitlines()[1:]
    listed = {int(line.split("\t")[1]): line.split("\t")[3] for line in lines}
    assert listed == expected
    assert lines[0].startswith(f"{path}\t5\tBSC0003-23\ttoo_short\t4 bp, fewer than 8")
    assert filters["duplicate"] == len(rows) - 5 - description["rows"]["kept"]


def test_conflicting_duplicates_are_listed_with_both_names(tmp_path):
    rows = make_rows(40)
    rows[10] |= {"genus": "Aedes", "species": "Aedes aegypti", "order": "Diptera"}
    rows[20] = rows[10] | {"processid": "LATER", "genus": "Culex", "species": "Culex pipiens"}
    path = write_bioscan(tmp_path / "t.csv", rows)
    description = prepare([str(path)], tmp_path / "d", options())
    assert description["conflicting_duplicates"] == {"genus": 1}
    (line,) = (tmp_path / "d" / "conflicts.tsv").read_text().splitlines()[1:]
    assert line.split("\t") == [
        *(str(path), "22", "LATER", rows[10]["processid"], "genus", "Culex", "Aedes")
    ]


def test_the_scope_of_dedup(tmp_path):
    rows = make_rows(6)
    for row, split in zip(rows, ["train", "train", "test", "test", "val", "val"], strict=True):
        row |= {"dna_barcode": "ACGTACGTACGT" * 5, "split": split}
    path = write_parquet(tmp_path / "t.parquet", rows)
    kept = {}
    for scope in ("global", "partition", "none"):
        description = prepare([str(path)], tmp_path / scope, options(dedup=scope))
        kept[scope] = description["rows"]["kept"]
        assert bool(description["leakage"]["identical"]) == (scope != "global")
    assert kept == {"global": 1, "partition": 3, "none": 6}


def test_without_heldout_the_rest_is_unchanged(tmp_path):
    path = write_parquet(tmp_path / "t.parquet", make_rows())
    prepare([str(path)], tmp_path / "with", options())
    description = prepare([str(path)], tmp_path / "without", options(heldout=False))
    others = [name for name in SPLITS if name != "other_heldout"]
    assert read_splits(tmp_path / "with", others).equals(read_splits(tmp_path / "without", SPLITS))
    assert description["filters"]["other_heldout"] > 0
    assert "other_heldout" not in description["partitions"]


def test_several_sources_are_joined_in_order(tmp_path):
    rows = make_rows()
    paths = [
        str(write_bioscan(tmp_path / "a.csv", rows[:100])),
        str(write_fasta(tmp_path / "b.fasta.gz", rows[100:])),
    ]
    prepare(paths, tmp_path / "both", options())
    prepare([str(write_parquet(tmp_path / "t", rows))], tmp_path / "one", options())
    assert dataset_hash(tmp_path / "both") == dataset_hash(tmp_path / "one")


def test_the_references_split_files_are_prepared(tmp_path):
    splits = {
        **{"pre_training": "pretrain", "supervised_train": "train", "supervised_val": "val"},
        **{"supervised_test": "test", "unseen": "test_unseen"},
    }
    generator = np.random.default_rng(0)
    for name in splits:
        letters = "".join(generator.choice(list("ACGT"), 60))
        text = f"nucleotides,genus_name,species_name,genus_index\n{letters},Aedes,Aedes x,0\n"
        (tmp_path / f"{name}.csv").write_text(text)
    paths = [str(tmp_path / f"{name}.csv") for name in splits]
    prepare(paths, tmp_path / "d", options())
    table = read_splits(tmp_path / "d", SPLITS)
    found = dict(zip(table["processid"].to_pylist(), table["split"].to_pylist(), strict=True))
    assert found == {f"{name}:2": split for name, split in splits.items()}


def test_made_partitions_are_recorded_and_clean(tmp_path):
    rows = [row | {"split": None} for row in make_rows()]
    path = write_fasta(tmp_path / "t.fasta.gz", [row | {"split": "train"} for row in rows])
    description = prepare([str(path)], tmp_path / "d", options(partitions="make"))
    assert description["partitions_from"] == "draw"
    assert description["leakage"] == {"identical": {}, "contained": {}}
    table = read_splits(tmp_path / "d", SPLITS)
    counts = {name: part["barcodes"] for name, part in description["partitions"].items()}
    stored = table["split"].value_counts().to_pylist()
    assert counts == {entry["values"]: entry["counts"] for entry in stored}
    species = [row["species"] for row in table.to_pylist() if row["split"] == "test"]
    assert description["partitions"]["test"]["species"] == len(set(species) - {None})
    assert not list((tmp_path / "d").glob(".*"))


def test_the_description_records_what_was_done(tmp_path):
    path = write_bioscan(tmp_path / "t.csv", make_rows())
    description = prepare([str(path)], tmp_path / "d", options(rules=CleaningRules(min_length=20)))
    stored = json.loads((tmp_path / "d" / "dataset.json").read_text())
    assert stored == description
    (source,) = stored["sources"]
    assert source["bytes"] == path.stat().st_size
    assert len(source["sha256"]) == 64
    assert source["recognised_by"]
    assert stored["options"]["rules"]["min_length"] == 20
    assert stored["hash"] == dataset_hash(tmp_path / "d")


def test_a_file_of_the_hub_is_recorded_by_its_name_there(tmp_path, monkeypatch):
    path = write_bioscan(tmp_path / "t.csv", make_rows())
    monkeypatch.setattr(sources, "hf_hub_download", lambda *_, **__: str(path))
    (source,) = prepare(["hf://datasets/a/b@v1/t.csv"], tmp_path / "d", options())["sources"]
    assert source["path"] == "hf://datasets/a/b@v1/t.csv"
    assert source["bytes"] == path.stat().st_size


def test_the_reader_opens_what_was_prepared(tmp_path):
    path = write_bioscan(tmp_path / "t.csv", make_rows())
    description = prepare([str(path)], tmp_path / "d", options())
    reader = BarcodeReader.from_dataset(tmp_path / "d", ["pretrain", "other_heldout"], k=3)
    parts = description["partitions"]
    assert len(reader) == parts["pretrain"]["barcodes"] + parts["other_heldout"]["barcodes"]


def test_progress_ends_at_the_total(tmp_path):
    path = write_bioscan(tmp_path / "t.csv", make_rows())
    seen = {}

    def note(stage, done, total):
        seen[stage] = (done, total)

    prepare([str(path)], tmp_path / "d", options(), on_progress=note)
    assert seen["read"] == (path.stat().st_size,) * 2
    assert seen["leakage"][0] == seen["leakage"][1]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"partitions": "source"}, "has no partitions"),
        ({"dedup": "partition"}, "needs partitions in the source"),
    ],
)
def test_options_that_do_not_fit_the_source_are_refused(tmp_path, changes, problem):
    (tmp_path / "t.fa").write_text(">A\nACGTACGTAC\n")
    with pytest.raises(SettingsError, match=problem):
        prepare([str(tmp_path / "t.fa")], tmp_path / "d", options(**changes))
    assert [path.name for path in tmp_path.iterdir()] == ["t.fa"]


def test_sources_with_and_without_partitions_do_not_mix(tmp_path):
    (tmp_path / "t.fa").write_text(">A\nACGTACGTAC\n")
    paths = [str(write_bioscan(tmp_path / "t.csv", make_rows())), str(tmp_path / "t.fa")]
    with pytest.raises(SettingsError, match=r"t.csv has partitions and .*t.fa has none"):
        prepare(paths, tmp_path / "d", options())
    prepare(paths, tmp_path / "d", options(partitions="make"))


def test_nothing_usable_is_an_error_that_says_why(tmp_path):
    (tmp_path / "t.fa").write_text(">A\nMKVLAE\n>B\nACG\n")
    with pytest.raises(DataError, match=r"no usable barcode in 2 rows \(.*too_short 1"):
        prepare([str(tmp_path / "t.fa")], tmp_path / "d", options())
    assert [path.name for path in tmp_path.iterdir()] == ["t.fa"]


@pytest.mark.parametrize("file", ["t.csv.gz", "t.fasta.gz"])
def test_a_gzip_cut_at_any_byte_leaves_no_data_set(tmp_path, file):
    rows = make_rows(30)
    if file == "t.csv.gz":
        packed = gzip.compress(write_bioscan(tmp_path / "t.csv", rows).read_bytes())
    else:
        packed = write_fasta(tmp_path / file, rows).read_bytes()
    for size in [*range(1, 40), *range(40, len(packed), 97), *range(len(packed) - 20, len(packed))]:
        (tmp_path / file).write_bytes(packed[:size])
        with pytest.raises(DataError, match=file):
            prepare([str(tmp_path / file)], tmp_path / "d", options())
        assert not (tmp_path / "d").exists()
    (tmp_path / file).write_bytes(packed)
    prepare([str(tmp_path / file)], tmp_path / "d", options(source=SourceOptions()))


def test_an_old_data_set_survives_a_failed_replacement(tmp_path):
    good = write_bioscan(tmp_path / "t.csv", make_rows())
    prepare([str(good)], tmp_path / "d", options())
    before = dataset_hash(tmp_path / "d")
    bad = tmp_path / "bad.csv"
    bad.write_bytes(good.read_bytes() + b"\0\n")
    with pytest.raises(DataError, match="line 302: holds a zero byte"):
        prepare([str(bad)], tmp_path / "d", options(), overwrite=True)
    assert dataset_hash(tmp_path / "d") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "d", "t.csv"]


@pytest.fixture
def small_disk(tmp_path):
    """Mount a file system of 200 kB."""
    mount = tmp_path / "small"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(mount)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield mount
    subprocess.run(["umount", str(mount)], check=True)


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, small_disk):
    path = write_bioscan(tmp_path / "t.csv", make_rows(2000, length=658))
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        prepare([str(path)], small_disk / "d", options())
    assert list(small_disk.iterdir()) == []


# In a process of its own, which forks: limits and signals must not touch the test run. A run is
# killed at later and later calls that touch the file system, until one gets through.
KILLER = """
import json, os, resource, shutil, signal, sys
from pathlib import Path
import barcodemae.training.data.prepare  # now, so that no import is counted below
from barcodemae.cli import main
from barcodemae.dataset import dataset_hash

old, new, out = sys.argv[1:4]
home = str(Path(out).parent)

def touches_home(event, arguments):
    if event in ("os.remove", "os.rmdir"):  # rmtree gives names without their folder
        return True
    return event in ("open", "os.mkdir", "os.rename") and home in str(arguments[0])

def run(source, kill_at=0, limit=0, talk=os.devnull):
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(talk, os.O_WRONLY | os.O_CREAT), 2)
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    calls = 0
    def hook(event, arguments):
        nonlocal calls
        calls += touches_home(event, arguments)
        if calls == kill_at > 0 and event != "os.kill":
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)
    os._exit(main(["prepare", source, "-o", out, "--overwrite", "--no-leakage"]))

report = {"limited": run(new, limit=5_000, talk=out + ".talk"), "left": sorted(os.listdir(home))}
code, kill_at, report["states"] = -signal.SIGKILL, 0, []
while code == -signal.SIGKILL:
    kill_at += 3  # every third step; every step was tried once, and takes a minute
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(old, out)
    code = run(new, kill_at)
    state = dataset_hash(out) if Path(out).exists() else None
    after = run(new)
    report["states"].append([state, after, dataset_hash(out), sorted(os.listdir(home))])
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def killings(tmp_path_factory):
    """Run `prepare` with a file size limit and with kills; return what each run left."""
    folder = tmp_path_factory.mktemp("killed")
    hashes, paths = [], []
    for seed, name in enumerate(("old", "new")):
        rows = make_rows(120, seed=seed, length=658)
        paths.append(write_bioscan(folder / f"{name}.csv", rows))
        prepare([str(paths[-1])], folder / name, options())
        hashes.append(dataset_hash(folder / name))
    (folder / "out").mkdir()
    arguments = [str(folder / "old"), str(folder / "new.csv"), str(folder / "out" / "d")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLER, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), hashes, (folder / "out" / "d.talk").read_text()


def test_a_file_that_may_not_grow_is_one_line_and_exit_code_2(killings):
    report, _, talk = killings
    assert report["limited"] == 2
    assert report["left"] == ["d.talk"]
    assert re.search(r"^barcodemae: error: .*/d: cannot be written: .*$", talk.splitlines()[-1])


def test_a_run_killed_anywhere_leaves_the_old_data_set_or_none(killings):
    report, (old, new), _ = killings
    states = [state for state, *_ in report["states"]]
    assert len(states) > 8
    assert set(states) <= {old, None, new}
    assert states[0] == old
    assert states[-1] == new
    # None only between the two renames, new only once the second is done.
    assert states == sorted(states, key=[old, None, new].index)
    assert states.count(None) <= 1


def test_the_run_after_a_kill_succeeds_and_tidies_up(killings):
    report, (_, new), _ = killings
    for _, code, state, names in report["states"]:
        assert (code, state, names) == (0, new, ["d", "d.talk"])


def test_every_dropped_row_is_listed_with_its_place(tmp_path):
    rows = make_rows()
    rows[4] |= {"dna_barcode": "MKVLAEEQ" * 5}
    path = write_bioscan(tmp_path / "t.csv", rows)
    description = prepare([str(path)], tmp_path / "d", options())
    left_out = list(read_left_out(tmp_path / "d"))
    kept = read_splits(tmp_path / "d", SPLITS)["processid"].to_pylist()
    assert description["rows"]["read"] == len(kept) + len(left_out)
    assert left_out[0].id == rows[4]["processid"]
    assert "no nucleotide code" in left_out[0].reason
    for found in left_out[1:]:
        assert found.source == str(path)
        assert rows[found.place - 2]["processid"] == found.id
        assert found.reason.removeprefix("same letters as ") in kept


def test_records_without_any_name_are_refused_unless_wanted(tmp_path):
    (tmp_path / "t.fa").write_text(">A\nACGTACGTAC\n>B\nCCGTACGTAC\n")
    with pytest.raises(DataError, match=r"none of 2 records has a name at any rank .*--unlabelled"):
        prepare([str(tmp_path / "t.fa")], tmp_path / "d", options())
    assert not (tmp_path / "d").exists()
    description = prepare([str(tmp_path / "t.fa")], tmp_path / "d", options(unlabelled=True))
    assert description["labelled"]["any"] == 0


def test_labelled_records_are_counted_by_rank(tmp_path):
    text = (
        ">A;tax=f:Culicidae,g:Aedes;\nACGTACGTAC\n>B;tax=f:Culicidae;\nCCGTACGTAC\n>C\nGGGGGGGGAC\n"
    )
    (tmp_path / "t.fa").write_text(text)
    labelled = prepare([str(tmp_path / "t.fa")], tmp_path / "d", options())["labelled"]
    found = {name: count for name, count in labelled.items() if count}
    assert found == {"any": 2, "family": 2, "genus": 1}
