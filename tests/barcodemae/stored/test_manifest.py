import json

import pytest

from barcodemae.errors import DataError
from barcodemae.stored import manifest
from barcodemae.stored.manifest import MANIFEST, check_manifest, write_manifest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of a small and a large file, with its manifest."""
    monkeypatch.setattr(manifest, "SMALL_BYTES", 1000)
    monkeypatch.setattr(manifest, "BLOCK_BYTES", 10)
    (tmp_path / "below").mkdir()
    (tmp_path / "small").write_bytes(b"small")
    (tmp_path / "below" / "large").write_bytes(bytes(range(250)) * 40)
    write_manifest(tmp_path)
    return tmp_path


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("everything", [False, True])
def test_what_was_written_passes_and_is_listed(folder, everything):
    (folder / "notes.txt").write_text("mine")
    assert check_manifest(folder, everything=everything) == ["below/large", "small"]


@pytest.mark.parametrize("place", [0, 2, 4])
def test_every_byte_of_a_small_file_counts(folder, place):
    flip(folder / "small", place)
    with pytest.raises(DataError, match="small is not what was written"):
        check_manifest(folder, everything=False)


@pytest.mark.parametrize("place", [0, 9, 9_990, 9_999])
def test_the_quick_check_reads_both_ends_of_a_large_file(folder, place):
    flip(folder / "below" / "large", place)
    with pytest.raises(DataError, match="below/large is not what was written"):
        check_manifest(folder, everything=False)


def test_a_byte_between_the_sampled_blocks_is_found_by_the_full_check(folder):
    flip(folder / "below" / "large", 100)
    check_manifest(folder, everything=False)
    with pytest.raises(DataError, match="below/large is not what was written"):
        check_manifest(folder, everything=True)


@pytest.mark.parametrize("everything", [False, True])
def test_a_file_that_is_cut_or_gone_is_named(folder, everything):
    (folder / "below" / "large").write_bytes(bytes(9_999))
    with pytest.raises(DataError, match="below/large has 9999 bytes, not 10000"):
        check_manifest(folder, everything=everything)
    (folder / "below" / "large").unlink()
    with pytest.raises(DataError, match="below/large is missing"):
        check_manifest(folder, everything=everything)


def test_no_byte_of_the_manifest_itself_can_change_unseen(folder):
    content = (folder / MANIFEST).read_bytes()
    for place in range(len(content)):
        flip(folder / MANIFEST, place)
        with pytest.raises(DataError):
            check_manifest(folder, everything=True)
        (folder / MANIFEST).write_bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"format_version": 2, "files": {}},
        {"format_version": 1, "files": []},
        {"format_version": 1, "files": {"small": {"bytes": 5}}},
        {"format_version": 1, "files": {"small": 5}},
        {"format_version": 1, "files": {"../x": {"bytes": 5, "sha256": "", "sampled": ""}}},
        {"format_version": 1, "files": {"/x": {"bytes": 5, "sha256": "", "sampled": ""}}},
    ],
)
def test_a_strange_manifest_is_refused(folder, content):
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"manifest\.json"):
        check_manifest(folder, everything=False)


def test_a_folder_without_manifest_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"manifest\.json: cannot be read: No such file"):
        check_manifest(tmp_path, everything=False)
