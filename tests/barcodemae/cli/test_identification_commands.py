import gzip
import json
import random

import pytest

from barcodemae import cli
from barcodemae.eval.identify.overview import unit_map
from barcodemae.output.lock import held


def mutate(sequence, rate, generator):
    letters = [generator.choice("ACGT") if generator.random() < rate else b for b in sequence]
    return "".join(letters)


@pytest.fixture(scope="module")
def lineages():
    """Six genera of four species with four barcodes of 160 bp each."""
    generator = random.Random(2)
    rows = []
    for genus in range(6):
        root = "".join(generator.choices("ACGT", (20, 8, 17, 55), k=160))
        for species in range(4):
            parent = mutate(root, 0.1, generator)
            lineage = f"k__Animalia; p__Arthropoda; c__Insecta; o__Order; f__Family{genus // 2}; "
            lineage += f"g__Genus{genus}; s__Genus{genus} sp{species}"
            rows += [
                (f"R{genus}{species}{copy}", mutate(parent, 0.01, generator), lineage)
                for copy in range(4)
            ]
    return rows


@pytest.fixture(scope="module")
def reference(tmp_path_factory, lineages):
    """FASTA and QIIME 2 taxonomy."""
    folder = tmp_path_factory.mktemp("reference")
    fasta, taxonomy = folder / "refs.fasta", folder / "taxonomy.tsv"
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text, _ in lineages))
    lines = "".join(f"{name}\t{lineage}\n" for name, _, lineage in lineages)
    taxonomy.write_text(f"Feature ID\tTaxon\n{lines}")
    return fasta, taxonomy


@pytest.fixture(scope="module")
def lib(tmp_path_factory, reference):
    """An indexed library."""
    output = tmp_path_factory.mktemp("lib") / "lib"
    fasta, taxonomy = reference
    command = ["index", str(fasta), "--taxonomy", str(taxonomy), "-o", str(output), "-m", "kmer:4"]
    assert cli.main(command) == 0
    return output


@pytest.fixture
def queries(tmp_path, lineages):
    """Every fourth reference, and two records that cannot be identified."""
    path = tmp_path / "queries.fasta"
    lines = [f">q{name} words\n{text}\n" for name, text, _ in lineages[::4]]
    path.write_text("".join([*lines, ">protein\nMKLVEEFF\n", ">tiny\nACGT\n"]))
    return path


def identify(queries, lib, output, *more):
    command = ["identify", str(queries), "-r", str(lib), "-o", str(output), "-m", "kmer:4", *more]
    return cli.main(command)


def test_a_source_is_prepared_indexed_and_calibrated_on_itself(lib, lineages):
    assert {path.name for path in lib.iterdir()} == {
        "vectors.npy",
        "lineage.arrow",
        "hashes.npy",
        "strand.npy",
        "calibration.json",
        "library.json",
        "manifest.json",
        "report.tsv",
        "flagged.tsv",
    }
    found = json.loads((lib / "library.json").read_text())
    assert found["references"] == len(lineages)
    assert found["reference"]["name"] == "refs"
    details = json.loads((lib / "calibration.json").read_text())["details"]
    assert details["held_out"] == "references, left out"


def test_every_query_is_a_row_or_a_rejected_one(queries, lib, tmp_path, capsys):
    output = tmp_path / "out.tsv"
    assert identify(queries, lib, output, "--threshold", "0.3") == 0
    header, *lines = output.read_text().splitlines()
    rows = [dict(zip(header.split("\t"), line.split("\t"), strict=True)) for line in lines]
    assert len(rows) == 24
    assert all(row["flags"].split(",")[-1] == "exact_match" for row in rows)
    assert all(row["id"] == f"q{row['nearest_reference']}" for row in rows)
    assert sum(row["species"].startswith("Genus") for row in rows) > 20
    rejected = (tmp_path / "out.rejected.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[1] for line in rejected] == ["protein", "tiny"]
    assert "26 records: 24 identified, 2 rejected" in capsys.readouterr().err


@pytest.mark.parametrize("output_format", ["jsonl", "sintax", "qiime2", "phyloseq", "dwc"])
def test_formats_go_to_stdout_and_to_compressed_files_alike(
    queries, lib, tmp_path, output_format, capsys
):
    output = tmp_path / "out.gz"
    assert identify(queries, lib, output, "--format", output_format) == 0
    capsys.readouterr()
    assert identify(queries, lib, "-", "--format", output_format) == 0
    said = capsys.readouterr()
    assert said.out == gzip.decompress(output.read_bytes()).decode()
    assert "not identified: record 25\tprotein" in said.err


def test_a_biom_table_holds_every_record_that_was_named(queries, lib, tmp_path):
    output = tmp_path / "out.biom"
    assert identify(queries, lib, output, "--format", "biom") == 0
    assert json.loads(output.read_text())["shape"] == [24, 1]


def test_darwin_core_names_library_and_model(queries, lib, tmp_path):
    output = tmp_path / "out.tsv"
    assert identify(queries, lib, output, "--format", "dwc") == 0
    header, first, *_ = output.read_text().splitlines()
    cells = dict(zip(header.split("\t"), first.split("\t"), strict=True))
    assert cells["otu_db"].startswith("refs, 96 references, hash ")
    assert "model kmer:4" in cells["otu_seq_comp_appr"]
    assert len(cells["DNA_sequence"]) == 160


def test_rows_carry_identity(queries, lib, tmp_path):
    output = tmp_path / "out.jsonl"
    assert identify(queries, lib, output, "--format", "jsonl") == 0
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert all(row["identity"] == row["coverage"] == 1.0 for row in rows)


def test_a_report_is_drawn_of_the_names_and_tells_the_library(queries, lib, tmp_path):
    page = tmp_path / "out.html"
    assert identify(queries, lib, tmp_path / "out.tsv", "--report", str(page)) == 0
    text = page.read_text()
    for words in ("<title>out", "refs, 96 references", "protein", "tiny", "kmer:4"):
        assert words in text


def test_resume_without_anything_left_is_a_run_of_its_own(queries, lib, tmp_path):
    output = tmp_path / "out.tsv"
    assert identify(queries, lib, output, "--resume") == 0
    first = output.read_bytes()
    assert identify(queries, lib, output) == 0
    assert output.read_bytes() == first


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["-m", "kmer:3"], "was indexed with kmer:4"),
        (["--format", "xml"], "format 'xml'"),
        (["--threshold", "2"], "a probability between 0 and 1 is needed"),
        (["--threshold", "tribe=0.5"], "one of phylum, class, order"),
        (["--mixture", "65,-1"], "numbers above zero"),
        (["--within", "Nobody"], "holds no taxon 'Nobody'"),
        (["--strand", "minus"], "strand 'minus'"),
        (["-o", "-", "--resume"], "--resume needs a file"),
        (["-o", "-", "--report", "r.html"], "--report is drawn of the table of names"),
        (["--format", "jsonl", "--report", "r.html"], "--report is drawn of the table of names"),
        (["--report", "r.pdf"], "end in .html"),
        (["-o", "-", "--format", "biom"], "is written as a whole"),
        (["--threads", "-1"], "at least one thread"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(queries, lib, tmp_path, more, words, capsys):
    assert identify(queries, lib, tmp_path / "out.tsv", *more) == 2
    said = capsys.readouterr().err.strip()
    assert words in said
    assert "Traceback" not in said


def test_a_library_is_not_replaced_unasked(reference, lib, capsys):
    command = ["index", str(reference[0]), "--taxonomy", str(reference[1]), "-m", "kmer:4"]
    assert cli.main([*command, "-o", str(lib)]) == 2
    assert "holds a library already; --overwrite replaces it" in capsys.readouterr().err


def test_cluster_writes_units_and_a_map(reference, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(unit_map, "reduce_dimensions", lambda vectors, **options: vectors[:, :2])
    output, page = tmp_path / "units.tsv", tmp_path / "map.html"
    command = ["cluster", str(reference[0]), "-o", str(output), "-m", "kmer:4"]
    assert cli.main([*command, "--identity", "96", "--map", str(page)]) == 0
    header, *lines = output.read_text().splitlines()
    assert header.split("\t")[:4] == ["id", "unit", "size", "representative"]
    assert len(lines) == 96
    assert len({line.split("\t")[1] for line in lines}) in range(20, 29)  # 24 species
    assert "R000" in page.read_text()
    assert "96 barcodes in" in capsys.readouterr().err
    assert cli.main([*command, "--map", str(tmp_path / "map.pdf")]) == 2


def test_a_library_names_the_points_of_the_map(reference, lib, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(unit_map, "reduce_dimensions", lambda vectors, **options: vectors[:, :2])
    command = ["cluster", str(reference[0]), "-o", str(tmp_path / "u.tsv"), "-m", "kmer:4"]
    assert cli.main([*command, "-r", str(lib)]) == 2
    assert "name one with --map" in capsys.readouterr().err
    assert cli.main([*command, "-r", str(lib), "--map", str(tmp_path / "map.html")]) == 0
    assert "genus: Genus0" in (tmp_path / "map.html").read_text()


def test_a_faiss_index_gives_the_same_names_on_a_small_library(reference, queries, lib, tmp_path):
    pytest.importorskip("faiss")
    fast = tmp_path / "fast"
    command = ["index", str(reference[0]), "--taxonomy", str(reference[1]), "-m", "kmer:4"]
    assert cli.main([*command, "-o", str(fast), "--engine", "faiss"]) == 0
    exact, near = tmp_path / "exact.tsv", tmp_path / "near.tsv"
    assert identify(queries, lib, exact) == 0
    assert identify(queries, fast, near, "--engine", "faiss") == 0
    assert near.read_bytes() == exact.read_bytes()


def test_what_a_truncated_archive_holds_is_identified_and_the_cut_is_told(
    queries, lib, tmp_path, capsys
):
    packed, output, whole = (tmp_path / name for name in ("q.fasta.gz", "out.tsv", "whole.tsv"))
    # Members of one record each: the cut leaves 22 of them.
    members = [gzip.compress(f">{part}".encode()) for part in queries.read_text().split(">")[1:]]
    packed.write_bytes(b"".join(members[:22]) + members[22][:20])
    assert identify(packed, lib, output) == 0
    assert "1 rejected, see" in capsys.readouterr().err
    assert identify(queries, lib, whole) == 0
    lines = output.read_text().splitlines()
    assert lines == whole.read_text().splitlines()[: len(lines)]
    _, rejected = (tmp_path / "out.rejected.tsv").read_text().splitlines()
    assert rejected.startswith("22\t")
    assert "cut off" in rejected
    assert len(lines) - 1 + 1 == 22


@pytest.mark.parametrize("place", ["queries", "library", "folder"])
def test_names_never_take_the_place_of_what_they_come_from(queries, lib, tmp_path, place, capsys):
    output = {"queries": queries, "library": lib / "library.json", "folder": tmp_path}[place]
    before = queries.read_bytes(), (lib / "library.json").read_bytes()
    assert identify(queries, lib, output) == 2
    assert "\n" not in capsys.readouterr().err.strip()
    assert (queries.read_bytes(), (lib / "library.json").read_bytes()) == before
    assert [path.name for path in tmp_path.iterdir()] == ["queries.fasta"]


def test_a_second_index_of_one_library_is_refused(reference, tmp_path, capsys):
    command = ["index", str(reference[0]), "--taxonomy", str(reference[1]), "-m", "kmer:4"]
    with held(tmp_path / "lib"):
        assert cli.main([*command, "-o", str(tmp_path / "lib")]) == 2
    assert "is being written by another run" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_references_are_never_replaced_by_the_library(reference, capsys):
    command = ["index", str(reference[0]), "--taxonomy", str(reference[1]), "-m", "kmer:4"]
    assert cli.main([*command, "-o", str(reference[0].parent), "--overwrite"]) == 2
    assert "holds the input" in capsys.readouterr().err
    assert reference[0].exists()


@pytest.mark.parametrize("output_format", ["tsv", "jsonl", "sintax", "qiime2", "phyloseq", "dwc"])
def test_control_characters_in_an_id_leave_one_row_a_record(lib, lineages, tmp_path, output_format):
    path, output = tmp_path / "q.fasta", tmp_path / "out.txt"
    ids = ["a\x0bb", "c\x85d", "e\u2028f", "g\x1ch"]
    letters = lineages[0][1]
    path.write_text("".join(f">{name}\n{letters}\n" for name in ids), encoding="utf-8")
    assert identify(path, lib, output, "--format", output_format) == 0
    text = output.read_text(encoding="utf-8")
    rows = text.splitlines()[-len(ids) :]
    assert len(text.splitlines()) == len(ids) + (output_format not in ("jsonl", "sintax"))
    assert all(row.count("\t") == rows[0].count("\t") for row in rows)


def test_merged_shards_are_the_table_of_one_run(queries, lib, tmp_path, capsys):
    assert identify(queries, lib, tmp_path / "whole.tsv") == 0
    for number in (2, 3, 1):
        output = tmp_path / f"part{number}.tsv"
        assert identify(queries, lib, output, "--shard", f"{number}/3") == 0
    parts = sorted(map(str, tmp_path.glob("part*")))  # tables, notes and lists
    assert cli.main(["merge", *parts, "-o", str(tmp_path / "merged.tsv")]) == 0
    for ending in (".tsv", ".rejected.tsv"):
        merged = (tmp_path / f"merged{ending}").read_bytes()
        assert merged == (tmp_path / f"whole{ending}").read_bytes()
    assert "26 records of 3 shards" in capsys.readouterr().err


def test_a_shard_needs_a_file_and_a_format_of_lines(queries, lib, tmp_path, capsys):
    assert identify(queries, lib, "-", "--shard", "1/2") == 2
    assert "name a file with -o" in capsys.readouterr().err
    assert identify(queries, lib, tmp_path / "x", "--shard", "1/2", "--format", "biom") == 2
    assert "cannot be merged" in capsys.readouterr().err
