"""The house keeps its own rules: who may import whom, no circles, no halls, no dead pointers.

Imports are read from the syntax tree, so those inside a function or under `TYPE_CHECKING` count
like any other. CONTRIBUTING.md states the same table in words.
"""

import ast
import re
import sys
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
FRONT_DOOR = "barcodemae"
FOLDERS = {  # room -> folder; the file X/y.py is imported as barcodemae.X.y
    "modeling_barcodemae": "modeling_barcodemae",
    "tokenization": "tokenization",
    "training": "training",
    "eval": "eval",
    "model_cards": "model_cards",
    FRONT_DOOR: "src/barcodemae",
}
# Modules of the front door that every room may use; they use no room themselves.
BASICS = {
    "conventions",
    "cpu_memory",
    "dataset",
    "default_model",
    "errors",
    "exit_codes",
    "fasta",
    "files",
    "kmer_facts",
    "model_files",
    "output",
    "path_kinds",
    "plain_text",
    "stored",
    "unpacking",
}
# What a room may import beside itself and the basics; "" stands for the public names, which are
# what `import barcodemae` gives.
MAY_IMPORT = {
    "modeling_barcodemae": set(),
    "tokenization": set(),
    "training": {"", "modeling_barcodemae", "tokenization"},
    "eval": {""},
    "model_cards": {"", "eval.report"},
    "basics": {""},
}
HUB_ROOMS = {"modeling_barcodemae", "tokenization"}
HUB_LIBRARIES = {"huggingface_hub", "numpy", "safetensors", "tokenizers", "torch", "transformers"}
MOST_MODULES = 15
POINTER = re.compile(r"\btests/[\w/]+(?:\.py\b|(?<=/)(?!\w))")  # a test, or a folder of them
BESIDE = re.compile(r"(?<![\w/.])test_\w+\.py\b")  # a second test of the same folder


def modules_of(root):
    """Dotted name below `barcodemae` -> file, for every module of every room."""
    found = {}
    for room, folder in FOLDERS.items():
        for file in sorted((root / folder).rglob("*.py")):
            parts = [] if room == FRONT_DOOR else [room]
            parts += file.relative_to(root / folder).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = file
    return found


def imports_of(name, file, modules):
    """Return (modules of ours, libraries) that a file imports, anywhere in it."""
    ours, libraries = set(), set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            targets = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = [(absolute(name, file, node), alias.name) for alias in node.names]
        else:
            continue
        for module, member in targets:
            package, _, inner = module.partition(".")
            if package != FRONT_DOOR:
                libraries.add(package)
            else:
                full = f"{inner}.{member}".lstrip(".") if member else inner
                ours.add(full if full in modules else inner)
    return ours, libraries


def absolute(name, file, node):
    """Write out the module of a `from ... import`, relative or not."""
    if not node.level:
        return node.module
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    package = package[: len(package) - (node.level - 1)]
    return ".".join([FRONT_DOOR, *package, *([node.module] if node.module else [])])


def room_of(name):
    """Name the room of a module: a folder's, `basics`, or the front door, which may all."""
    first = name.split(".")[0]
    if first in FOLDERS and first != FRONT_DOOR:
        return first
    return "basics" if first in BASICS else FRONT_DOOR


def is_allowed(importer, imported):
    """Whether one of our modules may import another."""
    room, target = room_of(importer), room_of(imported)
    if room in (FRONT_DOOR, target):
        return True
    if target == "basics":
        return room not in HUB_ROOMS
    return any(
        imported == allowed or (allowed and imported.startswith(f"{allowed}."))
        for allowed in MAY_IMPORT[room]
    )


def wrong_imports(root):
    """Every import that the table forbids, as (importer, imported)."""
    modules = modules_of(root)
    wrong = set()
    for name, file in modules.items():
        ours, libraries = imports_of(name, file, modules)
        wrong |= {(name, other) for other in ours if not is_allowed(name, other)}
        if room_of(name) in HUB_ROOMS:
            known = HUB_LIBRARIES | set(sys.stdlib_module_names)
            wrong |= {(name, library) for library in libraries - known}
    return wrong


def circles(root):
    """Modules that import each other, directly or through others."""
    modules = modules_of(root)
    # The front door's __init__ names everything for type checkers, and is no part of a circle.
    ahead = {
        name: imports_of(name, file, modules)[0] & (modules.keys() - {"", name})
        for name, file in modules.items()
        if name
    }
    while leaves := {name for name, others in ahead.items() if not others & ahead.keys()}:
        ahead = {name: others for name, others in ahead.items() if name not in leaves}
    return set(ahead)


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of all rooms, in which something can be planted."""
    root = tmp_path_factory.mktemp("rooms")
    for folder in FOLDERS.values():
        for file in (ROOT / folder).rglob("*.py"):
            copy = root / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(file.read_text())
    return root


def test_no_room_imports_what_the_table_forbids():
    assert wrong_imports(ROOT) == set()


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("eval/search/nearest.py", "from barcodemae.training.batches import kmers"),
        ("eval/search/nearest.py", "from barcodemae.tokenization import BarcodeKmerTokenizer"),
        ("eval/identify/forks.py", "import barcodemae.cli"),
        ("training/data/cleaning.py", "from barcodemae.eval.embed.screening import clean"),
        ("training/run/command_line.py", "from barcodemae.cli import app"),
        ("model_cards/push.py", "from barcodemae.eval.probe import probing"),
        ("tokenization/barcode_frame.py", "import scipy"),
        ("tokenization/barcode_frame.py", "from barcodemae import errors"),
        ("modeling_barcodemae/handler.py", "from barcodemae.dataset import RANKS"),
        ("src/barcodemae/errors.py", "from barcodemae.eval import embed"),
    ],
)
def test_a_planted_wrong_import_is_found_even_inside_a_function(copied, place, line):
    file = copied / place
    before = file.read_text()
    file.write_text(f"{before}\n\ndef planted():\n    {line}\n")
    try:
        assert len(wrong_imports(copied)) == 1
    finally:
        file.write_text(before)


def test_no_modules_import_each_other_in_a_circle():
    assert circles(ROOT) == set()


def test_a_planted_circle_is_found(tmp_path):
    for name, other in (("first", "second"), ("second", "third"), ("third", "first")):
        (tmp_path / "eval").mkdir(exist_ok=True)
        text = f"def late():\n    from barcodemae.eval import {other}\n"
        (tmp_path / "eval" / f"{name}.py").write_text(text)
    (tmp_path / "eval" / "leaf.py").write_text("from barcodemae.eval import first\n")
    assert {"eval.first", "eval.second", "eval.third"} <= circles(tmp_path)


def test_no_folder_directly_holds_more_than_fifteen_modules():
    folders = {file.parent for file in modules_of(ROOT).values()}
    counts = {
        folder.relative_to(ROOT).as_posix(): sum(
            file.name != "__init__.py" for file in folder.glob("*.py")
        )
        for folder in folders
    }
    assert {folder: count for folder, count in counts.items() if count > MOST_MODULES} == {}


def guards_of(file):
    """Tests that the docstring of a module points to, as paths below the project's root."""
    text = " ".join((ast.get_docstring(ast.parse(file.read_text())) or "").split())
    named = POINTER.findall(text)
    if named and named[0].endswith(".py"):
        folder = Path(named[0]).parent
        named += [(folder / other).as_posix() for other in BESIDE.findall(text)]
    return named


def test_every_pointer_to_a_test_leads_to_one():
    dead = {
        (file.relative_to(ROOT).as_posix(), test)
        for file in (*modules_of(ROOT).values(), *ROOT.glob("benchmarks/*.py"))
        for test in guards_of(file)
        if not (ROOT / test).exists()
    }
    assert dead == set()


def test_every_module_says_which_test_guards_it():
    silent = {
        file.relative_to(ROOT).as_posix()
        for file in modules_of(ROOT).values()
        if file.name != "__init__.py" and not guards_of(file)
    }
    assert silent == set()


def test_every_test_of_a_room_stands_in_the_folder_of_what_it_tests():
    folders = {Path(folder).name: ROOT / folder for folder in FOLDERS.values()}
    strays = {
        test.relative_to(ROOT).as_posix()
        for name, folder in folders.items()
        for test in (ROOT / "tests" / name).rglob("test_*.py")
        if not (folder / test.parent.relative_to(ROOT / "tests" / name)).is_dir()
    }
    assert strays == set()
