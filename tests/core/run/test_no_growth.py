"""A run in which nothing can germinate needs no sites, and what may grow at them matters to nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
from governor import GROWTH, Diary, Gardener, planted
from torch import nn

from kasmina import Site
from kasmina.errors import UsageError
from kasmina.run.experiment import resume_experiment, run_experiment
from kasmina.run.options.config import PHASES, configure


@attrs.define(eq=False)
class Never:
    """A controller that has no say in germinations."""


@attrs.define(eq=False)
class Net:
    """A host that suggests no sites."""

    def build(self, in_shape: tuple[int, ...], outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(in_shape[0], 3), nn.Tanh(), nn.Linear(3, outputs))


@attrs.define(eq=False)
class Nowhere:
    """A blueprint that fits no site."""

    def fits(self, site: Site) -> str:
        return "it fits nowhere"

    def build(self, site: Site) -> nn.Module:
        raise AssertionError("nobody may ask for this")


def phases(**of: Any) -> dict[str, Any]:
    return {"phases": {name: {"epochs": 0} for name in PHASES} | {"grow": {"epochs": 2} | of}}


NOTHING: dict[str, tuple[type, dict[str, Any]]] = {
    "no plugin proposes": (Never, phases()),
    "no phase germinates": (Gardener, phases(germinate=False)),
    "the phase that germinates has no epochs": (
        Gardener,
        {"phases": phases(germinate=False)["phases"] | {"later": {"epochs": 0}}},
    ),
    "no seed is allowed": (Gardener, phases() | {"budget": {"seeds": 0}}),
}


def begun(path: Path, controller: object, options: dict[str, Any], **plugins: Any) -> str:
    named: dict[str, Any] = dict.fromkeys(["task", "host", "controller", "blueprint"], "mine")
    usual = {"batch": 16, "device": "cpu", "growth": GROWTH}
    with planted(Diary(), {"controller": controller, "host": Net()} | plugins):
        return str(run_experiment(configure(None, named | usual | options), path, pytest.fail)[1]["status"])


@pytest.mark.parametrize("why", NOTHING)
def test_where_nothing_can_germinate_no_site_is_needed(tmp_path: Path, why: str) -> None:
    controller, options = NOTHING[why]
    assert begun(tmp_path / "run", controller(), options) == "finished"


@pytest.mark.parametrize("why", NOTHING)
def test_nor_a_blueprint_that_fits(tmp_path: Path, why: str) -> None:
    controller, options = NOTHING[why]
    sites = {"sites": ["0"]}
    assert begun(tmp_path / "run", controller(), options | sites, blueprint=Nowhere()) == "finished"
    with pytest.raises(UsageError, match="site 'nothing'"):
        begun(tmp_path / "other", controller(), options | {"sites": ["nothing"]}, blueprint=Nowhere())


def test_where_a_seed_may_germinate_a_site_is_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="suggests no sites; name some of its modules with --site"):
        begun(tmp_path / "run", Gardener(), phases())


def test_such_a_run_is_taken_up_and_read_as_any_other(tmp_path: Path) -> None:
    assert begun(tmp_path / "run", Never(), phases()) == "finished"
    (tmp_path / "run" / "summary.json").unlink()
    with planted(Diary(), {"controller": Never(), "host": Net()}):
        assert resume_experiment(tmp_path / "run", pytest.fail)[1]["status"] == "finished"
