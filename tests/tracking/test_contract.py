"""The logger keeps the contract, with the one part left out that would start a process for every check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kasmina.testing import Check, logger_checks
from kasmina.testing.options import Subject, refuse
from kasmina.testing.script import Script
from kasmina.testing.simulated_records import metrics as metrics_of
from kasmina.testing.simulated_run import SimulatedRun
from kasmina_loggers.mlflow import MLflow
from kasmina_loggers.mlflow.outbox import read


class Nobody:
    """A sender that has ended already."""

    def order(self, *orders: Any) -> None:
        pass

    def end(self, seconds: float) -> None:
        pass


@pytest.fixture(autouse=True)
def _nobody_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kasmina_loggers.mlflow.logger.SenderProcess", Nobody)


@pytest.mark.parametrize("check", logger_checks(MLflow))
def test_contract(check: Check) -> None:
    check()


@pytest.fixture
def logger() -> MLflow:
    return MLflow()


@pytest.fixture
def course(tmp_path: Path, logger: MLflow) -> SimulatedRun:
    return SimulatedRun(Script(epochs=12), Subject("logger", MLflow, {}).hooks(logger, refuse), tmp_path)


def epochs(course: SimulatedRun) -> list[tuple[int, float]]:
    told = [record for record, _ in read(course.folder / "mlflow" / "outbox.jsonl")]
    return [(record["step"], record["metrics"]["train/loss"]) for record in told if record["kind"] == "epoch"]


def tell(course: SimulatedRun, first: int, last: int, loss: float) -> None:
    for step in range(first, last + 1):
        course.hooks.log_metrics(metrics=metrics_of(loss), step=step)


def test_what_a_run_goes_back_from_is_never_told(course: SimulatedRun, logger: MLflow) -> None:
    course.hooks.on_run_start(run=course.run)
    tell(course, 1, 4, 1.0)
    saved = logger.state_dict()
    tell(course, 5, 5, 2.0)
    logger.load_state_dict(saved)
    tell(course, 5, 6, 3.0)
    course.hooks.on_run_end(run=course.run, summary=course.summary)
    assert epochs(course) == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 3.0), (6, 3.0)]


def test_a_run_that_is_never_saved_is_told_too(course: SimulatedRun) -> None:
    course.hooks.on_run_start(run=course.run)
    tell(course, 1, 4, 1.0)
    assert epochs(course) == [(1, 1.0), (2, 1.0), (3, 1.0)]
    course.hooks.on_run_end(run=course.run, summary=course.summary)
    assert epochs(course)[-1] == (4, 1.0)


def test_an_epoch_that_is_repeated_after_a_kill_is_not_told_again(course: SimulatedRun, logger: MLflow) -> None:
    course.hooks.on_run_start(run=course.run)
    tell(course, 1, 4, 1.0)
    logger.state_dict()  # and killed here
    logger.on_run_start(course.run)
    tell(course, 3, 6, 2.0)
    course.hooks.on_run_end(run=course.run, summary=course.summary)
    assert epochs(course) == [(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.0), (5, 2.0), (6, 2.0)]
    begun = [record["id"] for record, _ in read(course.folder / "mlflow" / "outbox.jsonl") if record["kind"] == "begin"]
    assert len(begun) == 2 and len({*begun}) == 1


def test_a_link_in_a_strangers_folder_leads_nowhere(course: SimulatedRun, logger: MLflow, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "mlflow").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="is a link; let it be a folder"):
        logger.on_run_start(course.run)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_where_mlflow_is_not_installed_it_says_how(
    course: SimulatedRun, logger: MLflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kasmina_loggers.mlflow.logger.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="mlflow is not installed; pip install 'kasmina-loggers\\[mlflow\\]'"):
        logger.on_run_start(course.run)
