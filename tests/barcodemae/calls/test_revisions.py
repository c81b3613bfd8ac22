import csv
import json

import pytest

from barcodemae import cli
from barcodemae.calls.revisions import ids_in, told_of_calibration
from barcodemae.eval.identify.reference.distilling import DISTILL
from barcodemae.eval.identify.reference.library import ReferenceLibrary
from barcodemae.eval.identify.reference.revising import KEPT_CALIBRATION, NEW_CALIBRATION
from barcodemae.stored.manifest import check_manifest


@pytest.fixture(scope="module")
def parts(tmp_path_factory, lineages):
    """FASTA and taxonomy of most references, then of the others."""
    folder = tmp_path_factory.mktemp("parts")
    files = []
    for name, rows in (("first", lineages[:80]), ("more", lineages[80:])):
        fasta, taxonomy = folder / f"{name}.fasta", folder / f"{name}.tsv"
        fasta.write_text("".join(f">{name}\n{text}\n" for name, text, _ in rows))
        lines = "".join(f"{name}\t{lineage}\n" for name, _, lineage in lineages)
        taxonomy.write_text(f"Feature ID\tTaxon\n{lines}")
        files.append((fasta, taxonomy))
    return files


def index(*arguments):
    return cli.main(["index", *map(str, arguments), "-m", "kmer:4"])


@pytest.fixture(scope="module")
def old(tmp_path_factory, parts):
    """A library of most references."""
    output = tmp_path_factory.mktemp("old") / "lib"
    fasta, taxonomy = parts[0]
    assert index(fasta, "--taxonomy", taxonomy, "-o", output) == 0
    return output


def test_a_library_grows_and_says_where_its_calibration_is_from(old, parts, tmp_path, capsys):
    fasta, taxonomy = parts[1]
    output = tmp_path / "new"
    assert index(old, "--add", fasta, "--taxonomy", taxonomy, "-o", output) == 0
    said = capsys.readouterr()
    assert said.out == f"{output}\n"
    assert "16 added, 0 retired, 80 kept" in said.err
    assert "calibration of the parent, fitted with 80 references" in said.err
    new = ReferenceLibrary(output)
    assert len(new) == 96
    assert f"version {new.fingerprint()}, parent {ReferenceLibrary(old).fingerprint()}" in said.err
    assert index(output, "--check") == 0


def test_references_are_retired_by_a_file_of_ids_without_the_model(old, tmp_path, capsys):
    ids = tmp_path / "ids.txt"
    ids.write_text("R000\nR111\twhy\n\n")
    output = tmp_path / "new"
    assert cli.main(["index", str(old), "--remove", str(ids), "-o", str(output)]) == 0
    assert "0 added, 2 retired, 78 kept" in capsys.readouterr().err
    new = ReferenceLibrary(output)
    assert not {"R000", "R111"} & {new.ids[row] for row in range(len(new))}


def test_a_library_is_calibrated_again_if_asked(old, tmp_path, capsys):
    output = tmp_path / "new"
    assert index(old, "--remove", "R000,R111", "--recalibrate", "-o", output) == 0
    assert "calibration fitted again" in capsys.readouterr().err
    details = json.loads((output / "calibration.json").read_text())["details"]
    assert details["held_out"] == "references, left out"


def test_a_library_is_distilled(old, tmp_path, capsys):
    output = tmp_path / "new"
    assert index(old, "--distill", "--cover", "0.9", "-o", output) == 0
    said = capsys.readouterr().err
    new = ReferenceLibrary(output)
    assert f"0 added, {80 - len(new)} retired, {len(new)} kept" in said
    assert 20 <= len(new) < 80
    assert new.description["taxa"] == ReferenceLibrary(old).description["taxa"]
    assert new.description["revisions"][-1]["share"] == 0.9


def test_a_distilled_library_that_is_calibrated_again_is_said_to_name_less():
    kept, again = (
        told_of_calibration(calibration, DISTILL, 1200)
        for calibration in (KEPT_CALIBRATION, NEW_CALIBRATION)
    )
    assert kept.endswith("fitted with 1,200 references, which a distilled library keeps")
    assert "fewer species will be named" in again
    assert told_of_calibration(KEPT_CALIBRATION, "add", 9).endswith("--recalibrate fits it again")


def test_distilling_is_a_step_of_its_own(old, tmp_path, capsys):
    assert index(old, "--distill", "--remove", "R000", "-o", tmp_path / "new") == 2
    assert "--distill is a step of its own" in capsys.readouterr().err


def test_a_reference_that_is_there_already_is_refused_in_one_line(old, parts, tmp_path, capsys):
    fasta, taxonomy = parts[0]
    output = tmp_path / "new"
    assert index(old, "--add", fasta, "--taxonomy", taxonomy, "-o", output) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "first: 80 of its records are in" in said
    assert "`barcodemae index --remove`" in said
    assert list(tmp_path.iterdir()) == []


def test_another_model_is_refused(old, parts, tmp_path, capsys):
    fasta, taxonomy = parts[1]
    command = ["index", old, "--add", fasta, "--taxonomy", taxonomy, "-o", tmp_path / "new"]
    assert cli.main([*map(str, command), "-m", "kmer:3"]) == 2
    assert "indexed with kmer:4" in capsys.readouterr().err


def test_an_interrupted_revision_leaves_the_old_library_and_nothing_else(
    old, tmp_path, monkeypatch
):
    def fail(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("barcodemae.eval.identify.reference.revising.write_manifest", fail)
    index(old, "--remove", "R000", "-o", tmp_path / "new")
    assert list(tmp_path.iterdir()) == []
    check_manifest(old, everything=True)


def test_a_library_is_never_replaced_by_its_own_revision(old, capsys):
    assert index(old, "--remove", "R000", "-o", old, "--overwrite") == 2
    assert "is the input itself" in capsys.readouterr().err
    check_manifest(old, everything=True)


def test_a_changed_library_keeps_its_format_of_vectors(old, tmp_path, capsys):
    assert index(old, "--remove", "R000", "--vectors", "int8", "-o", tmp_path / "new") == 2
    assert "a changed one keeps its format" in capsys.readouterr().err


def test_one_library_is_changed_at_a_time(old, tmp_path, capsys):
    assert index(old, old, "--remove", "R000", "-o", tmp_path / "new") == 2
    assert "one library is changed at a time" in capsys.readouterr().err


def test_calibrating_again_is_of_a_library_that_changes(parts, tmp_path, capsys):
    fasta, taxonomy = parts[0]
    command = [fasta, "--taxonomy", taxonomy, "--recalibrate", "-o", tmp_path / "new"]
    assert index(*command) == 2
    assert "--recalibrate goes with --add" in capsys.readouterr().err


def test_ids_stand_between_commas_or_in_a_file(tmp_path):
    path = tmp_path / "ids.txt"
    path.write_text("a b\tx\n\nc,d\n")
    assert ids_in("a, b,,c") == ["a", "b", "c"]
    assert ids_in(str(path)) == ["a b", "c,d"]


FINDINGS = "id\tkind\tscore\tevidence\nR012\twrong_genus\t0.97\tfar from its own\n"


def test_the_findings_of_an_audit_are_kept_and_told_by_identify(old, parts, tmp_path, capsys):
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "flagged.tsv").write_text(FINDINGS)
    output, names = tmp_path / "new", tmp_path / "names.tsv"
    assert index(old, "--findings", tmp_path / "report", "-o", output) == 0
    assert "references: 1 doubted, which `identify` flags" in capsys.readouterr().err
    asked = ["identify", str(parts[0][0]), "-r", str(output), "-m", "kmer:4", "-o", str(names)]
    assert cli.main([*asked, "--candidates", "2"]) == 0
    with names.open() as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    told = {row["id"] for row in rows if "reference_flagged" in row["flags"].split(",")}
    assert told == {row["id"] for row in rows if row["nearest_reference"] == "R012"} != set()
    with (tmp_path / "names.tsv.candidates.tsv").open() as stream:
        listed = list(csv.DictReader(stream, delimiter="\t"))
    assert {row["reference"] for row in listed if row["flagged"] == "wrong_genus"} == {"R012"}


@pytest.mark.parametrize("change", ["--remove", "--findings"])
def test_a_cluster_is_refused_for_a_change_that_would_not_use_it(old, tmp_path, capsys, change):
    (tmp_path / "flagged.tsv").write_text(FINDINGS)
    value = {"--remove": "R000", "--findings": tmp_path / "flagged.tsv"}[change]
    assert index(old, change, value, "--ray", "local", "-o", tmp_path / "new") == 2
    assert "--ray is for a new library" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_new_library_keeps_the_findings_of_an_audit_too(parts, tmp_path):
    (tmp_path / "flagged.tsv").write_text(FINDINGS)
    fasta, taxonomy = parts[0]
    arguments = (fasta, "--taxonomy", taxonomy, "--findings", tmp_path / "flagged.tsv")
    assert index(*arguments, "-o", tmp_path / "new") == 0
    new = ReferenceLibrary(tmp_path / "new")
    assert {new.ids[row]: kinds for row, kinds in new.doubts.items()} == {"R012": ["wrong_genus"]}


def test_findings_of_other_references_make_no_library(old, tmp_path, capsys):
    (tmp_path / "flagged.tsv").write_text(FINDINGS.replace("R012", "X"))
    assert index(old, "--findings", tmp_path / "flagged.tsv", "-o", tmp_path / "new") == 2
    assert "none of its 1 records is in the library" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_report_that_is_none_is_refused_before_anything_is_made(old, tmp_path, capsys):
    assert index(old, "--findings", tmp_path, "-o", tmp_path / "new") == 2
    assert "barcodemae audit" in capsys.readouterr().err
