"""Real runs, real senders, and a real MLflow server that can be killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import attrs

from kasmina_loggers.mlflow import tracking_store

PATIENCE = 120.0
"""Seconds for whatever will certainly come, on a machine that is busy with other things."""


def until(holds: Callable[[], Any], what: str) -> Any:
    """What it gives, once that is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := holds():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {PATIENCE:g} seconds")


def sent(run: Path) -> dict[str, Any]:
    """How far the run's outbox was sent; nothing, if nobody has begun."""
    path = run / "mlflow" / "sent.json"
    return json.loads(path.read_text()) if path.exists() else {}


@attrs.define(eq=False)
class Tracked:
    """A run as MLflow has it."""

    uri: str
    run: Path

    @property
    def client(self) -> Any:
        return tracking_store.client(self.uri)

    @property
    def found(self) -> Any:
        return self.client.get_run(sent(self.run)["run_id"])

    def history(self, name: str) -> list[tuple[int, float]]:
        points = self.client.get_metric_history(sent(self.run)["run_id"], name)
        return sorted((point.step, point.value) for point in points)

    def artifacts(self, folder: str | None = None) -> list[str]:
        return [item.path for item in self.client.list_artifacts(sent(self.run)["run_id"], folder)]


def epochs_of(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def each_epoch_once(tracked: Tracked, epochs: int) -> None:
    """MLflow has the very numbers of metrics.jsonl, no more and no fewer."""
    records = epochs_of(tracked.run)
    assert [record["step"] for record in records] == list(range(1, epochs + 1))
    for name in {name for record in records for name in record["metrics"]}:
        due = [(record["step"], record["metrics"][name]) for record in records if name in record["metrics"]]
        assert tracked.history(name) == due, name


@attrs.define(eq=False)
class Server:
    """``mlflow server`` on a port of its own."""

    folder: Path
    port: int
    nice: int = 0
    process: subprocess.Popen[bytes] | None = attrs.field(default=None, init=False)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        tracking_store.quiet()
        words = ["--backend-store-uri", f"sqlite:///{self.folder}/server.db", "--host", "127.0.0.1", "--workers", "1"]
        words += ["--artifacts-destination", str(self.folder / "artifacts"), "--port", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *words], stdout=log, stderr=log, start_new_session=True
            )
        with suppress(FileNotFoundError):  # where sessions are not weighed against one another
            Path(f"/proc/{self.process.pid}/autogroup").write_text(str(self.nice))
        until(self.answers, "the MLflow server answers")

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
