"""A real server that goes away: it costs a warning, and nothing is lost or doubled."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from tracked import Tracked, sent, until

from kasmina.cli.main import main
from kasmina.testing.options import Subject, refuse
from kasmina.testing.script import Script
from kasmina.testing.simulated_records import metrics as metrics_of
from kasmina.testing.simulated_run import SimulatedRun
from kasmina_loggers.mlflow import MLflow
from kasmina_loggers.mlflow.sender import BEHIND


class Run:
    """A run that is told epoch by epoch, at the pace of the test."""

    def __init__(self, folder, uri, **options) -> None:
        folder.mkdir(parents=True)
        for name in ("config.yaml", "summary.json"):
            (folder / name).write_text("{}\n")
        self.folder, self.logger, self.step = folder, MLflow(tracking_uri=uri, system=0.2, **options), 0
        self.course = SimulatedRun(Script(epochs=12), Subject("logger", MLflow, {}).hooks(self.logger, refuse), folder)
        self.hooks = self.course.hooks
        self.hooks.on_run_start(run=self.course.run)
        self.sender = psutil.Process(self.logger._watch.sender._process.pid)

    def epochs(self, count) -> None:
        for _ in range(count):
            self.step += 1
            self.hooks.log_metrics(metrics=metrics_of(1 / self.step), step=self.step)
        self.logger.state_dict()

    def looks(self) -> None:
        """As a run does once an epoch, whatever the epoch: what it hears, it says."""
        time.sleep(0.05)
        self.logger._watch.look()

    def ends(self, status="failed") -> None:
        """Without a model: there is no run to be packed."""
        self.hooks.log_artifact(path=self.folder / "config.yaml")
        self.hooks.on_run_end(run=self.course.run, summary=self.course.summary | {"status": status})

    def is_there(self, uri):
        tracked = Tracked(uri, self.folder)
        due = [(step, 1 / step) for step in range(1, self.step + 1)]
        return tracked.history("train/loss") == due and "config.yaml" in tracked.artifacts()


@pytest.fixture
def begin():
    """Begin a run; the senders of such runs, which wait an hour for their store, end with the test."""
    begun = []

    def run(*arguments, **options):
        begun.append(Run(*arguments, **options))
        return begun[-1]

    yield run
    for one in begun:
        with suppress(psutil.NoSuchProcess):
            one.sender.kill()
            one.sender.wait()


def test_a_server_that_dies_and_comes_back_has_missed_nothing(begin, server, tmp_path, capsys) -> None:
    run = begin(tmp_path / "runs" / "one", server.uri)
    run.epochs(5)
    until(lambda: sent(run.folder).get("position") == run.logger._outbox.position, "the first epochs are sent")
    server.kill()
    run.epochs(5)
    until(lambda: run.looks() or sent(run.folder)["trouble"], "the sender sees that the server is away")
    until(lambda: run.looks() or run.logger._watch._away, "the run hears of it")
    server.start()
    run.epochs(5)
    until(lambda: run.looks() or not run.logger._watch._away, "the run hears that the server is back")
    run.epochs(5)
    run.ends()
    said = [line for line in capsys.readouterr().err.splitlines() if "sending what is left" not in line]
    assert len(said) == 2, said
    assert said[0].startswith(f"kasmina: warning: mlflow: {server.uri} does not answer: ")
    assert said[0].endswith("; what it misses is sent when it is back")
    assert said[1] == f"kasmina: mlflow: {server.uri} is back, and has what it missed"
    assert run.is_there(server.uri)
    found = Tracked(server.uri, run.folder)
    assert found.found.info.status == "FAILED"
    steps = [step for step, _ in found.history("system/cpu_utilization_percentage")]
    assert steps == list(range(len(steps))) and steps


def test_what_a_server_missed_to_the_end_is_sent_by_sync(begin, server, tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    server.kill()
    run = begin(tmp_path / "runs" / "one", server.uri)
    run.epochs(10)
    until(lambda: run.looks() or run.logger._watch._away, "the run hears that nobody answers")
    before = time.monotonic()
    run.ends()
    assert time.monotonic() - before < 30  # of 60, and it does not wait at all
    told = capsys.readouterr().err.splitlines()
    command = f"kasmina sync --tracking-uri {server.uri} {run.folder}"
    assert len(told) == 2 and f"'{command}' sends it later" in told[1]
    assert main(["sync", "runs/one"]) == 2
    assert f"'kasmina sync --tracking-uri {server.uri} runs/one' goes on there" in capsys.readouterr().err
    assert main(command.split()[1:]) == 1
    assert "does not answer" in capsys.readouterr().err
    server.start()
    assert main(command.split()[1:]) == 0  # though the sender goes on in the background
    assert "all " in capsys.readouterr().out
    assert run.is_there(server.uri)
    until(lambda: os.waitpid(run.sender.pid, os.WNOHANG) != (0, 0), "the sender ends, for there is nothing left to do")


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="no kernel that weighs sessions")
def test_the_sender_leaves_the_processors_to_the_run_while_that_lives(begin, server, tmp_path) -> None:
    server.kill()  # the sender goes on after the run
    run = begin(tmp_path / "runs" / "one", server.uri, wait=0)
    group = Path(f"/proc/{run.sender.pid}/autogroup")
    until(lambda: group.read_text().endswith(f" nice {BEHIND}\n"), "it stands back")
    run.ends()
    until(lambda: group.read_text().endswith(" nice 0\n"), "it does no more")
    server.start()


@pytest.mark.parametrize("uri", ["htp://nowhere", "sqlite:////dev/null/no/such.db"])
def test_a_store_that_cannot_be_costs_one_warning(begin, uri, tmp_path, capsys) -> None:
    run = begin(tmp_path / "runs" / "one", uri)
    run.epochs(3)
    until(lambda: run.looks() or run.logger._watch._lost or run.logger._watch._away, "the run hears of it")
    run.epochs(3)
    run.ends()
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("kasmina: warning: mlflow: ") and len(told) <= 2, told
    assert not [line for line in told if "Traceback" in line]
