"""A run as plain lines, for a pipe, a file or the log of a build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import attrs

from kasmina import Event, Incident, Phase
from kasmina_loggers.descriptions import describe_change, describe_incident
from kasmina_loggers.rich import summary_rows
from kasmina_loggers.rich.progress import Progress


@attrs.define
class PlainText:
    """Printer of start, phases, changes of stage, incidents and end, and of the metrics about `most` times."""

    progress: Progress
    file: IO[str]
    most: int

    def start(self) -> None:
        self._say(f"kasmina run {self.progress.run.name}")
        self._list(summary_rows.start_rows(self.progress.run))

    def phase(self, phase: Phase) -> None:
        self._at(self.progress.epoch, f"phase {phase.name}: {summary_rows.describe_phase(phase)}")

    def change(self, event: Event) -> None:
        seed, about = event.seed, describe_change(event)
        where = f"seed {seed.id} at {seed.site}: {event.before} -> {seed.stage}"
        self._at(event.epoch, f"{where}; {about}" if about else where)

    def incident(self, incident: Incident) -> None:
        self._at(incident.epoch, f"{incident.kind} at step {incident.step}: {describe_incident(incident)}")

    def metrics(self) -> None:
        epoch, epochs = self.progress.epoch, self.progress.run.plan.epochs
        every = -(-epochs // self.most) or 1
        if epoch % every == 0 or epoch == epochs:
            self._at(epoch, "  ".join(f"{label} {text}" for label, text in summary_rows.epoch_rows(self.progress)))

    def end(self, summary: Mapping[str, Any]) -> None:
        self._list(summary_rows.end_rows(summary, self.progress.run))

    def close(self) -> None:
        """Do nothing: nothing is held open."""

    def _at(self, epoch: int, text: str) -> None:
        epochs = self.progress.run.plan.epochs
        self._say(f"epoch {epoch:>{len(str(epochs))}}/{epochs}  {text}")

    def _list(self, pairs: summary_rows.Rows) -> None:
        for label, text in pairs:
            self._say(f"{label:<10}  {text}")

    def _say(self, line: str) -> None:
        # Letters of a site or reason must not end a run whose output goes to a file with a narrower encoding.
        encoding = getattr(self.file, "encoding", None) or "utf-8"
        print(line.encode(encoding, "replace").decode(encoding), file=self.file, flush=True)
