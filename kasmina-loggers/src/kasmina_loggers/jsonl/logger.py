"""Metrics and events as lines of JSON in the run's folder."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import attrs

from kasmina import Event, Incident, Metrics, Phase, RunInfo, hookimpl
from kasmina_loggers.journal import Journal

T = TypeVar("T")


@attrs.define(eq=False)
class JSONL:
    """Logger to metrics.jsonl, one record per epoch, and events.jsonl, one per change of a seed's stage or incident.

    A record is written at once, so that ``tail -f`` sees it and a crash loses none; while the disk is full, records
    wait in memory. The files are strict JSON: a number that is not finite becomes null. A run that is resumed, or goes
    back to an earlier state, drops the records after that state, so each thing is recorded once.
    """

    _phase: str = attrs.field(default="", init=False)
    _metrics: Journal | None = attrs.field(default=None, init=False)
    _events: Journal | None = attrs.field(default=None, init=False)

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self.on_run_end()  # the journals of a run that never ended
        self._metrics = Journal(run.folder / "metrics.jsonl")
        try:
            self._events = Journal(run.folder / "events.jsonl")
        except OSError:
            self.on_run_end()
            raise

    @hookimpl
    def on_phase_start(self, phase: Phase) -> None:
        self._phase = phase.name

    @hookimpl
    def log_metrics(self, metrics: Metrics, step: int) -> None:
        numbers = {name: finite(value) for name, value in metrics.as_dict().items()}
        write(self._metrics, {"step": step, "phase": self._phase, "metrics": numbers})

    @hookimpl
    def on_seed_change(self, event: Event) -> None:
        write(self._events, record_of(event))

    @hookimpl
    def on_incident(self, incident: Incident) -> None:
        write(self._events, record_of_incident(incident))

    @hookimpl
    def on_run_end(self) -> None:
        """Close both files.

        Raises:
            OSError: the disk is still full, and records that waited are lost; the message says how many.
        """
        journals = self._journals()
        self._metrics = self._events = None
        each(Journal.close, journals.values())

    def state_dict(self) -> dict[str, Any]:
        journals = self._journals()
        positions = {"metrics": 0, "events": 0} | {name: journal.position for name, journal in journals.items()}
        digests = {name: journal.digest for name, journal in journals.items()}
        waiting = {name: journal.waiting.decode("ascii") for name, journal in journals.items()}
        return {"phase": self._phase, "bytes": positions, "sha256": digests, "waiting": waiting}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go back to the positions of a saved state.

        Raises:
            OSError: a file is shorter than it was or has been changed; new records follow its last whole one.
        """
        self._phase = state["phase"]
        each(lambda name: self._go_back(name, state), self._journals())

    def _go_back(self, name: str, state: Mapping[str, Any]) -> None:
        waiting = state["waiting"].get(name, "").encode("ascii")
        self._journals()[name].go_back(state["bytes"][name], state["sha256"].get(name), waiting)

    def _journals(self) -> dict[str, Journal]:
        both = {"metrics": self._metrics, "events": self._events}
        return {name: journal for name, journal in both.items() if journal is not None}


def each(call: Callable[[T], None], things: Iterable[T]) -> None:
    """Call a function with each of some things, even if it fails for one of them.

    Raises:
        OSError: some calls failed; the message joins theirs.
    """
    failed = []
    for thing in things:
        try:
            call(thing)
        except OSError as error:
            failed.append(str(error))
    if failed:
        raise OSError("; ".join(failed))


def record_of(event: Event) -> dict[str, Any]:
    """Return an event as one flat record, with the seed's fields next to its own."""
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


def record_of_incident(incident: Incident) -> dict[str, Any]:
    """Return an incident as a record; its key "incident" distinguishes it from a change of stage."""
    found = attrs.asdict(incident)
    names = {"incident": "kind"}
    order = ("step", "epoch", "phase", "incident", "reason", "action", "site", "seed")
    return {name: found[names.get(name, name)] for name in order}


def finite(value: float | None) -> float | None:
    """Return `value` as JSON allows it: integers stay, other scalars become floats, NaN and infinities None."""
    if value is None or isinstance(value, int):
        return value
    number = float(value)
    return number if math.isfinite(number) else None


def write(journal: Journal | None, record: Mapping[str, Any]) -> None:
    """Append one record, if the file is open: a run that fails early may have opened none."""
    if journal is not None:
        # ASCII keeps each record on one line for every reader: some take U+2028 or U+0085 for the end of a line.
        journal.add(json.dumps(record, allow_nan=False).encode("ascii") + b"\n")
