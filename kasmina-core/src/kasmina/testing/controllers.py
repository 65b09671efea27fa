"""Checks of a controller: its answers in simulated runs are legal, and the same to the same, after a resume too."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kasmina.testing.contract_check import Check
from kasmina.testing.options import Subject, hook_checks, option_checks, refuse
from kasmina.testing.resume import Stops, moments
from kasmina.testing.script import Script
from kasmina.testing.simulated_run import Answer, SimulatedRun

SEEDS = range(12)
ONE = ("layers.0",)
SCRIPTS: dict[str, tuple[str, list[Script]]] = {
    "answers many runs": (
        "answers have the right type and propose free sites, whatever the losses do",
        [Script(seed, 60, stage_epochs=1 + seed % 4) for seed in SEEDS],
    ),
    "survives a long run": (
        "a run of 2,000 epochs with 20 sites is like any other",
        [Script(0, 2000, tuple(f"block.{n}" for n in range(20)))],
    ),
    "needs no target": ("a task may have no target", [Script(seed, target=None) for seed in SEEDS]),
    "waits for a free site": ("while no site is free nothing is proposed", [Script(seed, busy=True) for seed in SEEDS]),
    "survives a single site": ("a run may have a single site", [Script(seed, sites=ONE) for seed in SEEDS]),
}


def checks(cls: Any, **options: Any) -> list[Check]:
    """Return the checks of the controller `cls` with these options."""
    subject = Subject("controller", cls, options)
    played = [Check(name, rule, partial(_play_all, subject, scripts)) for name, (rule, scripts) in SCRIPTS.items()]
    alike = [
        Check(
            "same observations, same answers",
            "two of the same options answer alike, one after the other, whatever else draws random numbers",
            lambda: _answers_alike(subject),
        ),
        Check(
            "random numbers are apart",
            "it never draws from Python's or numpy's common random numbers",
            lambda: _random_numbers_are_apart(subject),
        ),
        Check(
            "goes on as if never stopped",
            "another instance, or the same one that goes back, answers on as if nothing had happened, from what it "
            "remembers: its attrs fields with init=False, or what its state_dict() gives",
            lambda: _goes_on(subject),
        ),
    ]
    return [*option_checks(subject), *hook_checks(subject), *played, *alike]


def _play_all(subject: Subject, scripts: list[Script]) -> None:
    for script in scripts:
        _answers(subject, script)


def _answers(subject: Subject, script: Script) -> list[Answer]:
    # The folder is never made: a controller writes no files.
    course = SimulatedRun(script, subject.hooks(subject.make(), refuse), Path("runs", script.name))
    course.play()
    return course.answers


def _answers_alike(subject: Subject) -> None:
    for script in (Script(seed, 100) for seed in SEEDS):
        random.seed(1)
        first = _answers(subject, script)
        random.seed(2)
        second = _answers(subject, script)
        for one, other in zip(first, second, strict=False):
            assert one == other, f"{one.hook} answered {one.answer} in epoch {one.epoch}, and then {other.answer}"


def _goes_on(subject: Subject) -> None:
    for script in (Script(seed, 60, stage_epochs=1 + seed % 4) for seed in SEEDS):
        straight = _answers(subject, script)
        for how in (Stops.resume, Stops.go_back):
            plugin = subject.make()
            stops = Stops(subject, plugin)
            course = SimulatedRun(script, subject.hooks(plugin, refuse), Path("runs", script.name))
            course.stops = dict.fromkeys(moments(script), partial(how, stops))
            course.play()
            for one, other in zip(straight, course.answers, strict=False):
                assert one == other, f"{one.hook} answered {other.answer} in epoch {one.epoch}, and not {one.answer}"


def _random_numbers_are_apart(subject: Subject) -> None:
    before = random.getstate(), repr(np.random.get_state())
    _answers(subject, Script(1, 100))
    assert random.getstate() == before[0], "the state of Python's random numbers moved"
    assert repr(np.random.get_state()) == before[1], "the state of numpy's random numbers moved"
