"""The governor's tables: `pytest -s tests/survival/test_governor.py` prints what was injected and what became of it."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from governor import KINDS, STAGES, Injection, Outcome, suffer

from kasmina import hookimpl
from kasmina.plugins.catalog import find
from kasmina.run import experiment
from kasmina.run.assembly import assemble
from kasmina.run.experiment import run_experiment
from kasmina.run.options.config import Config, configure
from kasmina.run.plugin_set import PluginSet
from kasmina.run.training import Training

HARMLESS = {
    "-inf",  # the host's ReLU makes a zero of it
}


def row(injected: str, stage: str, often: float, outcome: Outcome, sound: Outcome) -> str:
    what, step, done = outcome.seen
    fired = outcome.injection.fired
    within = f"{step - fired[0] + ('after step' in what)}" if step and fired else "-"
    what = what if len(what) < 90 else f"{what[:40]}…{what[-48:]}"
    columns = [
        f"{injected:23}",
        f"{stage:9}",
        "once  " if often == 1 else "always",
        f"{what or ('never broke' if not fired else 'felt by nobody'):90}",
        f"{within:>2}",
        f"{done[:70]:70}",
        f"{len(outcome.incidents)}",
        outcome.summary["status"],
        f"{outcome.summary['validation']:.3f}",
        f"{sound.summary['validation']:.3f}",
    ]
    return " | ".join(columns)


def test_seeds_that_break_at_each_stage(tmp_path: Path) -> None:
    rows, number = [], 0
    sound = {keeps: suffer(tmp_path / f"sound-{keeps}", keeps=keeps) for keeps in (True, False)}
    assert not any(outcome.incidents for outcome in sound.values())
    for kind in KINDS:
        for stage in STAGES:
            for often in (1, math.inf):
                number += 1
                keeps = stage != "fading"
                outcome = suffer(tmp_path / str(number), Injection(kind, stage, often), keeps=keeps)
                rows.append(row(kind, stage, often, outcome, sound[keeps]))
                assert outcome.summary["status"] == "finished" and outcome.diary.unsound == [], rows[-1]
                assert math.isfinite(outcome.summary["validation"]) and math.isfinite(outcome.summary["test"]), rows[-1]
                if outcome.incidents and "in eval" not in kind:
                    assert outcome.injection.fired[0] - outcome.seen[1] in (0, 1), rows[-1]
    print(
        "\ninjected | stage | often | seen | within steps | done | returns | status | validation | validation without"
    )
    print("\n".join(rows))


def test_hosts_that_break(tmp_path: Path) -> None:
    rows, sound = [], suffer(tmp_path / "sound", seeds={})
    gone = {"until": lambda run: run.governor.returns > 0}
    cases: list[tuple[str, str, float, dict[str, Any]]]
    cases = [(kind, "host", often, {}) for kind in KINDS if "shape" not in kind for often in (1, math.inf)]
    cases += [(kind, "host", 1, gone) for kind in ("NaN", "1e30", "NaN gradient", "NaN in eval")]
    cases += [("", "between", 1, {}), ("", "after an epoch", 1, {})]
    for number, (kind, stage, often, more) in enumerate(cases):
        injection = Injection(kind, stage, math.inf if more else often, **more)
        outcome = suffer(tmp_path / str(number), injection, seeds={})
        name = kind or "a weight set to NaN"
        rows.append(row(f"{name}, rate at fault" if more else name, stage, often, outcome, sound))
        assert outcome.diary.unsound == [], rows[-1]
        assert outcome.summary["status"] == "finished" or outcome.error in outcome.summary["error"], rows[-1]
        if more or not kind:
            assert outcome.summary["status"] == "finished", rows[-1]
    print(
        "\ninjected | stage | often | seen | within steps | done | returns | status | validation | validation without"
    )
    print("\n".join(rows))


@pytest.mark.parametrize("factor", [1e2, 1e4, 1e6])
def test_a_learning_rate_that_is_much_too_large_is_halved_until_the_run_is_given_up(
    tmp_path: Path, factor: float
) -> None:
    outcome = suffer(tmp_path / "run", seeds={}, learning_rate=0.02 * factor)
    print(f"\nlearning rate {0.02 * factor:g}: {outcome.summary['status']}, {len(outcome.incidents)} returns,", end=" ")
    print(f"validation {outcome.summary['validation']:.3f}; {outcome.seen[0]}")
    assert outcome.diary.unsound == []
    worst = outcome.run.governor._worst
    assert outcome.incidents or worst is not None and worst < 100


# -- innocents --------------------------------------------------------------------------------------------------------


def heavy(path: Path, tails: str) -> str:
    """A table of heavy-tailed targets."""
    draw = np.random.RandomState(0)
    x = draw.randn(2000, 4)
    noise = {"normal with one of 50 sigma": draw.randn(2000), "t2": draw.standard_t(2, 2000)}
    noise |= {"cauchy": draw.standard_cauchy(2000), "lognormal": draw.lognormal(0, 2, 2000)}
    y = x[:, 0] * x[:, 1] + noise[tails]
    if "50" in tails:
        y[7] = 50 * y.std()
    file = path / "table.csv"
    np.savetxt(file, np.column_stack([x, y]), delimiter=",", header="a,b,c,d,y", comments="")
    return str(file)


INNOCENT = [
    *({"task": {"name": name}, "seed": seed} for name in ("spirals", "digits", "moons") for seed in range(5)),
    *({"task": {"name": name}, "learning_rate": 0.1} for name in ("spirals", "digits", "moons", "clusters")),
    *({"task": {"name": "digits"}, "host": {"name": "mlp"}, "learning_rate": rate} for rate in (0.02, 0.1)),
    *({"task": {"name": "digits"}, "batch": size} for size in (1, 4)),
]
TAILS = ["normal with one of 50 sigma", "t2", "cauchy", "lognormal"]


def calm(tmp_path: Path, options: dict[str, Any], epochs: int = 40) -> tuple[int, dict[str, Any]]:
    """How many incidents a run has, and its summary."""
    config = configure(None, {"loggers": {"rich": False, "jsonl": {}}} | options, epochs=epochs)
    path, summary = run_experiment(config, tmp_path / "run", pytest.fail)
    lines = [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]
    return sum("incident" in line for line in lines), summary


@pytest.mark.parametrize("options", INNOCENT, ids=str)
def test_an_innocent_run_is_never_touched(tmp_path: Path, options: dict[str, Any]) -> None:
    incidents, summary = calm(tmp_path, options, epochs=3 if options.get("batch") == 1 else 40)
    print(f"\n{options}: {incidents} incidents, validation {summary['validation']:.3f}")
    assert incidents == 0 and summary["status"] == "finished"


@pytest.mark.parametrize("batch", [1, 8, 64])
@pytest.mark.parametrize("rate", [0.02, 0.1])
@pytest.mark.parametrize("tails", TAILS)
def test_heavy_tails_are_no_fault(tmp_path: Path, tails: str, rate: float, batch: int) -> None:
    task = {"name": "file", "path": heavy(tmp_path, tails), "label": "y"}
    options = {"task": task, "learning_rate": rate, "batch": batch}
    incidents, summary = calm(tmp_path, options, epochs=4 if batch == 1 else 15)
    print(f"\n{tails}, rate {rate}, batch {batch}: {incidents} incidents, validation {summary['validation']:.3f}")
    assert incidents == 0 and summary["status"] == "finished"


# -- one seed, one result ---------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Gambler:
    """A logger that draws random numbers whenever an epoch ends."""

    drawn: int = attrs.field(default=0, init=False)

    def _draw(self) -> None:
        self.drawn += 1
        random.random(), np.random.rand(3), torch.rand(3)

    @hookimpl
    def on_phase_start(self) -> None:
        self._draw()

    @hookimpl
    def on_epoch_end(self) -> None:
        self._draw()

    @hookimpl
    def log_metrics(self) -> None:
        self._draw()

    @hookimpl
    def log_histograms(self) -> None:
        self._draw()

    @hookimpl
    def on_seed_change(self) -> None:
        self._draw()


def bits(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    loggers: dict[str, Any] | None = None,
    gambler: Gambler | None = None,
    **options: Any,
) -> dict[str, torch.Tensor]:
    """Host's weights and seeds' of the default run, of fewer epochs."""
    runs: list[Training] = []
    of = PluginSet.of

    def assembled(*args: Any) -> Training:
        runs.append(assemble(*args))
        return runs[-1]

    def with_gambler(config: Config) -> PluginSet:
        plugins = of(config)
        entry = attrs.evolve(find("logger", "jsonl"), name="gambler")
        entries = {**plugins.entries, "logger.gambler": entry}
        return attrs.evolve(plugins, loggers={**plugins.loggers, "gambler": gambler}, entries=entries)

    monkeypatch.setattr(experiment, "assemble", assembled)
    if gambler is not None:
        monkeypatch.setattr(PluginSet, "of", with_gambler)
    off = {"rich": False, "jsonl": False}
    config = configure(None, {"loggers": off | (loggers or {})} | options, epochs=60)
    run_experiment(config, tmp_path / name, pytest.fail)
    monkeypatch.undo()
    (run,) = runs
    seeds = run.growth.manager.seeds
    assert run.growth.seeds
    return {**run.host.state_dict()} | {
        f"{id}.{k}": v for id, s in seeds.items() for k, v in s.body.state_dict().items()
    }


def test_one_seed_gives_one_result_whoever_listens_and_however_it_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = bits(tmp_path, monkeypatch, "silent")
    gambler = Gambler()
    others: dict[str, dict[str, Any]] = {
        "jsonl": {"loggers": {"jsonl": {}}},
        "rich": {"loggers": {"rich": {}}},
        "gambler": {"gambler": gambler},
        "seldom saved": {"checkpoint": {"epochs": 50}},
        "always saved": {"checkpoint": {"epochs": 1, "seconds": 1e-6}},
    }
    for name, options in others.items():
        monkeypatch.setenv("FORCE_COLOR", "1")  # for rich takes it for a terminal
        found = bits(tmp_path, monkeypatch, name, **options)
        assert found.keys() == due.keys(), name
        assert all(torch.equal(value, found[key]) for key, value in due.items()), name
    assert gambler.drawn > 100
