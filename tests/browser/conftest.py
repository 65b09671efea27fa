"""A real run with all loggers, its model promoted, `kasmina ui` over it, and a browser that looks."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from looking import TEXT, Site, awaited, clicked, lacking, outside
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

KASMINA = Path(sys.executable).parent / "kasmina"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--window-size=1600,1100",
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("home")
    with kasmina(home, "run --task digits --epochs 60 --out runs/digits --logger tensorboard"):
        with kasmina(home, "run --epochs 120 --out runs/spirals --logger tensorboard --logger mlflow"):
            pass
        with kasmina(home, "promote runs/spirals"):
            pass
    command = [str(KASMINA), "ui", "runs"]
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, text=True) as process:
        try:
            addresses = dict(told(process))
            yield Site(home / "runs", addresses["TensorBoard"], addresses["MLflow"])
        finally:
            process.send_signal(signal.SIGINT)


@contextmanager
def kasmina(home: Path, words: str) -> Iterator[None]:
    """A command beside what is done within, which must have ended well afterwards."""
    command = [str(KASMINA), *words.split()]
    process = subprocess.Popen(command, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    yield
    _, said = process.communicate()
    assert process.returncode == 0, said


def told(process: subprocess.Popen[str]) -> Iterator[tuple[str, str]]:
    """The two addresses that `kasmina ui` prints."""
    assert process.stdout is not None
    found = 0
    for line in process.stdout:
        if match := re.search(r"(TensorBoard|MLflow)\W+(http://[\d.:]+)", line):
            yield match[1], match[2].rstrip("/")
            if (found := found + 1) == 2:
                return


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    assert program and driver, "these tests need Chromium and its driver: apt-get install chromium chromium-driver"
    options = Options()
    options.binary_location = program
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    for switch in (*SWITCHES, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(switch)
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where the pages' pictures are kept: `pages` in the working folder, or where KASMINA_PAGES says."""
    folder = Path(os.environ.get("KASMINA_PAGES", "pages"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def shows(browser: webdriver.Chrome, pictures: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., str]]:
    """Opens an address, waits until all words are on the page, clicks on one of the texts `click`; the page's text.

    The last page's picture is kept; and no page may ask for anything beyond this machine.
    """

    def look(address: str, *words: str, click: Sequence[str] = (), more: Sequence[str] = ()) -> str:
        browser.get("about:blank")  # both are pages of one document: another fragment alone would load nothing
        browser.get(address)
        awaited(browser, lambda: not lacking(browser, words), f"{address} does not show all of {words}")
        if click:
            awaited(browser, lambda: clicked(browser, click), f"{address} has nothing called {click}")
            awaited(browser, lambda: not lacking(browser, more), f"{address} does not show all of {more}")
        return str(browser.execute_script(TEXT))

    try:
        yield look
    finally:
        browser.save_screenshot(str(pictures / f"{request.node.name.removeprefix('test_')}.png"))
        assert not outside(browser)
