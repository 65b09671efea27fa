"""Runs that are stopped and taken up again, or go back: what a plugin remembers must be all that it needs."""

from __future__ import annotations

import json
import random
from typing import Any

from attrs import define

from kasmina.records import Phase
from kasmina.testing.options import Subject, refuse
from kasmina.testing.script import MOMENTS, Script
from kasmina.testing.simulated_records import metrics
from kasmina.testing.simulated_run import SimulatedRun


def moments(script: Script, count: int = 6) -> frozenset[int]:
    """Some at which to stop, of all that the course has."""
    return frozenset(random.Random(script.seed).sample(range(1, script.epochs * MOMENTS + 1), count))


@define(eq=False)
class Stops:
    """What happens at a stop: another instance of the plugin takes over, or the same one goes back to where it was."""

    subject: Subject
    plugin: Any

    def resume(self, course: SimulatedRun, phase: Phase) -> None:
        """As from a checkpoint, in a process that is new; what was told after the checkpoint is told again."""
        saved = self._saved()
        course.hooks.log_metrics(metrics=metrics(), step=course.epoch + 1)
        course.hooks.on_run_end(run=course.run, summary=course.summary | {"status": "stopped"})
        self.plugin = self.subject.make()
        course.hooks = self.subject.hooks(self.plugin, refuse)
        course.hooks.on_run_start(run=course.run)
        course.hooks.on_phase_start(phase=phase, run=course.run)
        self._load(saved)

    def go_back(self, course: SimulatedRun, phase: Phase) -> None:
        """As from the memory of a process that lives, after something else has happened."""
        saved = self._saved()
        SimulatedRun(Script(99, 12), course.hooks, course.folder).play()
        course.hooks.on_phase_start(phase=phase, run=course.run)
        self._load(saved)

    def _saved(self) -> Any:
        return through_json(self.subject.states(self.plugin, refuse).state_dict())

    def _load(self, saved: Any) -> None:
        self.subject.states(self.plugin, refuse).load_state_dict(saved)


def through_json(states: Any) -> Any:
    """As it comes back from a checkpoint: plain values from JSON, tensors beside it."""
    tensors: list[Any] = []

    def apart(tensor: Any) -> dict[str, int]:
        tensors.append(tensor)
        return {"(tensor)": len(tensors) - 1}

    def together(table: dict[str, Any]) -> Any:
        return tensors[table["(tensor)"]] if "(tensor)" in table else table

    return json.loads(json.dumps(states, default=apart), object_hook=together)
