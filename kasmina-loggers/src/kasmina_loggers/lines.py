"""A run as plain lines, for a pipe, a file or the log of a build."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import attrs

from kasmina import Event, Incident, Phase
from kasmina_loggers import facts
from kasmina_loggers.course import Course


@attrs.define
class Lines:
    """Says each thing once: the start, phases, changes of stage, `most` times the metrics, and the end."""

    course: Course
    file: IO[str]
    most: int

    def start(self) -> None:
        self._say(f"kasmina run {self.course.run.name}")
        self._list(facts.of_start(self.course.run))

    def phase(self, phase: Phase) -> None:
        self._at(self.course.epoch, f"phase {phase.name}: {facts.of_phase(phase)}")

    def change(self, event: Event) -> None:
        seed, about = event.seed, facts.of_change(event)
        where = f"seed {seed.id} at {seed.site}: {event.before} -> {seed.stage}"
        self._at(event.epoch, f"{where}; {about}" if about else where)

    def incident(self, incident: Incident) -> None:
        self._at(incident.epoch, f"{incident.kind} at step {incident.step}: {facts.of_incident(incident)}")

    def metrics(self) -> None:
        epoch, epochs = self.course.epoch, self.course.run.plan.epochs
        every = -(-epochs // self.most) or 1
        if epoch % every == 0 or epoch == epochs:
            self._at(epoch, "  ".join(f"{label} {text}" for label, text in facts.of_epoch(self.course)))

    def end(self, summary: Mapping[str, Any]) -> None:
        self._list(facts.of_end(summary, self.course.run))

    def close(self) -> None:
        """Nothing is held open."""

    def _at(self, epoch: int, text: str) -> None:
        epochs = self.course.run.plan.epochs
        self._say(f"epoch {epoch:>{len(str(epochs))}}/{epochs}  {text}")

    def _list(self, pairs: facts.Facts) -> None:
        for label, text in pairs:
            self._say(f"{label:<10}  {text}")

    def _say(self, line: str) -> None:
        # A site's or a reason's letters must not end a run whose output goes to a file of a narrower encoding.
        encoding = getattr(self.file, "encoding", None) or "utf-8"
        print(line.encode(encoding, "replace").decode(encoding), file=self.file, flush=True)
