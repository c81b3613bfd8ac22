"""Names with bootstrap support: SINTAX, the RDP classifier, dada2's assignTaxonomy.

All three draw random k-mers of a query a hundred times; the share of draws that end in a taxon is
its support. They are run without a cut-off, so one run serves every threshold.
In: references, queries. Out: `Predictions` with the support as confidence.
Guarded by tests/benchmarks/test_rivals.py.

Shapes: Q = queries, T = ranks.
"""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from barcodemae.dataset import RANKS
from barcodemae.eval.identify.by_alignment import identify_by_sintax
from barcodemae.eval.identify.judge.ladder import UNKNOWN
from barcodemae.eval.identify.scores import NOVELTY_RANKS, Predictions
from barcodemae.eval.search.programs import Vsearch, find_program, run_program, write_fasta
from rivals.references import References, Tree


RDP_JAR = Path("/usr/share/java/rdp_classifier.jar")
RDP_MEMORY = "-Xmx6g"  # it holds 65,536 words x 6,444 species; the package's script stops at 512 MB
RDP_TRAINING = "edu.msu.cme.rdp.classifier.train.ClassifierTraineeMaker"
RDP_PROPERTIES = """bergeyTree=bergeyTrainingTree.xml
probabilityList=genus_wordConditionalProbList.txt
probabilityIndex=wordConditionalProbIndexArr.txt
wordPrior=logWordPrior.txt
classifierVersion=trained on references of a benchmark
"""
DADA2_SCRIPT = Path(__file__).with_name("assign_taxonomy.R")
Support = tuple[int, str, float]  # row of the query, node of the tree, support


def with_support(found: Iterable[Support], tree: Tree, num_queries: int) -> Predictions:
    """Collect nodes with their support; no name is assigned yet.

    Args:
        found: Row of the query, node, support from 0 to 1.
        tree: Tree that the nodes belong to.
        num_queries: Number of queries, Q.
    """
    shape = (num_queries, len(RANKS))
    names, confidence = np.full(shape, UNKNOWN, np.int64), np.zeros(shape)
    for query, node, support in found:
        rank, code = tree.place(node)
        names[query, rank], confidence[query, rank] = code, support
    return Predictions(names, np.zeros(shape, bool), confidence, novelty_of(confidence))


def novelty_of(confidence: np.ndarray) -> np.ndarray:
    """Take for novelty what is missing of the confidence at species, genus and family, (Q, 3)."""
    return 1 - confidence[:, [RANKS.index(rank) for rank in NOVELTY_RANKS]]


def sintax(references: References, queries: Sequence[str], threads: int) -> Predictions:
    """Name queries by `vsearch --sintax`."""
    program = Vsearch(threads)
    found = identify_by_sintax(program, references.sequences, references.codes, queries)
    return Predictions(
        found.names, found.is_assigned, found.confidence, novelty_of(found.confidence)
    )


def write_lineages(path: Path, references: References, tree: Tree, separator: str) -> None:
    """Write references as FASTA with their nodes in the header.

    Args:
        path: File to write.
        references: References.
        tree: Tree of their lineages.
        separator: `{row}` and `{nodes}` in the form that the program wants.
    """
    with path.open("w") as stream:
        for row, text in enumerate(references.sequences):
            header = separator.format(row=row, nodes=tree.lineage(row))
            stream.write(f">{header}\n{text}\n")


def rdp(references: References, queries: Sequence[str], threads: int) -> Predictions:
    """Name queries by the RDP classifier, trained on the references; it has one thread."""
    del threads
    java = find_program("java", "rdp-classifier")
    find_program("rdp_classifier", "rdp-classifier")
    tree = Tree.of(references.codes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_lineages(folder / "references.fa", references, tree, "{row}\troot;{nodes}")
        with (folder / "taxa.txt").open("w") as stream:
            for node, (parent, level) in enumerate(zip(tree.parents, tree.levels, strict=True)):
                rank = RANKS[tree.ranks[level - 1]] if level else "rootrank"
                stream.write(f"{node}*{f'n{node}' if node else 'root'}*{parent}*{level}*{rank}\n")
        write_fasta(folder / "queries.fa", queries)
        (folder / "trained.properties").write_text(RDP_PROPERTIES)
        training = [
            *(java, RDP_MEMORY, "-cp", str(RDP_JAR), RDP_TRAINING),
            *("-o", ".", "-s", "references.fa", "-t", "taxa.txt", "-n", "1", "-v", "1"),
        ]
        run_program(training, folder)
        naming = [
            *(java, RDP_MEMORY, "-jar", str(RDP_JAR), "-t", "trained.properties"),
            *("-f", "allrank", "-o", "names.tsv", "queries.fa"),
        ]
        run_program(naming, folder)
        return with_support(read_rdp((folder / "names.tsv").read_text()), tree, len(queries))


def read_rdp(text: str) -> Iterable[Support]:
    """Read the classifier's table: id, strand, then name, rank and support of every level."""
    for line in text.splitlines():
        query, _, *cells = line.split("\t")
        for node, _, support in zip(cells[::3], cells[1::3], cells[2::3], strict=True):
            if node != "root":
                yield int(query), node, float(support)


def dada2(references: References, queries: Sequence[str], threads: int) -> Predictions:
    """Name queries by dada2's assignTaxonomy."""
    rscript = find_program("Rscript", "r-bioc-dada2")
    tree = Tree.of(references.codes)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_lineages(folder / "references.fa", references, tree, "{nodes};")
        write_fasta(folder / "queries.fa", queries)
        files = ("references.fa", "queries.fa", "names.tsv")
        levels = str(len(tree.ranks))
        run_program([rscript, str(DADA2_SCRIPT), *files, levels, str(threads)], folder)
        return with_support(read_dada2((folder / "names.tsv").read_text()), tree, len(queries))


def read_dada2(text: str) -> Iterable[Support]:
    """Read the script's table: row of the query, node, support in percent."""
    for line in text.splitlines():
        query, node, support = line.split("\t")
        yield int(query), node, float(support) / 100
