"""A browser that a program uses as a person does, and the static page in it.

In: a folder with the page. Out: what the page says, and the files that it saves. Used by the tests
of the browser and by `web_page.py`; needs Chromium with its driver, and selenium.
"""

import base64
import os
import random
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait


SCREENSHOTS = Path(__file__).parents[1] / "out" / "screenshots"
DESKTOP, PHONE = (1280, 1000), (390, 844)  # width and height of a window, px
PHONE_WIDTH = 500  # narrower windows are those of phones
PATIENCE_SECONDS = 600  # against a hang, on a machine however busy
COMPLEMENT = str.maketrans("ACGT", "TGCA")


class Browser(webdriver.Chrome):
    """Chromium, and what one looks at in it.

    Attributes:
        downloads: Folder of the files that a page saves.
        width: Width of the window, px.
    """

    downloads: Path
    width: int

    def show_as(self, width: int, height: int) -> None:
        """Give the window a size, of a phone if it is narrow."""
        self.width = width
        self.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {
                "width": width,
                "height": height,
                "deviceScaleFactor": 1,
                "mobile": width < PHONE_WIDTH,
            },
        )

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until something is true, and return it."""
        wait = WebDriverWait(
            self, PATIENCE_SECONDS, poll_frequency=0.05, ignored_exceptions=[Exception]
        )
        return wait.until(lambda _: condition())

    def picture(self, name: str) -> None:
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        width, height = self.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.execute_cdp_cmd(
            "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
        )
        (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def is_wider_than_the_window(self) -> bool:
        """Whether something on the page sticks out of the window."""
        # Not innerWidth: a phone's browser widens that to hold what sticks out.
        script = "return document.documentElement.scrollWidth > arguments[0]"
        return bool(self.execute_script(script, self.width))


def open_chromium(folder: Path) -> Browser:
    """Open a Chromium that can resolve no name but this machine's.

    Args:
        folder: Folder for its profile and its downloads.
    """
    options = webdriver.ChromeOptions()
    downloads = folder / "downloads"
    downloads.mkdir()
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={folder / 'profile'}",
    ):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver"))
    browser = Browser(options=options, service=service)
    browser.set_script_timeout(PATIENCE_SECONDS)
    browser.downloads = downloads
    return browser


class Host:
    """A server of static files, which can be stopped and started again at the same address.

    Args:
        folder: The files.
    """

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder = folder
        self.url = f"http://127.0.0.1:{self.port}/"

    def start(self, browser: Browser) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(
            [*command, "--directory", str(self.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def answers() -> bool:
            with urllib.request.urlopen(self.url):
                return True

        browser.until(answers)

    def stop(self) -> None:
        """Stop it."""
        self.process.terminate()
        self.process.wait()


class Page:
    """The static page, and what a person does on it.

    Args:
        browser: Browser that opens it.
        host: Server of its files.
        size: Width and height of the window, px.
    """

    def __init__(self, browser: Browser, host: Host, size: tuple[int, int]) -> None:
        self.browser = browser
        self.name = "static"
        browser.show_as(*size)
        browser.get_log("performance")
        browser.get(host.url)
        self.wait_until_ready()

    def find(self, selector: str) -> Any:
        """Find an element by a CSS selector."""
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def wait_until_ready(self) -> None:
        """Wait until sequences can be named."""
        self.browser.until(lambda: self.find("#identify").is_enabled())

    def give(self, text: str) -> None:
        """Paste a text into the page."""
        # Typing 600 bases key by key takes long; a paste arrives at once, as here.
        self.browser.execute_script(
            "arguments[0].value = arguments[1];"
            "arguments[0].dispatchEvent(new Event('input', {bubbles: true}));",
            self.find("#text"),
            text,
        )

    def press(self, name: str) -> None:
        """Press a button."""
        self.browser.until(lambda: self.find(f"#{name}").is_enabled())
        # A real click: a page may save several files only if it was asked to.
        self.browser.execute_script(
            "arguments[0].scrollIntoView({block: 'center'})", self.find(f"#{name}")
        )
        self.find(f"#{name}").click()

    def identify(self) -> str:
        """Name what was given, and return what the page says then."""
        self.press("identify")
        self.browser.until(lambda: not self.find("#working").is_displayed())
        self.browser.until(lambda: self.find("#identify").is_enabled())
        return str(self.find("#said").text)

    def rows(self) -> list[list[str]]:
        """Return the texts of the cells of the table that is shown."""
        found: list[list[str]] = self.browser.execute_script(
            "return [...document.querySelectorAll('#answers tbody tr')]"
            ".map((row) => [...row.cells].map((cell) => cell.innerText))"
        )
        return found

    def save(self, button: str, name: str) -> Path:
        """Save a file by a button of the page, and return its path."""
        path = self.browser.downloads / name
        path.unlink(missing_ok=True)
        self.press(button)
        self.browser.until(path.is_file)
        return path


def damaged(fasta: str) -> str:
    """Return barcodes as reads that are turned round, cut, joined, broken or no DNA, as FASTA."""
    generator = random.Random(4)
    parts = [part.split("\n", 1) for part in fasta.split(">")[1:]]
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
            "both": (text[:90] + "T" + text[90:place] + text[place + 2 :]).translate(COMPLEMENT)[
                ::-1
            ],
        }
        kind = list(kinds)[number % len(kinds)]
        records.append(f">{name}_{kind} {header}\n{kinds[kind]}\n")
    wrong = {
        "short": "ACGT",
        "empty": "",
        "protein": "MKVLAAGEFPQW*",
        "unknown": "NNNNNNNN",
        "long": "ACGTTGCA" * 700,
        "dup": parts[0][1],
        "dup2": parts[0][1],
    }
    return "".join(records) + "".join(f">{name}\n{text}\n" for name, text in wrong.items())
