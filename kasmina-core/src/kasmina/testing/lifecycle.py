"""Rule 8, a second and independent model of a seed's life, compared with what the manager does."""

from __future__ import annotations

from typing import Any

import torch

from kasmina.errors import PluginError
from kasmina.growth.seed import Seed
from kasmina.growth.stages import IllegalTransition
from kasmina.records import Stage
from kasmina.testing.cases import Case
from kasmina.testing.engine_fixture import EngineFixture, hooks

Operation = tuple[str, Any]
TRANSITIONS = {
    ("dormant", "training"),
    ("training", "blending"),
    ("blending", "probation"),
    ("probation", "active"),
    ("training", "culled"),
    ("blending", "culled"),
    ("probation", "culled"),
    ("active", "culled"),
}
GROWING = ("training", "blending", "probation")


class LifecycleModel:
    """A model of legal changes that drives a manager by operations and compares the two after each."""

    def __init__(self, case: Case) -> None:
        self.engine = EngineFixture(case, training=2, blending=3, probation=1)
        self.keys = list(self.engine.host.state_dict())
        places = self.engine.places.items()
        others = [name for name, place in places if name != case.site and case.body.fits(place.site) is None]
        self.sites = [case.site, *others][:3]
        self.born: list[Seed] = []

    def play(self, operations: list[Operation]) -> None:
        """Do these operations, and raise AssertionError where manager and model differ."""
        for name, argument in operations:
            seen, stages, levels = len(self.engine.events), self._stages(), [seed.level for seed in self.born]
            getattr(self, f"_{name}")(argument)
            self._assert_events(self.engine.events[seen:], stages)
            falling = (*GROWING, "active", "culled") if name == "cut" else ("culled",)
            self._assert_alphas(stages, levels, falling)
            assert list(self.engine.host.state_dict()) == self.keys, "the keys of the host's state_dict changed"

    def _step(self, ramped: float | None) -> None:
        self.engine.ramp = lambda seed, step: ramped
        blending = [seed.level for seed in self.born if seed.stage == "blending"]
        refused = ramped is not None and any(not level <= ramped <= 1 for level in blending)
        try:
            self.engine.train()
        except PluginError:
            assert refused, f"a ramp of {ramped} was refused, alpha being {blending}"
        else:
            assert not refused, f"a ramp of {ramped} was taken, alpha being {blending}"

    def _germinate(self, which: int) -> None:
        site = self.sites[which % len(self.sites)]
        busy = any(seed.place.site.name == site and self._is_growing(seed) for seed in self.born)
        seed = self._attempt(not busy, lambda: self.engine.germinate(site))
        self.born += [seed] if seed else []

    def _keep(self, which: int) -> None:
        if self.born:
            seed = self.born[which % len(self.born)]
            self._attempt(seed.stage == "probation", lambda: self.engine.manager.keep(seed))

    def _cull(self, which: int) -> None:
        if self.born:
            seed = self.born[which % len(self.born)]
            self._attempt(seed.stage in (*GROWING, "active"), lambda: self.engine.manager.cull(seed))

    def _cut(self, which: int) -> None:
        if self.born:
            seed = self.born[which % len(self.born)]
            self._attempt(self._is_growing(seed) or seed.stage == "active", lambda: self.engine.manager.cut(seed))
            assert (
                seed.level == 0 and seed.id not in self.engine.manager.seeds
            ), "a seed that was cut is still in the manager"
            left = {id(p) for group in self.engine.optimizer.param_groups for p in group["params"]}
            assert not left & {id(p) for p in seed.parameters()}, "a seed that was cut is still in the optimiser"

    def _attempt(self, legal: bool, act: Any) -> Any:
        before = self._everything()
        try:
            result = act()
        except IllegalTransition:
            assert not legal, "a legal change was refused"
            assert self._everything() == before, "a refused change left something behind"
            return None
        assert legal, "an illegal change was let through"
        return result

    def _is_growing(self, seed: Seed) -> bool:
        return seed.stage in GROWING or (seed.stage == "culled" and seed.level > 0)

    def _stages(self) -> dict[int, Stage]:
        return {seed.id: seed.stage for seed in self.born}

    def _everything(self) -> Any:
        manager = self.engine.manager
        groups = [[id(p) for p in group["params"]] for group in self.engine.optimizer.param_groups]
        seeds = [(seed.state, seed.steps) for seed in self.born]
        return seeds, groups, hooks(self.engine.host), len(self.engine.events), list(manager.seeds), manager.past

    def _assert_events(self, events: list[Any], before: dict[int, Stage]) -> None:
        told = [(state.id, was, state.stage) for was, state in events]
        changed = [(s.id, before.get(s.id, Stage.DORMANT), s.stage) for s in self.born]
        assert told == [(id, was, now) for id, was, now in changed if was is not now], f"told {told}, saw {changed}"
        assert all((was, now) in TRANSITIONS for _, was, now in told), f"an illegal change: {told}"

    def _assert_alphas(self, before: dict[int, Stage], levels: list[float], falling: tuple[str, ...]) -> None:
        levels_fit = all(0 <= seed.level <= 1 and float(seed.alpha) == _rounded(seed.level) for seed in self.born)
        assert levels_fit, "alpha is not from 0 to 1, or not the one that is shown"
        for seed, level in zip(self.born, levels, strict=False):
            was = before[seed.id]
            rises, falls = seed.level > level, seed.level < level
            assert not rises or was == "blending", f"alpha rose in {was}"
            assert not falls or was in falling, f"alpha fell in {was}"
        for seed in self.born:
            due = {"training": (0,), "probation": (1,), "active": (1,)}.get(seed.stage)
            assert due is None or seed.level in due, f"alpha is {seed.level} in {seed.stage}"


def _rounded(level: float) -> float:
    return float(torch.tensor(level))


def life_is_legal(case: Case, operations: list[Operation]) -> None:
    """Assert that each change of stage is a legal one and reported once."""
    LifecycleModel(case).play(operations)


def stages_last(case: Case, training: int, blending: int, probation: int) -> None:
    """Assert that each stage lasts the given number of steps, and the fall of alpha as long as its rise."""
    engine = EngineFixture(case, training, blending, probation)
    seed = engine.germinate()
    assert _steps_until(engine, lambda: seed.stage == "blending") == training
    assert _steps_until(engine, lambda: seed.stage == "probation") == blending
    assert _steps_until(engine, lambda: seed in engine.manager.due()) == probation
    engine.manager.cull(seed)
    assert _steps_until(engine, lambda: seed.id not in engine.manager.seeds) == blending


def _steps_until(engine: EngineFixture, reached: Any) -> int:
    for step in range(99):
        if reached():
            return step
        engine.manager.after_step()
    raise AssertionError("the stage has no end")
