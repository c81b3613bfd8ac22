import stat

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


def install(folder, name, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_vsearch_is_asked_for_global_hits_of_both_files(monkeypatch, tmp_path):
    script = """
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
    install(tmp_path, "vsearch", script)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program = Vsearch()
    assert program.fingerprint == "vsearch 2.22.1"
    assert "--id 0.6 --maxaccepts 4 --maxrejects 32" in program.settings
    assert program.search(["AC", "GT", "TT"], ["ac-gt", "GG", "CC"]) == [1, 2, None]


def test_a_program_that_fails_says_why(monkeypatch, tmp_path):
    install(tmp_path, "blastn", 'echo "blastn: 2.12.0+"')
    install(tmp_path, "makeblastdb", "echo first >&2; echo 'Error: disk is full' >&2; exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program = Blastn()
    assert program.fingerprint == "blastn 2.12.0"
    with pytest.raises(BarcodeMAEError, match="makeblastdb failed: Error: disk is full"):
        program.search(["ACGT"], ["ACGT"])
