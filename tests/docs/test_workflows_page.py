"""The R of the page on other programs runs on what the package writes."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from barcodemae.eval.identify.exchange.biom import biom_document
from barcodemae.eval.identify.findings import Identification, Placed
from barcodemae.eval.identify.formats import FORMATS
from barcodemae.eval.identify.judge.ladder import LADDER


PAGE = (Path(__file__).parents[2] / "docs/workflows.md").read_text()
BLOCKS = re.findall(r"^```r\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
FOUND = Identification(
    id="asv1;size=3",
    names=["Arthropoda", "Insecta", "Diptera", "Culicidae", None, "Aedes", "Aedes aegypti"],
    probabilities=[0.99, 0.99, 0.99, 0.99, float("nan"), 0.9, 0.4],
    depth=6,
    novelty=dict.fromkeys(LADDER, 0.1),
    nearest="R'1#",  # quotes and comment signs are letters of an id
    similarity=0.9,
    agreement=0.9,
    identity=0.98,
    coverage=1.0,
    placed=Placed(
        is_barcode=True,
        evidence=0.9,
        strand="+",
        length=650,
        unknown=0.0,
        num_before=0,
        num_after=0,
        num_gained=0,
        num_lost=0,
        has_stop=False,
        is_short=False,
    ),
    bin=None,
    bin_agreement=None,
    candidates=[],
    excluded=None,
    flags=[],
)


def r_has(package):
    if shutil.which("Rscript") is None:
        return False
    code = f"quit(status = !requireNamespace('{package}', quietly = TRUE))"
    return subprocess.run(["Rscript", "-e", code], capture_output=True, check=False).returncode == 0


@pytest.fixture
def written(tmp_path):
    found = [FOUND, replace(FOUND, id="asv'2#;size=4", depth=0)]
    form, lines = FORMATS["phyloseq"], [FORMATS["biom"].line(one) for one in found]
    (tmp_path / "taxonomy.tsv").write_text(form.header + "".join(map(form.line, found)))
    (tmp_path / "table.biom").write_text("".join(biom_document(lambda: iter(lines))))
    return tmp_path


def run_r(code, folder):
    done = subprocess.run(
        ["Rscript", "-e", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not r_has("phyloseq"), reason="phyloseq is not installed")
def test_phyloseq_reads_names_and_tables(written):
    first, second = BLOCKS
    shown = run_r(
        first + "print(taxonomy['asv1;size=3', 'Genus'])\nprint(ntaxa(taxonomy))", written
    )
    assert "Aedes" in shown
    assert shown.split()[-1] == "2"
    shown = run_r(second + "print(sum(otu_table(table)))\nprint(tax_table(table))", written)
    assert "7" in shown
    assert "Aedes" in shown


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_plain_r_reads_the_names(written):
    (line,) = (line for line in BLOCKS[0].splitlines() if "read.delim" in line)
    shown = run_r(line + "\nprint(dim(names))\nprint(sum(is.na(names)))", written)
    assert shown.split()[1:3] == ["2", "6"]
    assert shown.split()[-1] == "7"  # a species, and a whole row
