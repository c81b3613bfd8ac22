"""The static page in a real browser: the same names as Python, offline, and nothing sent anywhere.

Needs Chromium with its driver, selenium and npm; `make test-browser` runs this. Screenshots are
kept in out/screenshots/. ONNXRUNTIME_WEB may name the package file of ONNX Runtime, else npm
fetches it.
"""

import csv
import json
import os
import random
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.by import By

from barcodemae.dataset import RANKS
from barcodemae.demonstration import QUERIES


ROOT = Path(__file__).parents[2]
DESKTOP, PHONE = (1280, 1000), (390, 844)
COMPUTING = ("--engine", "onnx", "--dtype", "float32")
CLOSE = 0.002  # of probabilities, which depend on the last digits of the vectors
COMPLEMENT = str.maketrans("ACGT", "TGCA")
PACKAGE = os.environ.get("ONNXRUNTIME_WEB")


def barcodemae(*words):
    subprocess.run([sys.executable, "-m", "barcodemae", *map(str, words)], check=True)


def damaged():
    """The demonstration queries as reads that are turned round, cut, joined, broken or no DNA."""
    generator = random.Random(4)
    parts = [part.split("\n", 1) for part in QUERIES.read_text().split(">")[1:]]
    records = []
    for number, (header, rest) in enumerate(parts):
        name, text = header.split()[0], rest.replace("\n", "")
        place = generator.randrange(40, len(text) - 40)
        drawn = "".join(generator.choices("ACGT", k=50))
        kinds = {
            "lost": text[:place] + text[place + 1 :],
            "gained": text[:place] + "A" + text[place:],
            "turned": text.translate(COMPLEMENT)[::-1],
            "part": text[60:230],
            "primers": drawn + text + drawn,
            "joined": text[:250] + "N" * 12 + text[400:],
            "gaps": text[:place] + "----" + text[place + 4 :].lower(),
            "unsure": text[:place] + "RYN?" + text[place + 4 :],
            "twice": text[:place] + text[place - 30 :],
            "both": (text[:90] + "T" + text[90:place] + text[place + 2 :])
            .translate(COMPLEMENT)[::-1],
        }  # fmt: skip
        kind = list(kinds)[number % len(kinds)]
        records.append(f">{name}_{kind} {header}\n{kinds[kind]}\n")
    wrong = {"short": "ACGT", "empty": "", "protein": "MKVLAAGEFPQW*", "unknown": "NNNNNNNN",
             "long": "ACGTTGCA" * 700, "dup": parts[0][1], "dup2": parts[0][1]}  # fmt: skip
    return "".join(records) + "".join(f">{name}\n{text}\n" for name, text in wrong.items())


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The page with the demonstration library."""
    folder = tmp_path_factory.mktemp("site")
    barcodemae("index", "demo", "--web", folder / "library")
    build = [sys.executable, ROOT / "space" / "static" / "build.py", folder, "--example", QUERIES]
    subprocess.run([*build, *(["--runtime", PACKAGE] if PACKAGE else [])], check=True)
    return folder


class Host:
    """A server of static files, which can be stopped and started again at the same address."""

    def __init__(self, folder):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.process = folder, None
        self.url = f"http://127.0.0.1:{self.port}/"

    def start(self):
        command = [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(
            [*command, "--directory", str(self.folder)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture
def host(site, chromium):
    host = Host(site)
    host.start()

    def answers():
        with urllib.request.urlopen(host.url):
            return True

    chromium.until(answers)
    yield host
    host.stop()


class Page:
    """What a person does on the page."""

    def __init__(self, browser, host, size):
        self.browser = browser
        browser.show_as(*size)
        browser.get_log("performance")
        browser.get(host.url)
        self.wait_until_ready()

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def wait_until_ready(self):
        self.browser.until(lambda: self.find("#identify").is_enabled())

    def give(self, text):
        # Typing 600 bases key by key takes long; a paste arrives at once, as here.
        self.browser.execute_script(
            "arguments[0].value = arguments[1];"
            "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));",
            self.find("#text"),
            text,
        )

    def press(self, name):
        self.browser.until(lambda: self.find(f"#{name}").is_enabled())
        # A real click: a page may save several files only if it was asked to.
        self.browser.execute_script(
            "arguments[0].scrollIntoView({block: 'center'})", self.find(f"#{name}")
        )
        self.find(f"#{name}").click()

    def identify(self):
        self.press("identify")
        self.browser.until(lambda: not self.find("#working").is_displayed())
        self.browser.until(lambda: self.find("#identify").is_enabled())
        return self.find("#said").text

    def rows(self):
        """Texts of the cells of the table that is shown."""
        return self.browser.execute_script(
            "return [...document.querySelectorAll('#answers tbody tr')]"
            ".map((row) => [...row.cells].map((cell) => cell.innerText))"
        )

    def save(self, button, name):
        path = self.browser.downloads / name
        path.unlink(missing_ok=True)
        self.press(button)
        self.browser.until(path.is_file)
        return path


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(request, chromium, host):
    page = Page(chromium, host, request.param)
    page.name = f"static-{request.node.callspec.id}"
    return page


@pytest.fixture
def desktop(chromium, host):
    return Page(chromium, host, DESKTOP)


def read_table(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def assert_same_tables(found, expected):
    """All ids, names, flags and texts are the same, and all numbers but for their last digits."""
    assert [row["id"] for row in found] == [row["id"] for row in expected]
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.keys() == theirs.keys()
        for column, cell in theirs.items():
            if column in RANKS or not cell.replace(".", "", 1).isdigit():
                assert mine[column] == cell, (mine["id"], column)
            else:
                assert abs(float(mine[column]) - float(cell)) < CLOSE, (mine["id"], column)


def test_the_demonstration_queries_get_the_names_of_python(desktop, tmp_path):
    barcodemae("identify", "demo", "-r", "demo", *COMPUTING, "-o", tmp_path / "names.tsv")
    desktop.press("example")
    said = desktop.identify()
    assert said.startswith("40 records in")
    found = read_table(desktop.save("save", "barcodemae.tsv"))
    assert len(found) == 40
    assert_same_tables(found, read_table(tmp_path / "names.tsv"))


def test_damaged_reads_get_the_names_of_python_and_the_same_are_rejected(desktop, tmp_path):
    path = tmp_path / "reads.fasta"
    path.write_text(damaged())
    barcodemae("identify", path, "-r", "demo", *COMPUTING, "-o", tmp_path / "names.tsv")
    desktop.find("#file").send_keys(str(path))
    desktop.identify()
    found = read_table(desktop.save("save", "barcodemae.tsv"))
    assert_same_tables(found, read_table(tmp_path / "names.tsv"))
    rejected = desktop.save("save-rejected", "barcodemae.rejected.tsv").read_text()
    assert rejected == (tmp_path / "names.rejected.tsv").read_text()
    assert "protein" in rejected


def test_every_state_can_be_read_on_a_desktop_and_on_a_phone(page):
    page.browser.picture(f"{page.name}-1-ready")
    assert "references" in page.find("#library").text
    assert not page.browser.is_wider_than_the_window()
    page.press("example")
    page.identify()
    rows = page.rows()
    assert len(rows) == 40
    assert any("new species" in row[2] for row in rows)
    assert any("not a barcode" in row[1] for row in rows)
    assert page.find("#map svg").is_displayed()
    page.browser.picture(f"{page.name}-2-answers")
    assert not page.browser.is_wider_than_the_window()
    page.give("@read\nACGT\n+\nIIII\n")
    assert "FASTQ" in page.identify()
    page.browser.picture(f"{page.name}-3-refused")
    page.press("clear")
    assert not page.find("#answers").is_displayed()


def test_names_that_look_like_html_are_shown_as_text(desktop):
    barcode = QUERIES.read_text().split(">")[1].split("\n", 1)[1]
    desktop.give(f"><img/src=x/onerror=document.title=1>\n{barcode}\n")
    desktop.identify()
    ((name, *_),) = desktop.rows()
    assert name.startswith("<img/src=x")
    assert not desktop.browser.find_elements(By.CSS_SELECTOR, "#result img")


def test_without_a_network_it_still_names_once_it_was_loaded(desktop, host):
    desktop.browser.until(lambda: desktop.find("html").get_attribute("data-offline") == "ready")
    host.stop()
    desktop.browser.refresh()
    desktop.wait_until_ready()
    desktop.press("example")
    assert desktop.identify().startswith("40 records in")
    host.start()


def test_the_page_asks_nobody_else_for_anything_and_sends_nothing(desktop):
    desktop.press("example")
    desktop.identify()
    events = [json.loads(entry["message"])["message"]
              for entry in desktop.browser.get_log("performance")]  # fmt: skip
    asked = [event["params"]["request"] for event in events
             if event["method"] == "Network.requestWillBeSent"]  # fmt: skip
    assert {urlsplit(request["url"]).hostname for request in asked} - {None} == {"127.0.0.1"}
    assert {request["method"] for request in asked} == {"GET"}
    assert not any(request.get("hasPostData") for request in asked)
