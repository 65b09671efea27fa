"""A real server that goes away: it costs a warning, and nothing is lost or doubled."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from test_strangers import BEGIN, outbox
from tracked import Server, Tracked, sent, until

from kasmina.cli.main import main
from kasmina.testing.options import Subject, refuse
from kasmina.testing.script import Script
from kasmina.testing.simulated_records import metrics as metrics_of
from kasmina.testing.simulated_run import SimulatedRun
from kasmina_loggers.mlflow import MLflow, tracking_store
from kasmina_loggers.mlflow.client import TrackingClient
from kasmina_loggers.mlflow.delivery_state import DeliveryState
from kasmina_loggers.mlflow.outbox import Outbox
from kasmina_loggers.mlflow.sender import NICE


class Run:
    """A run that is told epoch by epoch, at the pace of the test."""

    def __init__(self, folder: Path, uri: str, **options: Any) -> None:
        folder.mkdir(parents=True)
        for name in ("config.yaml", "summary.json"):
            (folder / name).write_text("{}\n")
        self.folder, self.logger, self.step = folder, MLflow(tracking_uri=uri, system=0.2, **options), 0
        self.course = SimulatedRun(Script(epochs=12), Subject("logger", MLflow, {}).hooks(self.logger, refuse), folder)
        self.hooks = self.course.hooks
        self.hooks.on_run_start(run=self.course.run)
        assert self.logger._sender is not None
        self.sender = psutil.Process(self.logger._sender._process.pid)

    @property
    def outbox(self) -> Outbox:
        assert self.logger._outbox is not None
        return self.logger._outbox

    def epochs(self, count: int) -> None:
        for _ in range(count):
            self.step += 1
            self.hooks.log_metrics(metrics=metrics_of(1 / self.step), step=self.step)
        self.logger.state_dict()

    def ends(self, status: str = "failed") -> None:
        """Without a model: there is no run to be packed."""
        self.hooks.log_artifact(path=self.folder / "config.yaml")
        self.hooks.on_run_end(run=self.course.run, summary=self.course.summary | {"status": status})

    def is_there(self, uri: str) -> bool:
        tracked = Tracked(uri, self.folder)
        due = [(step, 1 / step) for step in range(1, self.step + 1)]
        return tracked.history("train/loss") == due and "config.yaml" in tracked.artifacts()


Begin = Callable[..., Run]
Said = Callable[[], list[str]]
"""All lines on stderr so far."""


@pytest.fixture
def begin() -> Iterator[Begin]:
    """Begin a run; the senders of such runs, which wait an hour for their store, end with the test."""
    begun: list[Run] = []

    def run(*arguments: Any, **options: Any) -> Run:
        begun.append(Run(*arguments, **options))
        return begun[-1]

    yield run
    for one in begun:
        with suppress(psutil.NoSuchProcess):
            one.sender.kill()
            one.sender.wait()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """All lines on stderr so far."""
    lines: list[str] = []

    def so_far() -> list[str]:
        lines.extend(capsys.readouterr().err.splitlines())
        return lines

    return so_far


def test_a_server_that_dies_and_comes_back_has_missed_nothing(
    begin: Begin, server: Server, tmp_path: Path, said: Said
) -> None:
    run = begin(tmp_path / "runs" / "one", server.uri)
    run.epochs(5)
    until(lambda: sent(run.folder).get("position") == run.outbox.position, "the first epochs are sent")
    server.kill()
    run.epochs(5)
    until(said, "the run hears that the server is away")
    server.start()
    run.epochs(5)
    until(lambda: len(said()) == 2, "the run hears that the server is back")
    run.epochs(5)
    run.ends()
    told = [line for line in said() if "sending what is left" not in line]
    assert len(told) == 2, told
    assert told[0].startswith(f"kasmina: warning: mlflow: {server.uri} does not answer: ")
    assert told[0].endswith("; what it misses is sent when it is back")
    assert told[1] == f"kasmina: mlflow: {server.uri} is back, and has what it missed"
    assert run.is_there(server.uri)
    found = Tracked(server.uri, run.folder)
    assert found.found.info.status == "FAILED"
    steps = [step for step, _ in found.history("system/cpu_utilization_percentage")]
    assert steps == list(range(len(steps))) and steps


def test_what_a_server_missed_to_the_end_is_sent_by_sync(
    begin: Begin,
    server: Server,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    said: Said,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    server.kill()
    run = begin(tmp_path / "runs" / "one", server.uri)
    run.epochs(10)
    until(said, "the run hears that nobody answers")
    before = time.monotonic()
    run.ends()
    assert time.monotonic() - before < 30  # of 60, and it does not wait at all
    command = f"kasmina sync --tracking-uri {server.uri} {run.folder}"
    assert len(said()) == 2 and said()[1].endswith(f"still away; '{command}' sends what it misses")
    until(lambda: not run.sender.is_running(), "the sender ends, for there is nobody to send to")
    assert main(["sync", "runs/one"]) == 2
    assert f"'kasmina sync --tracking-uri {server.uri} runs/one' goes on there" in capsys.readouterr().err
    assert main(command.split()[1:]) == 1
    assert "does not answer" in capsys.readouterr().err
    server.start()
    assert main(command.split()[1:]) == 0
    assert "all " in capsys.readouterr().out
    assert run.is_there(server.uri)


def test_the_machine_of_a_long_outage_is_sent_whole(tmp_path: Path) -> None:
    """MLflow takes 1000 metrics at a time."""
    run = tmp_path / "runs" / "one"
    outbox(run, BEGIN)
    sent = DeliveryState(tracking_store.where("", run.parent))
    client = TrackingClient(run, run / "mlflow", sent, pytest.fail)
    client.drain()
    client.samples([({f"system/{name}": 1.0 for name in range(3)}, time) for time in range(400)])
    steps = [step for step, _ in Tracked(sent.tracking_uri, run).history("system/2")]
    assert steps == [*range(400)]


@pytest.mark.skipif(not hasattr(os, "nice"), reason="no niceness")
def test_the_sender_leaves_the_processors_to_the_run(begin: Begin, server: Server, tmp_path: Path) -> None:
    run = begin(tmp_path / "runs" / "one", server.uri, wait=0)
    until(lambda: run.sender.nice() == min(19, os.nice(0) + NICE), "it stands back")
    # Linux weighs nice only within a session: one of its own would count as much as all of the run.
    assert os.getsid(run.sender.pid) == os.getsid(0) and os.getpgid(run.sender.pid) != os.getpgid(0)
    run.ends()


@pytest.mark.parametrize("uri", ["htp://nowhere", "sqlite:////dev/null/no/such.db"])
def test_a_store_that_cannot_be_costs_one_warning(begin: Begin, uri: str, tmp_path: Path, said: Said) -> None:
    run = begin(tmp_path / "runs" / "one", uri)
    run.epochs(3)
    until(said, "the run hears of it")
    run.epochs(3)
    run.ends()
    told = said()
    assert told[0].startswith("kasmina: warning: mlflow: ") and len(told) <= 2, told
    assert not [line for line in told if "Traceback" in line]


def test_a_sender_that_is_killed_costs_one_warning(begin: Begin, server: Server, tmp_path: Path, said: Said) -> None:
    run = begin(tmp_path / "runs" / "one", server.uri)
    run.epochs(3)
    run.sender.kill()
    until(said, "the run hears of it")
    run.ends()
    [warning] = said()
    assert "sender.log says why" in warning
    assert main(["sync", "--tracking-uri", server.uri, str(run.folder)]) == 0
    assert run.is_there(server.uri)
