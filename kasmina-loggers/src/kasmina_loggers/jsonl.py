"""Metrics and events as lines of JSON in the run's folder."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import attrs

from kasmina import Event, Phase, RunInfo, hookimpl


@attrs.define(eq=False)
class Jsonl:
    """Writes metrics.jsonl, one record an epoch, and events.jsonl, one record a change of a seed's stage.

    A record is written at once and by a single call, so that ``tail -f`` sees it whole and a crash loses none. The
    files are strict JSON: a number that is not finite becomes null. They are appended to, so a resumed run goes on
    where it stopped; where it had to repeat an epoch, that epoch's later record holds.
    """

    _phase: str = attrs.field(default="", init=False)
    _metrics: BinaryIO | None = attrs.field(default=None, init=False)
    _events: BinaryIO | None = attrs.field(default=None, init=False)

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self.on_run_end()  # of a run that never ended
        self._metrics = open_records(run.folder / "metrics.jsonl")
        self._events = open_records(run.folder / "events.jsonl")

    @hookimpl
    def on_phase_start(self, phase: Phase) -> None:
        self._phase = phase.name

    @hookimpl
    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        numbers = {name: finite(value) for name, value in metrics.items()}
        write(self._metrics, {"step": step, "phase": self._phase, "metrics": numbers})

    @hookimpl
    def on_seed_change(self, event: Event) -> None:
        write(self._events, record_of(event))

    @hookimpl
    def on_run_end(self) -> None:
        for file in (self._metrics, self._events):
            if file is not None:
                file.close()
        self._metrics = self._events = None


def record_of(event: Event) -> dict[str, Any]:
    """An event as one flat record, the seed's fields beside the event's own."""
    seed = event.seed
    return {
        "step": event.step,
        "epoch": event.epoch,
        "phase": event.phase,
        "seed": seed.id,
        "site": seed.site,
        "blueprint": seed.blueprint,
        "before": event.before.value,
        "stage": seed.stage.value,
        "alpha": finite(seed.alpha),
        "contribution": finite(seed.contribution),
        "reason": event.reason,
        "parameters": seed.parameters,
    }


def finite(value: float | None) -> float | None:
    """`value` as JSON can say it: integers stay, scalars of other libraries become floats, NaN and infinities null."""
    if value is None or isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def open_records(path: Path) -> BinaryIO:
    """Open a file of records for appending, unbuffered, without a last record that a crash left unfinished."""
    file = open(path, "ab+", buffering=0, opener=_no_link)
    file.truncate(end_of_records(file))
    return file


def _no_link(path: str, flags: int) -> int:
    """Opens the file itself: in a run's folder that came from a stranger, a link might lead to a file of the user's."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


def end_of_records(file: BinaryIO, block: int = 4096) -> int:
    """The position just after the last newline, found from the end backwards."""
    position = file.seek(0, os.SEEK_END)
    while position > 0:
        start = max(0, position - block)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        position = start
    return 0


def write(file: BinaryIO | None, record: Mapping[str, Any]) -> None:
    """Append one record, if the file is open: a run that fails early may have opened none."""
    if file is not None:
        # ASCII keeps one record one line for every reader: some take U+2028 or U+0085 for the end of a line.
        file.write(json.dumps(record, allow_nan=False).encode("ascii") + b"\n")
