"""The static page in a real browser: the same names as Python, offline, and nothing sent anywhere.

Needs Chromium with its driver, selenium and npm; `make test-browser` runs this. Screenshots are
kept in out/screenshots/. ONNXRUNTIME_WEB may name the package file of ONNX Runtime, else npm
fetches it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from browsing import DESKTOP, PHONE, Host, Page, damaged
from selenium.webdriver.common.by import By
from web_page import read_table

from barcodemae.dataset import RANKS
from barcodemae.demonstration import QUERIES


ROOT = Path(__file__).parents[2]
COMPUTING = ("--engine", "onnx", "--dtype", "float32")
CLOSE = 0.002  # of probabilities, which depend on the last digits of the vectors
PACKAGE = os.environ.get("ONNXRUNTIME_WEB")


def barcodemae(*words):
    subprocess.run([sys.executable, "-m", "barcodemae", *map(str, words)], check=True)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The page with the demonstration library."""
    folder = tmp_path_factory.mktemp("site")
    barcodemae("index", "demo", "--web", folder / "library")
    build = [sys.executable, ROOT / "space" / "static" / "build.py", folder, "--example", QUERIES]
    subprocess.run([*build, *(["--runtime", PACKAGE] if PACKAGE else [])], check=True)
    return folder


@pytest.fixture
def host(site, chromium):
    host = Host(site)
    host.start(chromium)
    yield host
    host.stop()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def page(request, chromium, host):
    page = Page(chromium, host, request.param)
    page.name = f"static-{request.node.callspec.id}"
    return page


@pytest.fixture
def desktop(chromium, host):
    return Page(chromium, host, DESKTOP)


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
    path.write_text(damaged(QUERIES.read_text()))
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
    host.start(desktop.browser)


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
