from pathlib import Path

import pytest

from barcodemae.errors import SettingsError
from barcodemae.output.rejected import check_list, clear_list, rejected_path_of, write_list


def test_the_list_lies_beside_its_output():
    for name in ("out.tsv", "out.tsv.gz", "out.gz", "out.parquet", "out"):
        assert rejected_path_of(Path("a") / name) == Path("a") / "out.rejected.tsv"


def test_a_list_is_known_by_its_first_line_and_replaced_by_the_next(tmp_path):
    path = tmp_path / "out.rejected.tsv"
    write_list(path, ["1\ta\tno DNA\n"])
    assert path.read_text() == "barcodemae_record\tid\treason\n1\ta\tno DNA\n"
    write_list(path, ["2\tb\tno DNA\n"])
    assert "1\ta" not in path.read_text()
    write_list(path, [])
    assert not path.exists()


@pytest.mark.parametrize("content", ["my notes\n", "record\tid\treason\n1\ta\tmine\n", "# other\n"])
@pytest.mark.parametrize("action", [check_list, clear_list, lambda path: write_list(path, ["x\n"])])
def test_a_file_of_somebody_else_is_neither_replaced_nor_removed(tmp_path, content, action):
    path = tmp_path / "out.rejected.tsv"
    path.write_text(content)
    with pytest.raises(SettingsError, match="is no list that barcodemae wrote"):
        action(path)
    assert path.read_text() == content


def test_a_folder_of_that_name_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="is no list"):
        check_list(tmp_path)
