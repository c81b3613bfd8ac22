import stat
import tempfile
from pathlib import Path

import pytest

from barcodemae.errors import BarcodeMAEError
from barcodemae.eval.search.programs import Blastn, Vsearch, best_hits


def test_best_hit_is_the_highest_score_then_the_lowest_row():
    lines = "0\t7\t99.0\t9\n0\t3\t99.0\t8\n0\t1\t98.0\t7\n2\t*\t0.0\t0\n3\t5\t80\t6\n"
    assert best_hits(lines, 4) == [(3, 8.0), None, None, (5, 6.0)]


@pytest.mark.parametrize(("searcher", "package"), [(Vsearch, "vsearch"), (Blastn, "ncbi-blast+")])
def test_an_absent_program_is_named_with_its_package(monkeypatch, tmp_path, searcher, package):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BarcodeMAEError, match=f"package {package}".replace("+", r"\+")):
        searcher()


VSEARCH = """
    if [ "$1" = --version ]; then
        echo "vsearch v2.22.1_linux_x86_64, 23.5GB RAM, 2 cores" >&2
        echo "PeerJ 4:e2584 doi: 10.7717/peerj.2584"; exit
    fi
    queries=$2; database=$4
    case "$*" in *"--id 0.6 --maxaccepts 4 --maxrejects 32"*) ;; *) exit 1 ;; esac
    while [ "$1" != --userout ]; do shift; done
    grep -c '>' "$database" > /dev/null
    printf '1\\t2\\t97.5\\t97.5\\n0\\t1\\t88.0\\t88.0\\n' > "$2"
    grep -q '^ACGT$' "$queries"
"""
MAKEBLASTDB = 'while [ "$1" != -in ]; do shift; done; cp "$2" "$2.nsq"'
# Like the real one, it takes a blank in `-db` for the end of the name.
BLASTN = """
    if [ "$1" = -version ]; then echo "blastn: 2.12.0+"; exit; fi
    while [ $# -gt 0 ]; do case "$1" in
        -db) database=$2 ;; -query) queries=$2 ;; -outfmt) columns=$2 ;;
    esac; shift; done
    for name in $database; do grep -q '^GT$' "$name.nsq" || exit 1; done
    grep -q '^ACGT$' "$queries" || exit 1
    [ "$columns" = "6 qseqid sseqid bitscore pident" ] || exit 1
    printf '1\\t2\\t97.5\\t97.5\\n0\\t1\\t88.0\\t88.0\\n'
"""


@pytest.fixture
def install(monkeypatch, tmp_path):
    """Put programs on PATH, with blanks in the names of their folder and of the temporary one."""
    programs, temporary = tmp_path / "my programs", tmp_path / "my  temporary files"
    programs.mkdir()
    temporary.mkdir()
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))

    def install(name, script):
        path = programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return install


def test_vsearch_gets_the_options_of_a_global_search(install):
    install("vsearch", VSEARCH)
    program = Vsearch()
    assert program.fingerprint == "vsearch 2.22.1"
    assert program.search(["AC", "GT", "TT"], ["--acgt", "GG", "CC"]) == [1, 2, None]


def test_blastn_reads_the_database_that_was_made_for_it(install):
    install("makeblastdb", MAKEBLASTDB)
    install("blastn", BLASTN)
    program = Blastn()
    assert program.search(["AC", "GT", "TT"], ["--acgt", "GG", "CC"]) == [1, 2, None]


def test_a_program_in_a_folder_named_relative_to_this_one_is_found(monkeypatch, install):
    install("vsearch", VSEARCH)
    monkeypatch.chdir(Path(tempfile.gettempdir()).parent)
    monkeypatch.setenv("PATH", "my programs:/usr/bin:/bin")
    assert Vsearch().search(["AC", "GT"], ["ACGT"]) == [1]


@pytest.mark.parametrize(
    ("program", "settings"),
    [
        (Vsearch, "--id 0.6 --maxaccepts 4 --maxrejects 32 --maxhits 4 --strand plus"),
        (Blastn, "-task megablast -strand plus -evalue 1e-5 -max_target_seqs 10 -max_hsps 1"),
    ],
)
def test_records_name_the_settings_as_on_a_command_line(program, settings):
    assert program.settings == settings


def test_a_program_that_fails_says_why(install):
    install("blastn", 'echo "blastn: 2.12.0+"')
    install("makeblastdb", "echo first >&2; echo 'Error: disk is full' >&2; exit 3")
    program = Blastn()
    assert program.fingerprint == "blastn 2.12.0"
    with pytest.raises(BarcodeMAEError, match="makeblastdb failed: Error: disk is full"):
        program.search(["ACGT"], ["ACGT"])
