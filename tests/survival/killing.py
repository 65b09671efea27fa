"""Real runs in real processes, killed from outside and taken up again; and whether they end as if nothing had been."""

from __future__ import annotations

import csv
import json
import math
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from kasmina.run.checkpoints.format import listed, read_checkpoint
from kasmina.run.checkpoints.store import best, newest
from kasmina.testing.engine_fixture import same

HERE = Path(__file__).parent
RECORD = 16
"""Bytes a record of the logger `steps`."""
EVERY = ("--device", "cpu", "--logger", "steps")
PAUSE = 0.0005


@frozen
class Place:
    """A folder in which runs are made, with what they need beside it."""

    path: Path

    @classmethod
    def made(cls, path: Path) -> Place:
        """With the tests' plugins really installed, a host of the user's own and a table."""
        source = path / "source"
        shutil.copytree(HERE / "survivors", source)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        subprocess.run([*pip, "--target", str(path / "plugins"), str(source)], check=True, timeout=600)
        shutil.copy(HERE / "nets.py", path)
        draw = random.Random(0)
        with (path / "table.csv").open("w", newline="") as file:
            rows = ([draw.gauss(0, 1) for _ in range(3)] for _ in range(300))
            csv.writer(file).writerows(
                [["a", "b", "c", "y"], *([a, b, c, math.sin(2 * a) + b * c] for a, b, c in rows)]
            )
        return cls(path)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """``kasmina run WORDS`` in a process of its own."""
        paths = [str(self.path / "plugins"), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        environment["XDG_CONFIG_HOME"] = str(self.path / "config")
        command = [sys.executable, "-m", "kasmina", "run", *words]
        with (self.path / "output").open("a") as output:
            return subprocess.Popen(command, cwd=self.path, env=environment, stdout=output, stderr=output, text=True)

    def begin(self, words: tuple[str, ...], name: str) -> subprocess.Popen[str]:
        return self.start(*words, *EVERY, "--out", name)

    def resume(self, name: str) -> subprocess.Popen[str]:
        return self.start("--resume", name)

    def steps(self, name: str, last: int | None = None) -> list[tuple[int, float]]:
        """All that the logger has written of a run, or the last of it."""
        with self.file(name).open("rb") as file:
            records = file.seek(0, os.SEEK_END) // RECORD
            file.seek(RECORD * (records - min(records, last or records)))
            content = file.read()
        return list(struct.iter_unpack("<qd", content[: len(content) // RECORD * RECORD]))

    def file(self, name: str) -> Path:
        return self.path / f"{name}.steps"


@frozen
class Reference:
    """A run that was never stopped."""

    path: Path
    times: dict[int, float]
    """Seconds from the beginning of training to the end of each step."""

    @classmethod
    def of(cls, place: Place, words: tuple[str, ...], name: str) -> Reference:
        ended(place.begin(words, name))
        (_, began), *steps = place.steps(name)
        return cls(place.path / name, {0: 0.0} | {step: at - began for step, at in steps})

    @property
    def seconds(self) -> float:
        return max(self.times.values())


@frozen
class Kill:
    """What was there when a process was killed."""

    step: int
    """The last that was done."""
    epoch: int
    found: str
    """What growth was doing in the state that is resumed from."""
    saving: bool
    """Whether a checkpoint was half written."""
    lost: float
    """Seconds in which the reference did what has to be done again."""


def ended(process: subprocess.Popen[str], status: int = 0) -> None:
    """Raises AssertionError: it did not end so."""
    assert process.wait(timeout=600) == status, f"{process.args!r} ended with {process.returncode}, due is {status}"


Due = Callable[[Path], bool]
"""Whether the moment to kill has come."""


def waited(place: Place, name: str, process: subprocess.Popen[str], step: int, due: Due) -> bool:
    """Waits until this process trains and has come to that step, and then until it is due; False if it ended first."""
    size = place.file(name).stat().st_size if place.file(name).exists() else 0
    while True:
        come = place.file(name).exists() and place.file(name).stat().st_size > size
        if come and place.steps(name, last=1)[-1][0] >= step and due(place.path / name):
            return process.poll() is None
        if process.poll() is not None:
            return False
        time.sleep(PAUSE)


def at_once(run: Path) -> bool:
    return True


def saving(run: Path) -> bool:
    """A checkpoint is half written: the tensors of one are there that is newer than all that are whole.

    Those of an older one are of one that is being removed.
    """
    names = os.listdir(run / "checkpoints")
    whole = max((name[:6] for name in names if name.endswith(".json")), default="")
    return any(name.lstrip(".")[:6] > whole for name in names)


def finding(what: str) -> Due:
    """The newest checkpoint is of a moment at which growth was at that."""

    def found(run: Path) -> bool:
        try:
            _, path = listed(run / "checkpoints")[0]
            return what in finds(json.loads(path.read_text())["state"]["growth"])
        except (OSError, IndexError):  # it is gone already, for there is a newer one
            return False

    return found


def finds(growth: dict[str, Any]) -> Iterator[str]:
    """What growth is at, in a few words."""
    for record in growth["manager"]["seeds"]:
        facts = record["_extra_state"]
        yield {"culled": "fading"}.get(facts["stage"], facts["stage"])
        if len(facts["blueprints"]) > 1:
            yield "candidates"
    if growth["germination"]["pending"]:
        yield "pending"
    if growth["needs"]["recorder"]:
        yield "watched"


def killed(place: Place, name: str, process: subprocess.Popen[str], reference: Reference) -> Kill:
    """Kills it, and looks at what is left."""
    process.send_signal(signal.SIGKILL)
    process.wait()
    run = place.path / name
    half = saving(run)
    found = newest(run / "checkpoints", lambda warning: None).last
    step = max(0, place.steps(name)[-1][0])
    step = step or found.facts.step  # it has not trained since it was resumed
    state = found.state["growth"]
    epoch = sum(step > end for end in ends(reference))
    lost = reference.times[step] - reference.times[found.facts.step]
    return Kill(step, epoch, " ".join(dict.fromkeys(finds(state))) or "-", half, max(0.0, lost))


def ends(reference: Reference) -> list[int]:
    """The last steps of epochs."""
    steps, epochs = max(reference.times), len((reference.path / "metrics.jsonl").read_text().splitlines())
    return list(range(steps // epochs, steps + 1, steps // epochs))


def differences(run: Path, other: Path) -> list[str]:
    """In what two finished runs are not equal to the bit."""
    files = ["metrics.jsonl", "events.jsonl"]
    found = [name for name in files if (run / name).read_bytes() != (other / name).read_bytes()]
    states = [read_checkpoint(listed(path / "checkpoints")[0][1]) for path in (run, other)]
    found += [f"state.{key}" for key in states[0].state if not same(states[0].state[key], states[1].state.get(key))]
    if states[0].state.keys() != states[1].state.keys():
        found.append("state")
    facts = [evolve(each.facts, seconds=0.0, good=None, best=None) for each in states]
    found += ["facts"] * (facts[0] != facts[1])
    bests = [best(path / "checkpoints", lambda warning: None).state for path in (run, other)]
    found += ["best"] * (not same(*bests))
    told = [json.loads((path / "summary.json").read_text()) for path in (run, other)]
    for summary in told:
        del summary["seconds"]
    return found + [f"summary.{key}" for key in told[0].keys() | told[1].keys() if told[0].get(key) != told[1].get(key)]
