"""How soon a default run has its first line and begins to train, in turn with what importing torch alone takes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROUNDS = 15
KASMINA = Path(sys.executable).parent / "kasmina"
# Bytecode is written once and for all, as it is for whoever installs Kasmina.
SURROUNDINGS = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def import_torch() -> float:
    """Return the seconds that importing torch alone takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import torch"], check=True, env=SURROUNDINGS)
    return time.perf_counter() - began


def start(folder: Path) -> tuple[float, float, float]:
    """Return the seconds to the first line of a run, to the beginning of training and to the end of the first epoch."""
    told: dict[str, float] = {}
    command = [str(KASMINA), "run", "--epochs", "1", "--out", str(folder)]
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=SURROUNDINGS) as process:
        for line in process.stdout or ():
            told.setdefault(line[:9], time.perf_counter() - began)
    assert process.returncode == 0
    return next(iter(told.values())), told["epoch 0/1"], told["epoch 1/1"]


def shown(name: str, seconds: Sequence[float]) -> float:
    """Print median and range, and return the median."""
    median = statistics.median(seconds)
    print(f"{name}: {median:.2f} s [{min(seconds):.2f}, {max(seconds):.2f}]")
    return median


def test_a_run_begins_soon_after_torch_is_there(tmp_path: Path) -> None:
    import_torch()
    start(tmp_path / "warm")  # reads all files once, and compiles them
    torch: list[float] = []
    runs: list[tuple[float, float, float]] = []
    for number in range(ROUNDS):
        if number % 2:
            torch.append(import_torch())
        runs.append(start(tmp_path / str(number)))
        if not number % 2:
            torch.append(import_torch())
    first, begun, ended = (list(seconds) for seconds in zip(*runs, strict=True))
    print()
    shown("import torch", torch)
    line = shown("first line", first)
    shown("training begins", begun)
    shown("first epoch ends", ended)
    later = shown("training begins, beyond import torch", [a - b for a, b in zip(begun, torch, strict=True)])
    assert line <= 0.3 and later <= 1
