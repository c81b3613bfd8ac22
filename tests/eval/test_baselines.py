import stat
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from barcodemae.errors import BarcodeMAEError, SettingsError
from barcodemae.eval.baselines import Blastn, KmerCounts, Vsearch, best_hits, load_kmer_counts


@pytest.mark.parametrize("k", [1, 3, 5])
def test_counts_equal_scikit_learns_character_ngrams(barcodes, k):
    sequences = [*barcodes, "ACGNNACGTACGTRAC", "acguu--acgt"]
    vocabulary = ["".join(letters) for letters in product("ACGT", repeat=k)]
    oracle = CountVectorizer(
        analyzer="char", ngram_range=(k, k), lowercase=False, vocabulary=vocabulary
    )
    clean = [*barcodes, "ACGNNACGTACGTRAC", "ACGTTACGT"]
    np.testing.assert_array_equal(KmerCounts(k).embed(sequences), oracle.transform(clean).toarray())


@given(st.text("ACGTNR", max_size=40), st.integers(1, 7))
def test_kmers_are_numbered_one_by_one_and_skipped_at_other_letters(text, k):
    text = text.rstrip("N")
    words = (text[start : start + k] for start in range(len(text) - k + 1))
    known = [word for word in words if set(word) <= set("ACGT")]
    numbers = [sum("ACGT".index(b) * 4**p for p, b in enumerate(word[::-1])) for word in known]
    assert KmerCounts(k).kmer_codes(text).tolist() == numbers


def test_a_sequence_without_kmers_counts_nothing_and_is_reported():
    counter = KmerCounts(3)
    assert counter.embed(["AC", "ACGT"]).sum(axis=1).tolist() == [0, 2]
    assert list(counter.find_invalid(["AC", "ACGT", "NNNN", "ANCNG"])) == [0, 2, 3]


def test_names_of_kmer_baselines():
    assert load_kmer_counts("model") is None
    assert load_kmer_counts("kmer:4").fingerprint == "kmer:4"
    for name in ("kmer:x", "kmer:0", "kmer:8", "kmer:"):
        with pytest.raises(SettingsError, match=name):
            load_kmer_counts(name)


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
