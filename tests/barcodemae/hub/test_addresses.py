"""A file at an address is fetched once, anew when it changes, and whole or not at all."""

import gzip
import hashlib
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from barcodemae import cli
from barcodemae.calls.sequences import source_of
from barcodemae.errors import DataError, SettingsError
from barcodemae.hub.addresses import FOLDER, is_address, local_copies, local_copy


FASTA = ">one\n" + "ACGTACGTAC" * 20 + "\n>two\n" + "GGTTACGTAC" * 20 + "\n"


class Files(BaseHTTPRequestHandler):
    """Answers with the files of a dict; the server tells what was asked for."""

    def __init__(self, files, asked, has_version, *args):
        self.files, self.asked, self.has_version = files, asked, has_version
        super().__init__(*args)

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.asked.append(self.path)
        self.wfile.write(self.answer())

    def answer(self):
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + self.files.get("missing", 0)))
        if self.has_version:
            self.send_header("ETag", hashlib.sha256(content).hexdigest())
        self.end_headers()
        return content

    def log_message(self, *_):
        pass


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "barcodemae" / FOLDER


@pytest.fixture
def files():
    return {"/some.fasta": FASTA.encode()}


@pytest.fixture(params=[True, False], ids=["version", "no version"])
def host(request, files):
    asked = []
    handler = partial(Files, files, asked, request.param)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # a client may close first
    Thread(target=server.serve_forever, daemon=True).start()
    server.asked, server.has_version = asked, request.param
    server.url = f"http://127.0.0.1:{server.server_port}"
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("name", ["-", "demo", "a/b.fasta", "C:\\a.fasta", "x.zip::y", ""])
def test_a_path_stays_as_it_is(name):
    assert not is_address(name)
    assert local_copy(name) == name


def test_a_file_is_kept_while_its_version_is_known_to_be_the_same(host, files, cache):
    first = Path(local_copy(f"{host.url}/some.fasta"))
    again = Path(local_copy(f"{host.url}/some.fasta"))
    assert first.name == "some.fasta"
    assert first.read_text() == FASTA == again.read_text()
    assert len(host.asked) == (1 if host.has_version else 2)
    assert first.is_relative_to(cache) is host.has_version
    files["/some.fasta"] = FASTA.replace("two", "six").encode()  # as long as before
    assert "six" in Path(local_copy(f"{host.url}/some.fasta")).read_text()


def test_what_breaks_off_leaves_nothing_behind(host, files, cache):
    files["missing"] = 1000  # bytes that are promised and never come
    with pytest.raises(DataError, match=r"some\.fasta: cannot be fetched: "):
        local_copy(f"{host.url}/some.fasta")
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_member_of_an_archive_and_what_follows_a_question_mark_stay(host, files, cache):
    files["/a.zip"] = b"PK"
    assert local_copy(f"{host.url}/a.zip::b.csv").endswith("a.zip::b.csv")
    files["/some.fasta?x=1"] = b">q\nACGT\n"
    assert Path(local_copy(f"{host.url}/some.fasta?x=1")).name == "some.fasta"


def test_what_is_not_there_and_what_is_no_protocol_is_one_line(host, cache, tmp_path, capsys):
    with pytest.raises(DataError, match="none: cannot be fetched: "):
        local_copy(f"{host.url}/none")
    with pytest.raises(SettingsError, match="gopher://x/y: Protocol not known: gopher"):
        local_copy("gopher://x/y")
    with pytest.raises(DataError, match=r"ftp://127\.0\.0\.1:1/x: cannot be fetched: .*refused"):
        local_copy("ftp://127.0.0.1:1/x")
    assert cli.main(["embed", f"{host.url}/none", "-m", "kmer:3", "-o", str(tmp_path / "o")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_commands_and_calls_read_an_address_like_the_file(host, files, cache, tmp_path):
    path = tmp_path / "some.fasta.gz"
    path.write_bytes(gzip.compress(FASTA.encode()))
    files["/some.fasta.gz"] = path.read_bytes()
    for number, name in enumerate((str(path), f"{host.url}/some.fasta.gz")):
        output = tmp_path / f"{number}.tsv"
        assert cli.main(["embed", name, "-m", "kmer:3", "-o", str(output)]) == 0
    assert (tmp_path / "0.tsv").read_bytes() == (tmp_path / "1.tsv").read_bytes()
    assert Path(source_of(f"{host.url}/some.fasta")).read_text() == FASTA


def test_sources_of_the_hub_are_left_to_their_reader(host, cache):
    names = ["hf://datasets/a/b/c.csv", "table.csv", f"{host.url}/some.fasta"]
    hub, path, copy = local_copies(names)
    assert (hub, path) == (names[0], names[1])
    assert Path(copy).read_text() == FASTA
