"""A made-up but complete course of a run, played to loggers through a real plugin manager."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pluggy
import pytest

from kasmina import Choices, DataInfo, Event, Metrics, Phase, Plan, RunInfo, SeedState, Site, Stage, hookspecs

SITES = ("layers.0", "layers.1", "layers.2")
LIFE = (Stage.TRAINING, Stage.BLENDING, Stage.PROBATION, Stage.ACTIVE)
REASONS = {
    Stage.TRAINING: "validation loss has not improved for 8 epochs (best 0.4310 at epoch 14), need is highest here",
    Stage.BLENDING: "trained for 6 epochs",
    Stage.PROBATION: "alpha reached 1",
    Stage.ACTIVE: "the validation loss would rise without it",
    Stage.CULLED: "it contributes nothing",
    Stage.DORMANT: "the site is free again",
}


@attrs.define
class Course:
    """Calls the hooks as a run would: `play` all of it, or piece by piece."""

    run: RunInfo
    hooks: Any
    pace: Callable[[int], None] = lambda step: None
    seeds: dict[int, SeedState] = attrs.field(factory=dict)
    events: list[Event] = attrs.field(factory=list)
    step: int = 0

    def play(self, status: str = "finished", **ending: Any) -> None:
        self.hooks.on_run_start(run=self.run)
        self.grow()
        self.hooks.on_run_end(run=self.run, summary=self.summary(status) | ending)

    def grow(self) -> None:
        epoch = 0
        for phase in self.run.plan.phases:
            self.hooks.on_phase_start(phase=phase, run=self.run)
            for _ in range(phase.epochs):
                epoch += 1
                self.epoch(epoch, phase)

    def epoch(self, epoch: int, phase: Phase) -> None:
        for _ in range(self.run.plan.steps_per_epoch):
            self.step += 1
            self.hooks.on_step_end(step=self.step)
            self.pace(self.step)
        self.live(epoch, phase)
        self.hooks.log_metrics(metrics=self.metrics(epoch), step=epoch)

    def live(self, epoch: int, phase: Phase) -> None:
        """A seed germinates every 12 epochs and takes a stage every 4; every third is culled after probation."""
        if not phase.germinate:
            return
        if epoch % 12 == 0:
            new = len(self.seeds) + 1
            site = SITES[new % 3]
            self.seeds[new] = SeedState(new, site, "bottleneck", Stage.DORMANT, 0.0, 40 + 28 * (new % 3), epoch)
        for seed in list(self.seeds.values()):
            age = epoch - seed.germinated_at
            if seed.stage is Stage.CULLED:
                self.change(epoch, phase, seed.id, Stage.DORMANT, alpha=0.0)
            elif seed.stage is not Stage.DORMANT or age == 0:
                self.ripen(epoch, phase, seed, age)

    def ripen(self, epoch: int, phase: Phase, seed: SeedState, age: int) -> None:
        if seed.stage is Stage.BLENDING:
            self.seeds[seed.id] = attrs.evolve(seed, alpha=min(1.0, (age - 3) / 4))
        if age % 4 or age // 4 >= len(LIFE):
            return
        stage = LIFE[age // 4]
        if stage is Stage.ACTIVE:
            good = seed.id % 3 != 0
            worth = 0.0213 / seed.id if good else -0.0004
            change = {"contribution": worth, "active_at": epoch if good else None}
            self.change(epoch, phase, seed.id, Stage.ACTIVE if good else Stage.CULLED, **change)
        else:
            self.change(epoch, phase, seed.id, stage, alpha=float(stage is Stage.PROBATION))

    def change(self, epoch: int, phase: Phase, seed: int, stage: Stage, **change: Any) -> None:
        before = self.seeds[seed].stage
        self.seeds[seed] = attrs.evolve(self.seeds[seed], stage=stage, **change)
        event = Event(epoch, self.step, phase.name, self.seeds[seed], before, REASONS[stage])
        self.events.append(event)
        self.hooks.on_seed_change(event=event)

    @property
    def parameters(self) -> int:
        return self.run.parameters + sum(s.parameters for s in self.seeds.values() if s.stage is not Stage.DORMANT)

    def metrics(self, epoch: int) -> Metrics:
        loss = 0.69 * math.exp(-epoch / 40) + 0.01
        return Metrics(
            train_loss=loss,
            validation_loss=loss * 1.05,
            validation_metric=1 - loss / 1.4,
            metric=self.run.data.metric,
            learning_rate=0.003,
            parameters=self.parameters,
            flops=1000 * epoch,
            seeds=tuple(seed for seed in self.seeds.values() if seed.stage is not Stage.DORMANT),
        )

    def summary(self, status: str) -> dict[str, Any]:
        run = self.run
        fields = ("id", "site", "blueprint", "stage", "germinated_at", "active_at", "parameters", "contribution")
        return {
            "status": status,
            "task": run.choices.task,
            "host": run.choices.host,
            "controller": run.choices.controller,
            "blueprint": run.choices.blueprints[0],
            "seed": run.seed,
            "metric": run.data.metric,
            "test": 0.9712,
            "validation": 0.9688,
            "target": run.data.target,
            "parameters": {"start": run.parameters, "final": self.parameters},
            "seeds": [{field: getattr(seed, field) for field in fields} for seed in self.seeds.values()],
            "epochs": run.plan.epochs,
            "flops": 4_560_000_000,
            "seconds": 42.13,
            "versions": {"kasmina-core": "0.1.0"},
        }


def build_run(folder: Path, **change: Any) -> RunInfo:
    run = RunInfo(
        name="first",
        folder=folder,
        choices=Choices("spirals", "mlp", "heuristic", ("bottleneck",)),
        data=DataInfo("classification", "accuracy", 0.95, (2,), 2),
        plan=Plan((Phase(20, germinate=False, name="warm-up"), Phase(100, decay="cosine", name="adaptation")), 4),
        seed=0,
        device="cpu",
        parameters=105,
        sites=tuple(Site(name, "vector", (8,), (8,)) for name in SITES),
        config={},
    )
    return attrs.evolve(run, **change)


def build_course(run: RunInfo, *plugins: object) -> Course:
    manager = pluggy.PluginManager("kasmina")
    manager.add_hookspecs(hookspecs)
    for plugin in plugins:
        manager.register(plugin)
    manager.check_pending()
    return Course(run, manager.hook)


@pytest.fixture(scope="session")
def make_run() -> Callable[..., RunInfo]:
    """The folder in, the run out; keywords change it."""
    return build_run


@pytest.fixture(scope="session")
def make_course() -> Callable[..., Course]:
    """A run and plugins in, their course out."""
    return build_course


@pytest.fixture
def run(tmp_path: Path) -> RunInfo:
    return build_run(tmp_path)


@pytest.fixture
def course_of(run: RunInfo) -> Callable[..., Course]:
    """A course of `run` for the plugins given."""
    return lambda *plugins: build_course(run, *plugins)
