"""Runs that are killed, stopped and go back: MLflow has each epoch once, and knows how it stands."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tracked import Tracked, each_epoch_once, sent, until

from kasmina.cli.main import main
from kasmina.run import loop
from kasmina.run.recovery.governor import TrainingFault
from kasmina.run.report import report_growth
from kasmina.run.training import Training
from kasmina_loggers.mlflow import tracking_store

EPOCHS = 20
WORDS = ["run", "--epochs", str(EPOCHS), "--controller", "always", "--device", "cpu", "--no-logger", "rich"]
WORDS += ["--logger", "mlflow", "--set", "loggers.mlflow.wait=300", "--out", "runs/one"]
SIGNALLED = """
import os, sys
from kasmina.cli.main import main
from kasmina.run import loop
step = loop.step
def deadly(run, index):
    step(run, index)
    if run.growth.step == {step}:
        os.{kill}
loop.step = deadly
sys.exit(main({words!r}))
"""


def signalled(here: Path, step: int, kill: str) -> int:
    """The exit status of a run, in a process group of its own, to which this happens after a step."""
    source = SIGNALLED.format(step=step, kill=kill, words=WORDS)
    done = subprocess.run([sys.executable, "-c", source], cwd=here, capture_output=True, start_new_session=True)
    return done.returncode


def status(tracked: Tracked) -> tuple[str, str]:
    found = tracked.found
    return found.info.status, found.data.tags["kasmina.status"]


def test_a_run_that_is_killed_and_resumed_is_one_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert signalled(tmp_path, 7 * 22 + 3, f"kill(os.getpid(), {signal.SIGKILL:d})") == -signal.SIGKILL
    tracked = Tracked(tracking_store.where("", tmp_path / "runs"), tmp_path / "runs" / "one")
    until(lambda: sent(tracked.run).get("over"), "the sender has sent what was told")
    assert status(tracked) == ("KILLED", "killed")
    assert [step for step, _ in tracked.history("train/loss")] == [1, 2, 3, 4, 5, 6, 7]
    first = sent(tracked.run)["run_id"]
    monkeypatch.chdir(tmp_path)
    assert main(["run", "--resume", "runs/one"]) == 0
    assert sent(tracked.run)["run_id"] == first
    assert status(tracked) == ("FINISHED", "finished")
    each_epoch_once(tracked, EPOCHS)


def test_ctrl_c_stops_the_run_and_not_the_sender(tmp_path: Path) -> None:
    assert signalled(tmp_path, 5 * 22 + 3, f"killpg(0, {signal.SIGINT:d})") == 130
    tracked = Tracked(tracking_store.where("", tmp_path / "runs"), tmp_path / "runs" / "one")
    until(lambda: sent(tracked.run).get("over"), "the sender has sent what was told")
    assert status(tracked) == ("KILLED", "stopped")
    each_epoch_once(tracked, 5)
    assert {"config.yaml", "summary.json"} <= {*tracked.artifacts()}


def test_an_epoch_that_the_governor_takes_back_is_there_as_it_was_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    faults = iter([6, 11])
    due: int | None = next(faults)

    def failing(run: Training) -> None:
        nonlocal due
        report_growth(run)
        if run.growth.epoch == due:
            due = next(faults, None)
            raise TrainingFault("something is wrong after the epoch was told")

    monkeypatch.setattr(loop, "report_growth", failing)
    assert main(WORDS) == 0
    tracked = Tracked(tracking_store.where("", Path("runs")), Path("runs/one"))
    incidents = [json.loads(line) for line in Path("runs/one/events.jsonl").read_text().splitlines()]
    assert [line["incident"] for line in incidents if "incident" in line] == ["rollback", "rollback"]
    each_epoch_once(tracked, EPOCHS)
