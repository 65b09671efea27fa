"""The built-in loggers keep the contract."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from kasmina.testing import Check, logger_checks
from kasmina.testing.options import Subject, refuse
from kasmina.testing.resume import Stops, moments
from kasmina.testing.script import Script
from kasmina.testing.simulated_run import SimulatedRun
from kasmina_loggers.jsonl import JSONL

OURS = [
    point.load()
    for point in entry_points(group="kasmina.loggers")
    if "kasmina_loggers" in point.value and point.name not in ("tensorboard", "mlflow")  # tested elsewhere, with extras
]


@pytest.mark.parametrize(
    "check", [pytest.param(check, id=f"{cls.__name__}-{check.name}") for cls in OURS for check in logger_checks(cls)]
)
def test_contract(check: Check) -> None:
    check()


def test_a_run_that_is_stopped_anywhere_leaves_the_same_records(tmp_path: Path) -> None:
    """As one that never was: to the byte, whatever was told after the checkpoint."""
    contents = []
    for seed in range(6):
        for stops in (frozenset[int](), moments(Script(seed, epochs=24))):
            folder = tmp_path / f"{seed} {len(stops)}"
            folder.mkdir()
            subject, logger = Subject("logger", JSONL, {}), JSONL()
            course = SimulatedRun(Script(seed, epochs=24), subject.hooks(logger, refuse), folder)
            course.stops = dict.fromkeys(stops, Stops(subject, logger).resume)
            course.play()
            contents.append([(folder / name).read_bytes() for name in ("metrics.jsonl", "events.jsonl")])
    assert contents[::2] == contents[1::2] and all(map(all, contents))
