"""Folders whose tokenizer has a frame are published with its code, and say that it is needed."""

import re
import shutil

import pytest

from barcodemae.cli import main
from barcodemae.errors import CheckpointError
from barcodemae.model_cards.model_folder import TOKENIZER_CODE, ModelFolder
from barcodemae.tokenization.tokenization_barcodemae import HUB_FILES


FULL, NATIVE = "lab/framed", "lab/framed-encoder"


@pytest.fixture
def framed(framed_folder, tmp_path):
    """A framed folder with its two cards."""
    folder = tmp_path / "model"
    shutil.copytree(framed_folder, folder)
    assert main(["card", str(folder), "--repo-id", FULL, "--native", NATIVE]) == 0
    return folder


def python_blocks(folder):
    card = (folder / "README.md").read_text()
    return re.findall(r"^```python\n(.*?)^```$", card, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("part", [".", "encoder"])
def test_framed_folders_can_be_published_with_their_code_but_not_without(framed, part):
    folder = ModelFolder(framed / part)
    assert folder.has_frame
    folder.check_publishable()
    sent = {file.name for file in folder.files()}
    assert set(TOKENIZER_CODE) == set(HUB_FILES)
    assert set(HUB_FILES) <= sent
    (framed / part / "barcode_frame.py").unlink()
    with pytest.raises(CheckpointError, match=r"barcode_frame\.py missing"):
        folder.check_publishable()


def test_a_push_lists_the_code_of_both_repositories(framed, capsys):
    options = ["--native", NATIVE, "--dry-run"]
    assert main(["push", str(framed), FULL, *options]) == 0
    listed = "".join(capsys.readouterr())
    assert listed.count("barcode_frame.py") == 2
    assert listed.count("\ttokenizer.json\t") == 2


def test_a_folder_without_a_frame_has_its_tokenizer_as_data(carded):
    for folder in (ModelFolder(carded), ModelFolder(carded / "encoder")):
        assert not folder.has_frame
        folder.check_publishable()
    native = ModelFolder(carded / "encoder")
    shutil.copy(carded / "barcode_frame.py", native.path)
    with pytest.raises(CheckpointError, match=r"barcode_frame\.py: does not belong"):
        native.check_publishable()
    (native.path / "barcode_frame.py").unlink()
    (native.path / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json missing"):
        native.check_publishable()


def test_the_cards_say_that_the_code_is_needed(framed):
    for folder in (framed, framed / "encoder"):
        card = (folder / "README.md").read_text()
        assert "without custom code" not in card
        assert "trust_remote_code=True" in card
        assert "placed where its letters fit" in card
    assert "send it framed text" in card
    opening = re.compile(r"(from_pretrained|SentenceTransformer|pipeline)\(")
    for block in python_blocks(framed) + python_blocks(framed / "encoder"):
        for line in block.splitlines():
            if opening.search(line):
                assert "trust_remote_code" in line or "**trusted" in line


def test_the_code_of_the_native_card_runs(framed_folder, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(framed_folder, folder)
    options = ["--repo-id", str(folder), "--native", str(folder / "encoder")]
    assert main(["card", str(folder), *options]) == 0
    names = {}
    blocks = python_blocks(folder / "encoder")
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert len(blocks) == 3
    assert max(sum(bool(line.strip()) for line in block.splitlines()) for block in blocks) <= 8
    assert names["embeddings"].shape == (2, 32)
    assert abs(names["embeddings"][0].detach().numpy() - names["vectors"][0]).max() < 1e-5
