"""What a logger costs: default runs as whole processes, with it and without it in turn."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import attrs
import pytest

ROUNDS = int(os.environ.get("ROUNDS", 7))
PLAIN = ("--logger", "rich", "--logger", "jsonl")


@attrs.frozen
class Cost:
    """Of one process."""

    wall: float
    cpu: float
    """Seconds of all its threads and children, which other processes on the machine disturb less."""


def measured(folder: Path, seed: int, *loggers: str) -> Cost:
    words = ["kasmina", "run", "--out", str(folder), "--seed", str(seed), *PLAIN, *loggers]
    source = f"import sys; from kasmina.cli.main import main; sys.argv = {words!r}; sys.exit(main())"
    began, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-c", source], check=True, capture_output=True)
    wall, after = time.perf_counter() - began, os.times()
    spent = (after.children_user + after.children_system) - (before.children_user + before.children_system)
    return Cost(wall, spent)


def ratio(name: str, folder: Path) -> float:
    """The median over all rounds of what a default run takes with this logger, against the same without it."""
    found: list[tuple[Cost, Cost]] = []
    for number in range(ROUNDS):
        pair = {}
        for way in ((), ("--logger", name)) if number % 2 else (("--logger", name), ()):
            pair[way] = measured(folder / f"{number}{len(way)}", number, *way)
        found.append((pair["--logger", name], pair[()]))
    walls, cpus = (
        sorted(getattr(ours, kind) / getattr(theirs, kind) for ours, theirs in found) for kind in ("wall", "cpu")
    )
    print(f"\n{name}: a default run of {statistics.median(plain.wall for _, plain in found):.1f} s takes")
    for kind, ratios in (("wall time", walls), ("CPU time", cpus)):
        print(f"  {statistics.median(ratios):.3f} of its {kind} [{ratios[0]:.3f}, {ratios[-1]:.3f}]")
    return statistics.median(walls)


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    assert ratio("tensorboard", tmp_path) <= 1.10
