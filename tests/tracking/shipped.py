"""Real runs, their models in a real store, and real servers of these, each made once for all tests."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_wine
from tracked import PATIENCE, until

from kasmina.cli.main import main
from kasmina.run.restore import restore
from kasmina_loggers.registry.packaging import samples

SHORT = ["--epochs", "20", "--no-logger", "rich", "--device", "cpu"]
RUNS: dict[str, list[str]] = {
    "spirals": [],
    "better": ["--epochs", "40"],
    "equal": ["--no-logger", "jsonl"],
    "digits": ["--task", "digits", "--host", "cnn"],
    "wine": ["--task", "file", "--set", "task.path={}/wine.csv", "--set", "batch=16"],
    "diabetes": ["--task", "file", "--set", "task.path={}/diabetes.csv"],
}


@attrs.define(eq=False)
class Shop:
    """A folder of runs, and what is registered of them."""

    folder: Path

    def __attrs_post_init__(self) -> None:
        for name, data in {"wine": load_wine(), "diabetes": load_diabetes()}.items():
            names = data.target_names[data.target] if name == "wine" else data.target
            with (self.folder / f"{name}.csv").open("w", newline="") as file:
                rows = csv.writer(file)
                rows.writerow([*data.feature_names, "target"])
                rows.writerows([*x, y] for x, y in zip(data.data.tolist(), names, strict=True))
        self.run = cache(self._run)
        self.promoted = cache(self._promoted)

    run: Callable[[str], Path] = attrs.field(init=False)
    promoted: Callable[[str], str] = attrs.field(init=False)

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    def _run(self, name: str) -> Path:
        out = self.folder / name
        words = [word.format(self.folder) for word in RUNS[name]]
        assert main(["run", *SHORT, *words, "--out", str(out)]) == 0
        return out

    def _promoted(self, name: str) -> str:
        """The URI of the run's model in the registry."""
        assert main(["promote", str(self.run(name)), "--name", name]) == 0
        return f"models:/{name}@champion"

    def evaluated(self, name: str) -> tuple[np.ndarray[Any, Any], list[str]]:
        """What `kasmina evaluate --predictions` says: probabilities or values, and predictions."""
        file = self.folder / f"{name}.predictions.csv"
        assert main(["evaluate", str(self.run(name)), "--predictions", str(file)]) == 0
        header, *rows = csv.reader(io.StringIO(file.read_text()))
        first = 2 if len(header) > 2 else 1
        return np.array([[float(value) for value in row[first:]] for row in rows]), [row[1] for row in rows]

    def request(self, name: str) -> dict[str, Any]:
        """The run's test split as a body."""
        trained = restore(self.run(name))
        x = samples(trained, "test")
        if x.ndim > 2:
            return {"inputs": x.tolist()}
        names = trained.data.features or [f"x{k}" for k in range(1, x.shape[1] + 1)]
        return {"dataframe_split": {"columns": list(names), "data": x.astype(float).tolist()}}


@attrs.define(eq=False)
class Process:
    """A command of Kasmina's, running."""

    words: list[str]
    folder: Path
    process: Any = attrs.field(init=False)
    said: Path = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.said = self.folder / f"said-{time.monotonic_ns()}"
        with self.said.open("wb") as file:
            self.process = subprocess.Popen(
                self.words, stdout=file, stderr=subprocess.STDOUT, cwd=self.folder, env=os.environ | {"COLUMNS": "200"}
            )

    @property
    def text(self) -> str:
        return self.said.read_text()

    def says(self, mark: str) -> str:
        """All that it has said, once `mark` is in it."""

        def ready() -> bool:
            assert self.process.poll() is None or mark in self.text, self.text
            return mark in self.text

        until(ready, f"{self.words} says {mark!r}")
        return self.text

    def end(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return int(self.process.wait(PATIENCE))
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@attrs.define(eq=False)
class Answer:
    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(url: str, body: bytes | None = None, kind: str | None = "application/json") -> Answer:
    request = urllib.request.Request(url, body, {"Content-Type": kind} if kind else {})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return Answer(answer.status, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read())


def kasmina(*words: str) -> list[str]:
    return [sys.executable, "-m", "kasmina", *words]


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))
        yield Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def served(shop: Shop) -> Iterator[Callable[[str], Process]]:  # noqa: F811
    """A `kasmina serve` of the run of that name, in a folder where there is none."""
    running: dict[str, Process] = {}
    elsewhere = shop.folder / "elsewhere"
    elsewhere.mkdir()

    def serve(name: str) -> Process:
        if name not in running or running[name].process.poll() is not None:
            shop.promoted(name)
            words = kasmina("serve", "--model", name, "--tracking-uri", shop.uri, "--port", "0")
            running[name] = Process(words, elsewhere)
        return running[name]

    yield serve
    for process in running.values():
        if process.process.poll() is None:
            process.process.send_signal(signal.SIGINT)
    for process in running.values():
        process.end()
