"""Rivals of `identify`: references as codes and as a tree, and every program on a tiny set."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from barcodemae.dataset import RANKS


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from rivals.bootstraps import read_dada2, read_rdp, with_support
from rivals.references import NOT_IN_REFERENCES, References, Tree
from rivals.roster import RIVALS
from rivals.this_project import from_tables


FAMILY, GENUS, SPECIES = (RANKS.index(rank) for rank in ("family", "genus", "species"))
PROGRAMS = {
    "SINTAX": "vsearch",
    "VSEARCH best hit": "vsearch",
    "MMseqs2 best hit": "mmseqs",
    "BLAST best hit": "blastn",
    "RDP": "rdp_classifier",
    "dada2": "Rscript",
}
LINEAGES = [  # family, genus, species
    ("Aidae", "Aa", "Aa alba"),
    ("Aidae", "Aa", "Aa nigra"),
    ("Bidae", "Ba", "Ba rubra"),
    ("Cidae", "Aa", "Aa flava"),  # a genus under a second family
    (None, "Da", "Da viridis"),
]


def table(sequences=None):
    generator = np.random.default_rng(0)
    texts = sequences or ["".join(generator.choice(list("ACGT"), 400)) for _ in LINEAGES]
    columns = {
        "phylum": ["Arthropoda"] * len(texts),
        "class": ["Insecta"] * len(texts),
        "order": ["Diptera"] * len(texts),
        "family": [family for family, _, _ in LINEAGES],
        "subfamily": [None] * len(texts),
        "genus": [genus for _, genus, _ in LINEAGES],
        "species": [species for _, _, species in LINEAGES],
    }
    texts_of = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    return pa.table({**texts_of, "dna_barcode": texts})


def test_names_become_codes_and_unknown_names_are_told_from_none():
    references = References.of(table())
    names = [[None, "", "Nobody", "Aa"] for _ in RANKS]
    codes = references.encode(names, missing=NOT_IN_REFERENCES)
    assert codes[:, GENUS].tolist() == [-1, -1, NOT_IN_REFERENCES, references.code_of[GENUS]["Aa"]]
    assert references.codes[:, RANKS.index("subfamily")].tolist() == [-1] * len(LINEAGES)


def test_a_genus_under_two_families_is_two_nodes_of_one_code():
    references = References.of(table())
    tree = Tree.of(references.codes)
    assert RANKS.index("subfamily") not in tree.ranks
    level = tree.ranks.index(GENUS)
    nodes = tree.paths[[0, 1, 3], level].tolist()
    assert nodes[0] == nodes[1] != nodes[2]
    assert {tree.place(f"n{node}") for node in nodes} == {(GENUS, references.code_of[GENUS]["Aa"])}


def test_a_missing_name_is_a_node_without_a_code():
    tree = Tree.of(References.of(table()).codes)
    node = tree.paths[4, tree.ranks.index(FAMILY)]
    assert tree.place(f"n{node}") == (FAMILY, -1)


def test_support_is_read_from_the_tables_of_rdp_and_dada2():
    line = "1\t\troot\trootrank\t1.0\tn3\torder\t0.9\tn12\tfamily\t0.45\n"
    assert list(read_rdp(line)) == [(1, "n3", 0.9), (1, "n12", 0.45)]
    assert list(read_dada2("1\tn3\t90\n0\tn4\t100\n")) == [(1, "n3", 0.9), (0, "n4", 1.0)]


def test_support_becomes_confidence_and_what_it_lacks_novelty():
    references = References.of(table())
    tree = Tree.of(references.codes)
    node = tree.paths[2, tree.ranks.index(SPECIES)]
    found = with_support([(1, f"n{node}", 0.75)], tree, 2)
    assert found.names[:, SPECIES].tolist() == [-1, references.codes[2, SPECIES]]
    assert found.confidence[1, SPECIES] == 0.75
    assert found.novelty[:, 0].tolist() == [1.0, 0.25]
    assert not found.is_assigned.any()


@pytest.mark.slow
@pytest.mark.parametrize("name", RIVALS)
def test_every_program_finds_the_species_of_a_changed_reference(name):
    if shutil.which(PROGRAMS[name]) is None:
        pytest.skip(f"{PROGRAMS[name]} is not on PATH")
    references = References.of(table())
    queries = [text[:200] + "A" + text[201:] for text in reversed(references.sequences)]
    found = RIVALS[name].identify(references, queries, 1)
    assert found.names[:, SPECIES].tolist() == references.codes[::-1, SPECIES].tolist()
    assert found.names[:, GENUS].tolist() == references.codes[::-1, GENUS].tolist()
    assert found.novelty.shape == (len(queries), 3)


def row(**names):
    cells = {rank: names.get(rank, "unassigned") for rank in RANKS}
    probabilities = {f"{rank}_probability": "0.5" for rank in RANKS}
    return cells | probabilities | {"new_species_probability": "0.9"}


def test_the_table_of_the_command_line_is_read_as_strangers_read_it():
    references = References.of(table())
    default = {0: row(genus="Aa", family="")}
    below = {0: row(genus="Aa", family="", species="Aa alba")}
    found = from_tables(default, below, references, 2)
    assert (
        found.names[0, [GENUS, SPECIES]].tolist() == references.codes[0, [GENUS, SPECIES]].tolist()
    )
    assert found.is_assigned[0].nonzero()[0].tolist() == [GENUS]
    assert found.novelty[0].tolist() == [0.9, 0.5, 0.5]


def test_a_rejected_record_has_no_name():
    found = from_tables({}, {}, References.of(table()), 1)
    assert not found.is_assigned.any()
    assert found.names.tolist() == [[-1] * len(RANKS)]
    assert found.novelty.tolist() == [[1.0, 1.0, 1.0]]
