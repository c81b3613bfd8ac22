"""The Space in a real browser: paste, upload, click, read the table, look at every state.

Needs Chromium with its driver, gradio and selenium; `make test-browser` installs them and runs
this. Screenshots are kept in out/screenshots/. Nothing outside this machine can be reached.
"""

import csv
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


ROOT = Path(__file__).parents[2]
DESKTOP, PHONE = (1280, 1000), (390, 844)
BARCODES = dict(
    part.split("\n")[:2]
    for part in (ROOT / "tests/space/examples.fasta").read_text().split(">")[1:]
)


def fasta(*names):
    return "".join(f">{name}\n{BARCODES[name]}\n" for name in names)


@pytest.fixture(scope="session")
def hold(tmp_path_factory):
    """While this file exists, the Space gives no answer."""
    return tmp_path_factory.mktemp("hold") / "hold"


@pytest.fixture(scope="session")
def address(tiny_folder, hold, tmp_path_factory):
    """A running Space."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("server") / "log.txt"
    environment = os.environ | {"BARCODEMAE_MODEL": str(tiny_folder), "HF_HUB_OFFLINE": "1"}
    command = [
        sys.executable,
        str(Path(__file__).with_name("serve_space.py")),
        str(port),
        str(hold),
    ]
    url = f"http://127.0.0.1:{port}"
    with (
        log.open("w") as stream,
        subprocess.Popen(
            command, env=environment, stdout=stream, stderr=subprocess.STDOUT
        ) as server,
    ):
        try:
            wait_for_server(server, url, log)
            yield url
        finally:
            server.terminate()


def wait_for_server(server, url, log):
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


class Visitor:
    """What a person does on the page."""

    def __init__(self, browser, address, size):
        self.browser = browser
        browser.show_as(*size)
        browser.get_log("performance")
        browser.get(address)
        self.until(lambda: self.find("#identify").is_displayed())

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def texts(self, selector):
        found = self.browser.find_elements(By.CSS_SELECTOR, selector)
        return [element.text for element in found]

    def until(self, condition):
        return self.browser.until(condition)

    def press(self, name):
        self.until(lambda: self.find(f"#{name}").is_enabled())
        self.browser.execute_script(
            "arguments[0].scrollIntoView({block: 'center'})", self.find(f"#{name}")
        )
        self.find(f"#{name}").click()

    def paste(self, text, box="text"):
        # Typing 600 bases key by key takes long; a paste arrives at once, as here.
        area = self.find(f"#{box} textarea")
        self.browser.execute_script(
            "arguments[0].value = arguments[1];"
            "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));",
            area,
            text,
        )

    def upload(self, path):
        self.find("#upload input[type=file]").send_keys(str(path))
        self.until(lambda: path.name.partition(".")[0] in self.find("#upload").text)

    def wait_for_state(self, kind):
        self.until(lambda: self.find(f"#result .state.{kind}").is_displayed())
        return self.find(f"#result .state.{kind}").text

    def wait_for_answers(self):
        self.until(lambda: self.find("#result table.answers").is_displayed())
        return [
            [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")]
            for row in self.browser.find_elements(By.CSS_SELECTOR, "#result tbody tr")
        ]

    def picture(self, name):
        self.browser.picture(name)

    def is_wider_than_the_window(self):
        return self.browser.is_wider_than_the_window()


@pytest.fixture(params=[DESKTOP, PHONE], ids=["desktop", "phone"])
def visitor(request, chromium, address, hold):
    hold.unlink(missing_ok=True)
    visitor = Visitor(chromium, address, request.param)
    visitor.name = request.node.callspec.id
    return visitor


@pytest.fixture
def desktop(chromium, address, hold):
    hold.unlink(missing_ok=True)
    return Visitor(chromium, address, DESKTOP)


def test_at_first_the_page_says_what_to_do_and_shows_the_references(visitor):
    said = visitor.wait_for_state("empty")
    assert "Paste FASTA or upload a file" in said
    assert not visitor.find("#download").is_enabled()
    visitor.until(lambda: visitor.find("#map .js-plotly-plot, #map .main-svg").is_displayed())
    visitor.picture(f"{visitor.name}-1-empty")
    assert not visitor.is_wider_than_the_window()


def test_while_it_works_the_page_says_so_and_cannot_be_started_twice(visitor, hold):
    hold.touch()
    visitor.paste(fasta("known_1"))
    visitor.press("identify")
    assert "Looking up" in visitor.wait_for_state("loading")
    visitor.until(lambda: not visitor.find("#identify").is_enabled())
    visitor.picture(f"{visitor.name}-2-loading")
    hold.unlink()
    assert len(visitor.wait_for_answers()) == 1
    visitor.until(lambda: visitor.find("#identify").is_enabled())


def test_the_example_is_answered_in_order_with_lineages_and_flags(visitor):
    visitor.press("example")
    visitor.until(lambda: ">known_1" in visitor.find("#text textarea").get_property("value"))
    visitor.press("identify")
    rows = visitor.wait_for_answers()
    assert [row[0].split()[0] for row in rows] == list(BARCODES)
    verdicts = dict(zip(BARCODES, (row[1] for row in rows), strict=True))
    assert {verdicts[name] for name in ("known_1", "known_2", "reversed")} == {"known species"}
    assert {verdicts[name].split()[0] for name in ("unseen_1", "unseen_2")} == {"new"}
    assert verdicts["too_short"] == "not identified"
    assert [row[0].endswith("turned round") for row in rows] == [
        name == "reversed" for name in BARCODES
    ]
    assert "too short to identify: 2 bases" in rows[-1][2]
    assert re.search(r"Genus\d+ species\d+\s+species, over 99 %; Simulata > Simulata", rows[0][2])
    for row in rows[:-1]:
        assert re.search(r"similarity\s+\d\.\d{4}, SIM\d+", row[3])
    visitor.until(lambda: "your sequences" in visitor.find("#map").text)
    visitor.picture(f"{visitor.name}-3-answers")
    assert not visitor.is_wider_than_the_window()


def test_what_cannot_be_read_is_said_in_one_line_that_names_the_place(visitor, tmp_path):
    flat = tmp_path / "record.gb"
    flat.write_text("LOCUS       AB000001     12 bp    DNA\nORIGIN\n        1 acgtacgtac gt\n//\n")
    visitor.upload(flat)
    visitor.press("identify")
    said = visitor.wait_for_state("error")
    assert "That could not be read" in said
    assert "record.gb" in said
    assert "GenBank" in said
    assert str(tmp_path) not in said
    visitor.picture(f"{visitor.name}-4-error")
    assert not visitor.is_wider_than_the_window()
    visitor.until(lambda: visitor.find("#identify").is_enabled())


def test_too_much_is_refused_with_the_limit_and_a_way_on(visitor, tmp_path):
    many = tmp_path / "many.fasta"
    many.write_text("".join(f">{number}\nACGTACGTACGT\n" for number in range(201)))
    visitor.upload(many)
    visitor.press("identify")
    said = visitor.wait_for_state("large")
    assert "many.fasta holds more than 200 sequences" in said
    assert "barcodemae identify" in said
    visitor.picture(f"{visitor.name}-5-too-large")
    assert not visitor.is_wider_than_the_window()


def test_an_uploaded_file_is_answered_and_comes_back_as_tsv(desktop, tmp_path):
    path = tmp_path / "mine.fasta"
    path.write_text(fasta("known_2", "too_short"))
    desktop.upload(path)
    desktop.press("identify")
    rows = desktop.wait_for_answers()
    assert [row[0].split()[0] for row in rows] == ["known_2", "too_short"]
    desktop.press("download")
    saved = desktop.browser.downloads / "barcodemae.tsv"
    desktop.until(saved.is_file)
    with saved.open(newline="") as stream:
        line, *comments = csv.DictReader(stream, delimiter="\t")
    assert line["id"] == "known_2"
    assert line["species"] in rows[0][2]
    assert f"{float(line['similarity']):.4f}" in rows[0][3]
    assert [comment["id"] for comment in comments] == ["# not identified: too_short"]


def test_names_that_look_like_html_are_shown_as_text(desktop):
    desktop.paste(f"><img/src=x/onerror=document.title=1>\n{BARCODES['known_1']}\n")
    desktop.press("identify")
    ((name, *_),) = desktop.wait_for_answers()
    assert name.startswith("<img/src=x")
    assert not desktop.browser.find_elements(By.CSS_SELECTOR, "#result img")


def test_clear_brings_the_beginning_back(desktop):
    desktop.paste(fasta("known_1"))
    desktop.press("identify")
    desktop.wait_for_answers()
    desktop.press("clear")
    desktop.wait_for_state("empty")
    assert desktop.find("#text textarea").get_property("value") == ""
    assert not desktop.find("#download").is_enabled()
    desktop.until(lambda: "your sequences" not in desktop.find("#map").text)


def test_the_keyboard_alone_is_enough(desktop):
    """Tab from the text to the button, Enter, then Tab on to the further neighbours."""
    desktop.paste(fasta("known_1"))
    desktop.find("#text textarea").send_keys("")

    def focused():
        return desktop.browser.switch_to.active_element

    def tab_to(is_there):
        for _ in range(12):
            focused().send_keys(Keys.TAB)
            if is_there(focused()):
                return
        raise AssertionError("not reached by Tab")

    tab_to(lambda element: element.get_attribute("id") == "identify")
    outline = focused().value_of_css_property("outline-style")
    assert outline == "solid"
    focused().send_keys(Keys.ENTER)
    desktop.wait_for_answers()
    tab_to(lambda element: element.tag_name == "summary")
    focused().send_keys(Keys.ENTER)
    assert desktop.find("#result details").get_property("open")
    assert len(desktop.texts("#result details li")) == 2


def test_gaps_are_filled_in_with_probabilities(visitor):
    for tab in visitor.browser.find_elements(By.CSS_SELECTOR, "button[role=tab]"):
        if tab.text == "Fill in" and tab.is_displayed():
            tab.click()
    visitor.press("gap-example")
    visitor.until(lambda: "[MASK]" in visitor.find("#gapped textarea").get_property("value"))
    visitor.press("fill")
    visitor.until(lambda: visitor.find("#guesses table.gaps").is_displayed())
    assert visitor.texts("#guesses tbody th") == ["4-6", "13-15"]
    guesses = visitor.texts("#guesses li")
    assert len(guesses) == 10
    assert all(re.fullmatch(r"[ACGT]{3}\s+\d+\.\d %", guess) for guess in guesses)
    visitor.picture(f"{visitor.name}-6-filled")
    assert not visitor.is_wider_than_the_window()
    visitor.paste("ACGTA[MASK]GGT", "gapped")
    visitor.press("fill")
    visitor.until(lambda: visitor.find("#guesses .state.error").is_displayed())
    assert "5 bases before it, which is no multiple of 3" in visitor.find("#guesses").text


def test_the_page_asks_nobody_else_for_anything(desktop):
    desktop.press("example")
    desktop.until(lambda: ">known_1" in desktop.find("#text textarea").get_property("value"))
    desktop.press("identify")
    desktop.wait_for_answers()
    events = [json.loads(entry["message"])["message"]
              for entry in desktop.browser.get_log("performance")]  # fmt: skip
    asked = {
        urlsplit(event["params"]["request"]["url"]).hostname
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }
    assert asked - {None} == {"127.0.0.1"}
