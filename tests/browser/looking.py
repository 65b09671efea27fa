"""What a browser sees of a page: its text, and whom it asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from attrs import frozen
from selenium import webdriver
from selenium.common.exceptions import TimeoutException
from selenium.webdriver.support.ui import WebDriverWait

ASKED, HERE = "Network.requestWillBeSent", "127.0.0.1"
PATIENCE = 90
"""Seconds for a page to show what it should: the machine may be busy."""

# Everything that a page shows as text, in shadow trees and frames too.
TEXT = """
const seen = [];
const walk = node => {
  if (node.nodeType === Node.TEXT_NODE && node.textContent.trim()) seen.push(node.textContent.trim());
  if (node.shadowRoot) walk(node.shadowRoot);
  if (node.tagName === 'IFRAME' && node.contentDocument && node.contentDocument.body) walk(node.contentDocument.body);
  if (!['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(node.tagName)) node.childNodes.forEach(walk);
};
walk(document.body);
return seen.join('\\n');
"""


# Calls a method of the deepest element that has just this text, in shadow trees too; whether there was one.
CALL = """
const find = node => {
  const parts = [...(node.shadowRoot ? node.shadowRoot.children : []), ...(node.children || [])];
  for (const part of parts) { const found = find(part); if (found) return found; }
  return node.textContent && node.textContent.trim() === arguments[0] ? node : null;
};
const found = find(document.body);
if (found) found[arguments[1]]();
return found !== null;
"""


# How many lines are drawn in charts, in shadow trees too.
LINES = """
let found = 0;
const walk = node => {
  if (node.tagName === 'path' && (node.getAttribute('d') || '').length > 200) found += 1;
  [...(node.shadowRoot ? node.shadowRoot.children : []), ...(node.children || [])].forEach(walk);
};
walk(document.body);
return found;
"""


@frozen
class Site:
    """The pages over one run."""

    runs: Path
    tensorboard: str
    mlflow: str

    @property
    def test(self) -> str:
        """The metric on the test split of the run `spirals`, as it is written."""
        return repr(json.loads((self.runs / "spirals/summary.json").read_text())["test"])

    @property
    def page(self) -> str:
        """Of the run `spirals` in MLflow."""
        sent = json.loads((self.runs / "spirals/mlflow/sent.json").read_text())
        return f"{self.mlflow}/#/experiments/1/runs/{sent['run_id']}"

    def born(self, run: str) -> list[int]:
        """The epochs in which seeds germinated."""
        events = [json.loads(line) for line in (self.runs / run / "events.jsonl").read_text().splitlines()]
        return [event["epoch"] for event in events if event.get("before") == "dormant"]


def lacking(browser: webdriver.Chrome, words: Iterable[str]) -> list[str]:
    text = browser.execute_script(TEXT)
    return [word for word in words if word not in text]


def clicked(browser: webdriver.Chrome, texts: Iterable[str]) -> bool:
    """Clicks on the first of these that is there; whether one was."""
    return any(browser.execute_script(CALL, text, "click") for text in texts)


def scrolled(browser: webdriver.Chrome, text: str) -> bool:
    """Scroll to the element that has just this text, and return whether there was one."""
    return bool(browser.execute_script(CALL, text, "scrollIntoView"))


def awaited(browser: webdriver.Chrome, what: Callable[[], bool], otherwise: str) -> None:
    try:
        WebDriverWait(browser, PATIENCE, 0.5).until(lambda _: what())
    except TimeoutException:
        pytest.fail(f"{otherwise}; it shows\n{browser.execute_script(TEXT)[-3000:]}")


def outside(browser: webdriver.Chrome) -> set[str]:
    """Addresses beyond this machine that pages have asked for since this was last called."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]  # type: ignore
    asked = [message["params"]["request"]["url"] for message in messages if message["method"] == ASKED]
    return {url for url in asked if urlsplit(url).scheme in ("http", "https", "ws") and urlsplit(url).hostname != HERE}
