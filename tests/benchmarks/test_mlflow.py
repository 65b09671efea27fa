"""What the logger `mlflow` costs: whole commands with it and without, in turns; and an outage of its server."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tracked import Server, epochs_of

ROUNDS = 5
COMMAND = """
import sys, time
from kasmina.cli.main import main
status = main(["run", *sys.argv[1:], "--json"])
print("", time.process_time(), file=sys.stderr)
sys.exit(status)
"""
PLAIN = ["--no-logger", "rich", "--device", "cpu"]
LOGGED = [*PLAIN, "--logger", "mlflow"]
AT_ONCE = [*LOGGED, "--set", "loggers.mlflow.wait=0"]
WAYS = {"without": PLAIN, "with": LOGGED, "with, wait=0": AT_ONCE}
SECOND = ["--set", "task.samples=240000", "--epochs", "25"]
"""Epochs of a second or so."""
YIELDS = 19
"""How nice the server is: it stands for one on another machine, and takes what the run leaves of the processors."""

PARTS = ("command", "run itself", "processor")
"""What is timed: the whole command; the run, as its summary has it; and what the run's process took of the processors,
which is the one that does not depend on what else the machine does."""
Seconds = tuple[float, ...]


def whole(here: Path, words: list[str]) -> Seconds:
    """Seconds of each of `PARTS`."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", COMMAND, *words], cwd=here, capture_output=True, text=True)
    spent = time.perf_counter() - began
    assert done.returncode == 0, done.stderr
    return spent, json.loads(done.stdout)["seconds"], float(done.stderr.split()[-1])


def settled(here: Path) -> None:
    """No sender of an earlier run is at work any more, which would hold up the next."""
    for path in here.glob("runs/*/mlflow/sent.json"):
        while not json.loads(path.read_text())["over"]:
            time.sleep(0.1)


def in_turns(here: Path, rounds: int, ways: dict[str, Callable[[], Seconds]]) -> dict[str, list[float]]:
    """The ratio of each way to the first, round by round, of whole commands and of runs; printed, and medians kept."""
    found: dict[str, list[Seconds]] = {name: [] for name in ways}
    for number in range(rounds + 1):  # the first makes the database
        for name, way in list(ways.items())[:: 1 if number % 2 else -1]:
            found[name].append(way())
            settled(here)
    base = found[next(iter(ways))][1:]
    medians: dict[str, list[float]] = {}
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    print(f"\n{rounds} rounds on {os.cpu_count()} cores, load {load:.1f}")
    for name, pairs in found.items():
        medians[name] = []
        for part, label in enumerate(PARTS):
            seconds = [pair[part] for pair in pairs[1:]]
            ratios = sorted(pair[part] / other[part] for pair, other in zip(pairs[1:], base, strict=True))
            medians[name].append(statistics.median(ratios))
            middle, span = statistics.median(seconds), f"[{min(seconds):.2f}, {max(seconds):.2f}]"
            print(
                f"{name:14} {label:10} {middle:7.2f} s {span:16} "
                f"ratio {medians[name][-1]:.3f} [{ratios[0]:.3f}, {ratios[-1]:.3f}]"
            )
    return medians


@pytest.mark.parametrize(("options", "most"), [([], 1.10), (SECOND, 1.02)], ids=["default", "epochs of a second"])
def test_what_it_costs(tmp_path: Path, options: list[str], most: float) -> None:
    ways = {name: lambda words=words: whole(tmp_path, [*words, *options]) for name, words in WAYS.items()}
    found = in_turns(tmp_path, ROUNDS if most > 1.05 else 3, ways)
    assert found["with"][1] < most and found["with"][2] < most
    assert found["with, wait=0"][0] < most


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    one = Server(folder, port, nice=YIELDS)
    one.start()
    yield one
    one.kill()


def test_what_an_outage_costs(tmp_path: Path, server: Server) -> None:
    """The server is killed in the middle of the run, and started again."""
    words = [*LOGGED, "--set", f"loggers.mlflow.tracking_uri={server.uri}", "--epochs", "600"]

    def stays() -> Seconds:
        return whole(tmp_path, words)

    def goes() -> Seconds:
        known = set(tmp_path.glob("runs/*"))
        other = threading.Thread(target=restart, args=[tmp_path, known, server])
        other.start()
        spent = whole(tmp_path, words)
        other.join()
        return spent

    assert in_turns(tmp_path, 3, {"it stays": stays, "it goes": goes})["it goes"][1] < 1.05


def restart(here: Path, known: set[Path], server: Server) -> None:
    """Kills the server as soon as a new run has some epochs, and starts it again."""
    while not [run for run in set(here.glob("runs/*")) - known if begun(run)]:
        time.sleep(0.1)
    server.kill()
    server.start()


def begun(run: Path) -> bool:
    return (run / "metrics.jsonl").is_file() and len(epochs_of(run)) >= 100
