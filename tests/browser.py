"""A real browser for pages on disk: Debian's Chromium by way of Selenium, where both are there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def missing() -> str:
    """Say what of a browser is not there; "" if nothing."""
    if not any(map(shutil.which, BROWSERS)):
        return f"no browser is installed (looked for {', '.join(BROWSERS)}): apt-get install chromium"
    return (
        ""
        if shutil.which("chromedriver")
        else "no chromedriver is installed: apt-get install chromium-driver"
    )


@contextmanager
def browser(profile: Path, *, width: int = 1400, height: int = 1000) -> Iterator[webdriver.Chrome]:
    """Start a browser with an empty profile in `profile`, and end it."""
    options = Options()
    options.binary_location = next(found for name in BROWSERS if (found := shutil.which(name)))
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    logging: Any = {"browser": "ALL"}
    options.set_capability("goog:loggingPrefs", logging)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        resize(driver, width, height)
        yield driver
    finally:
        driver.quit()


def resize(driver: webdriver.Chrome, width: int, height: int) -> None:
    """Set the page's size in pixels; a window would not become as narrow."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )


def prefer(driver: webdriver.Chrome, scheme: str) -> None:
    """Set `prefers-color-scheme`."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
