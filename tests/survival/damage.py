"""A run that stopped in the middle of an epoch, what can become of its files, and what comes of resuming it then."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from attrs import define, field, frozen

from kasmina.errors import KasminaError
from kasmina.run.checkpoints.callback import CheckpointCallback
from kasmina.run.checkpoints.format import FORMAT
from kasmina.run.checkpoints.writer import CheckpointWriter
from kasmina.run.experiment import resume_experiment, run_experiment
from kasmina.run.options.config import configure

EPOCHS, STOP = 12, 10
RECORDS = ("metrics.jsonl", "events.jsonl")


def begin(out: Path, hidden: int, stop: int | None = None) -> None:
    """A run whose every checkpoint is written, and not only as many as the disk's speed allows.

    Args:
        stop: the epoch in the middle of which it stops.
    """
    on_step = CheckpointCallback.on_step

    def stopping(keeper: CheckpointCallback) -> None:
        on_step(keeper)
        growth = keeper.run.growth
        keeper.run.stop |= growth.epochs + 1 == stop and 2 * growth.batches >= keeper.run.info.plan.steps_per_epoch

    options = {"controller": "always", "loggers": {"rich": False}, "device": "cpu"}
    sets = [f"host.hidden={hidden}", "controller.seeds=2"]
    with (
        mock.patch.object(CheckpointCallback, "on_step", stopping),
        mock.patch.object(CheckpointWriter, "save", lambda saver, snapshot: saver._write(snapshot)),
    ):
        run_experiment(configure(None, options, sets, EPOCHS), out, lambda warning: None)


def ending(folder: Path) -> dict[str, Any]:
    """All that must be equal to the bit; the numbers and digests of the records apart."""
    record = json.loads(max((folder / "checkpoints").glob("*.json")).read_text())
    plugins = record["state"].pop("plugins")
    summary = json.loads((folder / "summary.json").read_text())
    del summary["seconds"]
    return {
        "state": (record["state"], record["tensors"], {k: v for k, v in plugins.items() if k != "logger.jsonl"}),
        "best": {name: summary.pop(name) for name in ("best", "test", "validation", "parameters", "seeds")},
        "summary": summary,
        "records": [(folder / name).read_bytes() if (folder / name).is_file() else None for name in RECORDS],
        "logger": plugins.get("logger.jsonl"),
    }


# -- what can become of a file -----------------------------------------------------------------------------------------


@frozen
class Fault:
    """Something that happens to one file."""

    kind: str
    file: str
    """Relative to the run's folder."""
    do: Callable[[Path], object]


def cuts(folder: Path, block: int) -> Iterator[Fault]:
    for file in files(folder):
        for length in range(0, (folder / file).stat().st_size, block):
            yield Fault(f"cut, {kind(file)}", file, partial(os.truncate, length=length))


def flips(folder: Path, tries: int, seed: int = 0) -> Iterator[Fault]:
    """One bit in each; all bytes of a small file."""
    numbers = random.Random(seed)
    for file in files(folder):
        size = (folder / file).stat().st_size
        for at in sorted(numbers.sample(range(size), min(tries, size))):
            yield Fault(f"a bit, {kind(file)}", file, partial(flip, at=at, bit=numbers.randrange(8)))


def losses(folder: Path) -> Iterator[Fault]:
    """Files that are not there, or are none."""
    for file in [*files(folder), "checkpoints"]:
        yield Fault("missing", file, remove)
        yield Fault("a folder in its place", file, instead(Path.mkdir))
        yield Fault("a link to nowhere in its place", file, instead(lambda path: path.symlink_to("nowhere")))
        yield Fault("a link to itself in its place", file, instead(lambda path: path.symlink_to(path.name)))
        yield Fault("a pipe in its place", file, instead(os.mkfifo))


def formats(folder: Path) -> Iterator[Fault]:
    for file in files(folder):
        if file.startswith("checkpoints") and file.endswith(".json"):
            yield Fault("another format", file, renew)


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def kind(file: str) -> str:
    return f"*{Path(file).suffix} of a checkpoint" if file.startswith("checkpoints") else file


def flip(path: Path, at: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        remove(path)
        make(path)

    return do


def renew(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": FORMAT + 1}))


# -- what comes of it --------------------------------------------------------------------------------------------------

OUTCOMES = ("same", "earlier", "best told", "records told", "refused", "WRONG")
"""Ended as the run that never stopped: without a word; from an earlier checkpoint, with a warning; but for the best
epoch, whose checkpoint was damaged, with a warning; but for records that
were damaged before the checkpoint, with a warning. Or refused in a sentence."""


@define
class Trial:
    """One stopped run, tried with many faults."""

    whole: dict[str, Any]
    part: Path
    room: Path
    """Where copies are made."""
    counts: Counter[tuple[str, str]] = field(factory=Counter)
    wrong: list[str] = field(factory=list)

    def suffer(self, fault: Fault) -> str:
        """The outcome of resuming a copy in which it happened."""
        copy = self.room / "copy"
        shutil.copytree(self.part, copy)
        fault.do(copy / fault.file)
        told: list[str] = []
        try:
            resume_experiment(copy, told.append)
            outcome, why = judged(self.whole, ending(copy), told)
        except KasminaError as error:
            outcome, why = ("refused" if "\n" not in str(error) else "WRONG"), str(error)
        except Exception as error:
            outcome, why = "WRONG", f"{type(error).__name__}: {error}"
        finally:
            shutil.rmtree(copy)
        self.counts[fault.kind, outcome] += 1
        if outcome == "WRONG":
            self.wrong.append(f"{fault.kind}, {fault.file}: {why}")
        return outcome

    def table(self) -> str:
        kinds = sorted({kind for kind, _ in self.counts})
        lines = ["", f"{'fault':42}{'tries':>7}" + "".join(f"{outcome:>14}" for outcome in OUTCOMES)]
        for kind in kinds:
            row = [self.counts[kind, outcome] for outcome in OUTCOMES]
            lines.append(f"{kind:42}{sum(row):7}" + "".join(f"{count:14}" for count in row))
        return "\n".join(lines)


def judged(whole: dict[str, Any], found: dict[str, Any], told: list[str]) -> tuple[str, str]:
    same = [name for name in whole if whole[name] == found[name]]
    if len(same) == len(whole):
        return ("earlier" if any("going back" in warning for warning in told) else "same"), ""
    if len(same) == len(whole) - 1 and "best" not in same and any("it was the best" in warning for warning in told):
        return "best told", ""
    if {"state", "summary"} <= {*same} and any("jsonl" in warning for warning in told):
        return "records told", ""
    return "WRONG", f"another {', '.join(name for name in whole if name not in same)}; told: {told}"


def trial(folder: Path, hidden: int) -> Trial:
    begin(folder / "whole", hidden)
    begin(folder / "part", hidden, STOP)
    (folder / "room").mkdir()
    return Trial(ending(folder / "whole"), folder / "part", folder / "room")
