"""Run a headless Chromium, and read its console and its network requests."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

needs_chromium = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="Debian's chromium and chromium-driver are not installed"
)

PATIENCE = 60  # seconds; the machine may be busy

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1400,1100")


@contextmanager
def chromium(profile: Path) -> Iterator[webdriver.Chrome]:
    """Start a browser with its own profile, and stop it at the end of the block."""
    options = webdriver.ChromeOptions()
    for option in (*OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_page_load_timeout(PATIENCE)
        yield driver
    finally:
        driver.quit()


def wait_for(condition: Callable[[], Any], description: str) -> Any:
    """Wait until ``condition`` returns a true value, and return it."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            if found := condition():
                return found
        except StaleElementReferenceException:  # the page was redrawn meanwhile
            pass
        time.sleep(0.1)
    raise AssertionError(f"not within {PATIENCE} seconds: {description}")


def console_errors(driver: webdriver.Chrome) -> list[str]:
    """Return the errors and warnings on the console since the last call."""
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def requests(driver: webdriver.Chrome) -> set[str]:
    """Return the URLs requested by pages since the last call, without data: and blob: URLs."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    requested = {one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"}
    return {address for address in requested if not address.startswith(("data:", "blob:", "chrome:", "about:"))}
