"""Runs that are stopped and resumed, or rolled back: a plugin's state must hold all that it needs."""

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
    """Draw some of the moments of a run at which to stop."""
    return frozenset(random.Random(script.seed).sample(range(1, script.epochs * MOMENTS + 1), count))


@define(eq=False)
class Stops:
    """Stops of a simulated run: a new instance of the plugin takes over, or the same one is rolled back."""

    subject: Subject
    plugin: Any

    def resume(self, course: SimulatedRun, phase: Phase) -> None:
        """Resume from a checkpoint with a new instance; metrics logged after the checkpoint are logged again."""
        saved = self._saved()
        course.hooks.log_metrics(metrics=metrics(), step=course.epoch + 1)
        course.hooks.on_run_end(run=course.run, summary=course.summary | {"status": "stopped"})
        self.plugin = self.subject.make()
        course.hooks = self.subject.hooks(self.plugin, refuse)
        course.hooks.on_run_start(run=course.run)
        course.hooks.on_phase_start(phase=phase, run=course.run)
        self._load(saved)

    def go_back(self, course: SimulatedRun, phase: Phase) -> None:
        """Roll the same instance back, after it was told of another run."""
        saved = self._saved()
        SimulatedRun(Script(99, 12), course.hooks, course.folder).play()
        course.hooks.on_phase_start(phase=phase, run=course.run)
        self._load(saved)

    def _saved(self) -> Any:
        return through_json(self.subject.states(self.plugin, refuse).state_dict())

    def _load(self, saved: Any) -> None:
        self.subject.states(self.plugin, refuse).load_state_dict(saved)


def through_json(states: Any) -> Any:
    """Return states as a checkpoint restores them: plain values through JSON, and the same tensors."""
    tensors: list[Any] = []

    def apart(tensor: Any) -> dict[str, int]:
        tensors.append(tensor)
        return {"(tensor)": len(tensors) - 1}

    def together(table: dict[str, Any]) -> Any:
        return tensors[table["(tensor)"]] if "(tensor)" in table else table

    return json.loads(json.dumps(states, default=apart), object_hook=together)
