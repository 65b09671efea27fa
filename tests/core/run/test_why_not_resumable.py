"""A run whose plugins remember what cannot be saved: it goes on, says so once, and is not resumed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
from governor import GROWTH, OTHER, SITE, Diary, planted

from kasmina import Observation, RunInfo, hookimpl
from kasmina.errors import UsageError
from kasmina.run.checkpoints.writer import CheckpointWriter
from kasmina.run.experiment import resume_experiment, run_experiment
from kasmina.run.options.config import PHASES, configure

OPTIONS = {"batch": 16, "device": "cpu", "sites": [SITE, OTHER], "growth": GROWTH}


@attrs.define(eq=False)
class Draws:
    """A controller that makes its random numbers as the run starts, and keeps them in a field."""

    _draw: random.Random = attrs.field(init=False)

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self._draw = random.Random(run.seed)

    @hookimpl
    def on_epoch_end(self, observation: Observation) -> None:
        self._draw.random()


@attrs.define(eq=False)
class Keeps(Draws):
    """The same, which says how its random numbers are kept."""

    drawn: list[float] = attrs.field(init=False, factory=list)

    @hookimpl
    def on_epoch_end(self, observation: Observation) -> None:
        self.drawn.append(self._draw.random())

    def state_dict(self) -> dict[str, Any]:
        version, words, spare = self._draw.getstate()
        return {"draw": [version, list(words), spare], "drawn": self.drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        version, words, spare = state["draw"]
        self._draw.setstate((version, tuple(words), spare))
        self.drawn = state["drawn"]


@attrs.define(eq=False)
class Later:
    """A controller with a field that can be saved at first, and after the third epoch no more."""

    _thing: Any = attrs.field(init=False, default=None)

    @hookimpl
    def on_epoch_end(self, observation: Observation) -> None:
        if observation.epoch == 3:
            self._thing = object()


def begun(path: Path, controller: object, warnings: list[str]) -> dict[str, Any]:
    named: dict[str, Any] = dict.fromkeys(["task", "host", "controller", "blueprint"], "mine")
    phases = {"phases": {name: {"epochs": 0} for name in PHASES} | {"grow": {"epochs": 6}}}
    with planted(Diary(), {"controller": controller}):
        return run_experiment(configure(None, named | OPTIONS | phases), path, warnings.append)[1]


def resumed(path: Path, controller: object) -> dict[str, Any]:
    with planted(Diary(), {"controller": controller}):
        return resume_experiment(path, pytest.fail)[1]


@pytest.mark.parametrize("controller", [Draws, Later])
def test_a_run_that_cannot_be_saved_goes_on_and_says_so_once(tmp_path: Path, controller: type) -> None:
    warnings: list[str] = []
    assert begun(tmp_path / "run", controller(), warnings)["status"] == "finished"
    (said,) = warnings
    assert said.startswith("this run cannot be resumed: the controller 'test-controller' of tests 0 keeps in its field")


def test_it_says_so_before_it_trains(tmp_path: Path) -> None:
    warnings: list[str] = []
    at_first_step = []

    @attrs.define(eq=False)
    class Looks(Draws):
        @hookimpl
        def on_step_end(self, step: int) -> None:
            at_first_step.append(len(warnings))

    begun(tmp_path / "run", Looks(), warnings)
    assert at_first_step[0] == 1


def test_it_is_not_resumed(tmp_path: Path) -> None:
    begun(tmp_path / "run", Draws(), [])
    (tmp_path / "run" / "summary.json").unlink()
    with pytest.raises(UsageError, match="run cannot be resumed: the controller .* a Random, which cannot be saved"):
        resumed(tmp_path / "run", Draws())


def test_what_is_made_as_the_run_starts_is_kept(tmp_path: Path) -> None:
    plain, stopped = Keeps(), Keeps()
    begun(tmp_path / "plain", plain, [])
    with pytest.MonkeyPatch.context() as patch:  # killed before anything but the first checkpoint was written
        for name in ("save", "write"):
            patch.setattr(CheckpointWriter, name, lambda self, point: None)
        begun(tmp_path / "killed", stopped, [])
    (tmp_path / "killed" / "summary.json").unlink()
    again = Keeps()
    assert resumed(tmp_path / "killed", again)["status"] == "finished"
    assert again.drawn == plain.drawn and len(again.drawn) == 6
