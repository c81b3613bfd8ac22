import gzip
import json
from dataclasses import replace

import pytest

from barcodemae.eval.identify.exchange.biom import biom_document, to_biom_line
from barcodemae.eval.identify.resumable import FileSink


@pytest.fixture
def lines(found):
    ids = ("a;sample=x;size=3", "b;sample=y;size=2", "c", "c")
    return [to_biom_line(replace(found, id=name)) for name in ids]


def document_of(lines):
    return "".join(biom_document(lambda: iter(lines)))


def test_reads_stand_at_their_record_and_sample(lines):
    content = json.loads(document_of(lines))
    assert content["shape"] == [4, 3]
    assert [column["id"] for column in content["columns"]] == ["x", "y", "sample"]
    assert content["data"] == [[0, 0, 3], [1, 1, 2], [2, 2, 1], [3, 2, 1]]
    assert content["rows"][0]["metadata"]["taxonomy"][-1] == "g__Aedes"
    assert content["rows"][0]["metadata"]["confidence"] == "0.9000"


def test_repeated_ids_are_told_apart(lines):
    assert [row["id"] for row in json.loads(document_of(lines))["rows"]][2:] == ["c", "c;repeat=2"]


def test_no_record_at_all_is_a_table_too():
    assert json.loads(document_of([]))["shape"] == [0, 0]


def test_the_package_of_the_format_reads_it(lines, tmp_path):
    biom = pytest.importorskip("biom")
    (tmp_path / "t.biom").write_text(document_of(lines))
    table = biom.load_table(str(tmp_path / "t.biom"))
    assert table.sum() == 7
    assert table.metadata("a;sample=x;size=3", "observation")["taxonomy"][0] == "p__Arthropoda"


@pytest.mark.parametrize("name", ["t.biom", "t.biom.gz"])
def test_the_file_appears_whole_when_all_lines_are_there(lines, tmp_path, name):
    path = tmp_path / name
    sink = FileSink(path, "", {}, resume=False, document=biom_document)
    sink.append(lines, [], 4, "digest")
    assert not path.exists()
    sink.finish()
    content = path.read_bytes()
    text = gzip.decompress(content) if name.endswith("gz") else content
    assert json.loads(text)["shape"] == [4, 3]
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_document_that_fails_leaves_the_lines_to_go_on_from(lines, tmp_path):
    def broken(read):
        yield next(read())
        raise OSError("disk")

    sink = FileSink(tmp_path / "t.biom", "", {}, resume=False, document=broken)
    sink.append(lines, [], 4, "digest")
    with pytest.raises(OSError, match="disk"):
        sink.finish()
    error = OSError()
    sink.stop(error)
    sink.close()
    assert not (tmp_path / "t.biom").exists()
    assert (tmp_path / "t.biom.partial").read_text() == "".join(lines)
