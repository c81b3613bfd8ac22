"""One Chromium for all tests, which can resolve no name but this machine's, and its pictures."""

import base64
import os
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait


SCREENSHOTS = Path(__file__).parents[2] / "out" / "screenshots"
PHONE_WIDTH = 500  # narrower windows are those of phones
PATIENCE_SECONDS = 600  # against a hang, on a machine however busy


class Browser(webdriver.Chrome):
    """Chromium, and what tests look at in it."""

    def show_as(self, width, height):
        self.width = width
        self.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1,
             "mobile": width < PHONE_WIDTH},
        )  # fmt: skip

    def until(self, condition):
        wait = WebDriverWait(self, PATIENCE_SECONDS, poll_frequency=0.05,
                             ignored_exceptions=[Exception])  # fmt: skip
        return wait.until(lambda _: condition())

    def picture(self, name):
        """Keep a picture of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        size = self.execute_script(
            "return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        shot = self.execute_cdp_cmd(
            "Page.captureScreenshot",
            {"captureBeyondViewport": True,
             "clip": {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}},
        )  # fmt: skip
        (SCREENSHOTS / f"{name}.png").write_bytes(base64.b64decode(shot["data"]))

    def is_wider_than_the_window(self):
        # Not innerWidth: a phone's browser widens that to hold what sticks out.
        return self.execute_script(
            "return document.documentElement.scrollWidth > arguments[0]", self.width
        )


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """One browser for all tests."""
    options = webdriver.ChromeOptions()
    downloads = tmp_path_factory.mktemp("downloads")
    for flag in (
        "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--disable-dev-shm-usage", "--hide-scrollbars",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    service = webdriver.ChromeService(os.environ.get("CHROMEDRIVER", "/usr/bin/chromedriver"))
    with Browser(options=options, service=service) as browser:
        browser.set_script_timeout(PATIENCE_SECONDS)
        browser.downloads = downloads
        yield browser
