"""The Hub's files stand alone: in a bare checkout, and by what they import."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from transformers.dynamic_module_utils import get_relative_imports


ROOT = Path(__file__).parents[2]
HUB_FILES = {
    "modeling_barcodemae/configuration_barcodemae.py": set(),
    "modeling_barcodemae/pooling_barcodemae.py": set(),
    "modeling_barcodemae/site_embeddings_barcodemae.py": set(),
    "modeling_barcodemae/modeling_barcodemae.py": {
        "configuration_barcodemae",
        "fill_mask_barcodemae",
        "pipeline_barcodemae",
        "pooling_barcodemae",
        "site_embeddings_barcodemae",
    },
    "modeling_barcodemae/fill_mask_barcodemae.py": set(),
    "modeling_barcodemae/pipeline_barcodemae.py": {"pooling_barcodemae"},
    "tokenization/barcode_frame.py": set(),
    "tokenization/barcode_anchors.py": {"barcode_frame"},
    "tokenization/barcode_shifts.py": {"barcode_anchors", "barcode_frame"},
    "tokenization/barcode_indels.py": {"barcode_anchors", "barcode_frame", "barcode_shifts"},
    "tokenization/barcode_placement.py": {"barcode_anchors", "barcode_frame", "barcode_indels"},
    "tokenization/kmer_backend.py": {"barcode_frame"},
    "tokenization/barcode_reading.py": {
        "barcode_frame",
        "barcode_indels",
        "barcode_placement",
        "kmer_backend",
    },
    "tokenization/tokenization_barcodemae.py": {
        "barcode_anchors",
        "barcode_frame",
        "barcode_indels",
        "barcode_placement",
        "barcode_reading",
        "barcode_shifts",
        "kmer_backend",
    },
}
ALLOWED = {"numpy", "safetensors", "torch", "transformers", "tokenizers", "huggingface_hub"} | set(
    sys.stdlib_module_names
)

IN_A_BARE_CHECKOUT = """
import sys
sys.path.insert(0, sys.argv[1])
sys.modules["barcodemae"] = None  # any import of the installed package fails
from modeling_barcodemae import BarcodeMAEConfig, BarcodeMAEForPreTraining
from tokenization import BarcodeKmerTokenizer
import torch
sizes = dict(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
model = BarcodeMAEForPreTraining(BarcodeMAEConfig(k=3, **sizes))
batch = BarcodeKmerTokenizer(k=3)(["ACGTTT", "ACGTTTAAA"], return_tensors="pt")
labels = batch["input_ids"].clone()
batch["input_ids"][:, 0] = 0
assert torch.isfinite(model(**batch, labels=labels).loss)
print(type(model).__module__, BarcodeKmerTokenizer.__module__)
"""


def test_a_bare_checkout_needs_no_installation():
    finished = subprocess.run(
        [sys.executable, "-I", "-c", IN_A_BARE_CHECKOUT, str(ROOT)],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == [
        "modeling_barcodemae.modeling_barcodemae",
        "tokenization.tokenization_barcodemae",
    ]


def imported_packages(path):
    """Absolute top-level packages and relative modules that a file imports, anywhere in it."""
    absolute, relative = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            absolute |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            absolute.add(node.module.partition(".")[0])
        elif isinstance(node, ast.ImportFrom):
            relative.add("." * node.level + (node.module or ""))
    return absolute, relative


@pytest.mark.parametrize(("name", "neighbours"), HUB_FILES.items())
def test_hub_files_import_only_what_every_user_has(name, neighbours):
    absolute, relative = imported_packages(ROOT / name)
    assert absolute <= ALLOWED
    assert relative <= {f".{neighbour}" for neighbour in neighbours}
    # What transformers itself will find and copy: it reads the text, docstrings included. 4.57
    # does not look into what it found, so the tokenizer's text names the neighbours of neighbours.
    assert set(get_relative_imports(ROOT / name)) == neighbours


def test_rooms_of_hub_files_define_nothing_in_their_init_but_the_import_of_names():
    for room in ("modeling_barcodemae", "tokenization"):
        tree = ast.parse((ROOT / room / "__init__.py").read_text())
        defined = [
            node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef | ast.FunctionDef)
        ]
        assert set(defined) <= {"__getattr__"}
