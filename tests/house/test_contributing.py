"""CONTRIBUTING.md names files, tests and sessions that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
SOURCES = [ROOT / "kasmina-core/src/kasmina", *ROOT.glob("kasmina-*/src")]
ROWS = [line.strip("| ").split(" | ") for line in TEXT.partition("| to find |")[2].splitlines()[2:]]


def test_every_way_to_a_source_or_test_leads_somewhere() -> None:
    words = [
        (word, roots)
        for row in ROWS
        for cell, roots in zip(row[1:], (SOURCES, [ROOT / "tests"]), strict=False)
        for word in re.findall(r"`([\w/]+(?:/|\.py))`", cell)
    ]
    assert len(words) > 50
    assert [word for word, roots in words if not any((root / word).exists() for root in roots)] == []


def test_nothing_is_told_twice() -> None:
    found = [row[0] for row in ROWS]
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    "session", re.findall(r"^@nox\.session.*\n(?:@.*\n)?def (\w+)", (ROOT / "noxfile.py").read_text(), re.M)
)
def test_every_session_is_named(session: str) -> None:
    assert re.search(rf"`{session}\b", TEXT)
