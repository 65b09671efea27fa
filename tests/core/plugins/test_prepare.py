"""A logger may begin what takes long before data and host are made ready."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from kasmina.cli.main import main

Plant = Callable[..., Path]

PLUGINS = """
import attrs
from pathlib import Path
from torch import nn
from kasmina import hookimpl

@attrs.define(eq=False)
class Linear:
    def build(self, site):
        return nn.Linear(site.in_features, site.out_features)

@attrs.define(eq=False)
class Never:
    pass

@attrs.define(eq=False)
class Slow:
    fails: bool = False

    def prepare(self):
        if self.fails:
            raise OSError("there is no room")
        Path("prepared").write_text(str(Path("run").exists()))

    @hookimpl
    def on_run_start(self, run):
        Path("begun").touch()
"""
POINTS = {
    "kasmina.blueprints": {"straight": "starters:Linear"},
    "kasmina.controllers": {"calm": "starters:Never"},
    "kasmina.loggers": {"slow": "starters:Slow"},
}
WORDS = ["--controller", "calm", "--blueprint", "straight", "--logger", "slow", "--epochs", "3", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _here(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plant("starters", POINTS, {"starters": PLUGINS})


def test_it_is_called_before_there_is_a_folder() -> None:
    assert main(["run", *WORDS, "--out", "run"]) == 0
    assert Path("prepared").read_text() == "False"


def test_one_that_fails_in_it_is_told_and_called_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", *WORDS, "--out", "run", "--set", "loggers.slow.fails=true"]) == 0
    told = capsys.readouterr().err
    assert told.count("failed in prepare: OSError: there is no room; the run goes on") == 1
    assert Path("begun").exists() and not Path("prepared").exists()
