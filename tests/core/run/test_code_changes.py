"""Code of the user's own that is not what a run began with is told, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from kasmina.run.options.config import PluginChoice
from kasmina.run.plugin_set import choose, code_of, tell_changes

NET = """
from torch import nn

def small(in_shape, outputs, width=3):
    return nn.Sequential(nn.Linear(2, width), nn.{}(), nn.Linear(width, outputs))
"""


def test_code_that_changed_is_told_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "changing_nets.py"
    file.write_text(NET.format("ReLU"))
    host = choose("host", PluginChoice("changing_nets:small", {}))[1]
    began = code_of([host, object()])
    assert list(began) == ["changing_nets:small"]

    told: list[str] = []
    tell_changes(began, code_of([host]), told.append)
    assert not told
    file.write_text(NET.format("Tanh"))
    tell_changes(began, code_of([host]), told.append)
    assert len(told) == 1 and "'changing_nets:small'" in told[0]


def test_other_versions_are_told_and_what_is_new_is_not() -> None:
    told: list[str] = []
    tell_changes(
        {"torch": "2.4", "kasmina-core": "1"}, {"torch": "2.5", "kasmina-core": "1", "other": "3"}, told.append
    )
    assert len(told) == 1 and "'torch'" in told[0]
