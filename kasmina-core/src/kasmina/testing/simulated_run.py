"""A run without a network: controllers and loggers are told of it in made-up numbers."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
from attrs import define, field, frozen

from kasmina.errors import PluginError
from kasmina.plugins.hooks import Hooks
from kasmina.records import (
    Event,
    Incident,
    Metrics,
    Observation,
    Phase,
    Predictions,
    Proposal,
    RunInfo,
    SeedState,
    SiteState,
    Stage,
    Verdict,
)
from kasmina.testing import simulated_records
from kasmina.testing.script import STEPS, Script

NUMBERS = ("train_loss", "validation_loss", "validation_metric")


@frozen
class Answer:
    """A controller's answer to a hook."""

    hook: str
    epoch: int
    answer: Any


@define(eq=False)
class SimulatedRun:
    """One run, played to hooks; `answers` holds what they decided.

    Raises, when it is played:
        PluginError: an answer of the wrong type or value.
        AssertionError: a proposal for a site that is not free.
    """

    script: Script
    hooks: Hooks
    folder: Path
    stops: dict[int, Callable[[SimulatedRun, Phase], None]] = field(factory=dict)
    """Functions called at moments, counted from 1: they may replace `hooks`."""
    answers: list[Answer] = field(init=False, factory=list)
    seeds: dict[int, SeedState] = field(init=False, factory=dict)
    """Seeds that live, by their ids."""
    loss: float = field(init=False, default=1.0)
    epoch: int = field(init=False, default=0)
    step: int = field(init=False, default=0)
    last_id: int = field(init=False, default=0)
    wants_statistics: bool = field(init=False, default=False)
    random: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.random = random.Random(self.script.seed)

    def play(self) -> None:
        """Play the run from start to end."""
        self.hooks.on_run_start(run=self.run)
        self.show()
        for phase in self.run.plan.phases:
            self.hooks.on_phase_start(phase=phase, run=self.run)
            for left in reversed(range(phase.epochs)):
                self._epoch(phase, left)
        if self.script.status == "finished":
            for name in ("config.yaml", "summary.json"):
                self.hooks.log_artifact(path=self.folder / name)
        self.hooks.on_run_end(run=self.run, summary=self.summary)

    @cached_property
    def run(self) -> RunInfo:
        """Description of the run."""
        return simulated_records.run_info(self.script, self.folder)

    @property
    def summary(self) -> dict[str, Any]:
        """Summary of the run up to now."""
        return simulated_records.summary(self.script, self.run, self.seeds.values(), self.epoch)

    @property
    def metrics(self) -> Metrics:
        """Metrics of the current epoch."""
        odd = {name: simulated_records.unusual_number(self.random) for name in NUMBERS if self.script.tags}
        return simulated_records.metrics(self.loss, self.seeds.values(), **odd)

    @property
    def histograms(self) -> dict[str, Any]:
        """Histograms of the current epoch."""
        return simulated_records.histograms(self.script)

    @property
    def predictions(self) -> Predictions:
        """Predictions at the end of the current epoch."""
        return simulated_records.predictions(self.run, self.epoch, self.seeds.values())

    def incident(self, phase: Phase) -> Incident:
        """Return the incident of the current epoch."""
        return simulated_records.incident(self.script.sites[0], phase, self.epoch, self.step)

    def observe(self, phase: Phase, left: int) -> Observation:
        """Return an observation of the current epoch, when the phase has `left` more epochs to come."""
        validation_loss = self.loss * self.random.uniform(1, 1.3)
        sites = self.run.sites
        needs = {site.name: self.random.random() if self.wants_statistics else None for site in sites}
        return simulated_records.observation(
            phase,
            self.loss,
            validation_loss,
            epoch=self.epoch,
            step=self.step,
            epochs_left=left,
            target=self.script.target,
            parameters=simulated_records.parameters(self.seeds.values()),
            sites=tuple(SiteState(site, self._free(site.name), needs[site.name]) for site in sites),
            seeds=tuple(self.seeds.values()),
        )

    def show(self) -> None:
        """Tell of the network and its predictions."""
        if self.hooks.implements("log_network"):
            self.hooks.log_network(**simulated_records.network(self.epoch))
        self.hooks.log_predictions(predictions=self.predictions, step=self.epoch)

    def _epoch(self, phase: Phase, left: int) -> None:
        self.epoch += 1
        for _ in range(STEPS):
            self.step += 1
            self.hooks.on_step_end(step=self.step)
            for seed in list(self.seeds.values()):
                if seed.stage is Stage.BLENDING:
                    self._blend(phase, seed)
            self._may_stop(phase, moment=self.step + self.epoch - 1)
        self.loss *= self.random.choice([0.8, 0.97, 1.0, 1.0, 1.02])
        self.hooks.log_metrics(metrics=self.metrics, step=self.epoch)
        self.hooks.log_histograms(histograms=self.histograms, step=self.epoch)
        observation = self.observe(phase, left)
        self.hooks.on_epoch_end(observation=observation)
        self._next_stages(phase, observation)
        if phase.germinate:
            observation = self.observe(phase, left)
            self._germinate(phase, observation)
            self.wants_statistics = bool(self._asked("wants_statistics", observation=observation))
        if any(seed.germinated_at == self.epoch for seed in self.seeds.values()):
            self.show()
        if self.epoch % 9 == 5:
            self.hooks.on_incident(incident=self.incident(phase))
        self._may_stop(phase, moment=self.step + self.epoch)

    def _may_stop(self, phase: Phase, moment: int) -> None:
        if moment in self.stops:
            self.stops[moment](self, phase)

    def _free(self, site: str) -> bool:
        growing = [seed for seed in self.seeds.values() if seed.site == site and seed.stage is not Stage.ACTIVE]
        return not growing and not self.script.busy

    def _germinate(self, phase: Phase, observation: Observation) -> None:
        proposal = self._proposed(observation)
        if proposal is None:
            return
        free = {state.site.name: state.free for state in observation.sites}
        if proposal.site not in free:
            raise PluginError(f"it proposed {proposal.site!r}; the sites are {', '.join(free) or 'none'}")
        assert free[proposal.site], f"it proposed {proposal.site!r}, where a seed is on its way"
        self.last_id += 1
        seed = SeedState(self.last_id, proposal.site, "bottleneck", Stage.DORMANT, 0.0, 40, self.epoch)
        self._change(phase, seed, Stage.TRAINING, proposal.reason)

    def _proposed(self, observation: Observation) -> Proposal | None:
        if self.hooks.implements("propose_germination"):
            proposal: Proposal | None = self._asked("propose_germination", observation=observation)
            return proposal
        free = [state.site.name for state in observation.sites if state.free]
        return Proposal(self.random.choice(free), "by chance") if free and self.random.random() < 0.5 else None

    def _blend(self, phase: Phase, seed: SeedState) -> None:
        alpha = self._asked("blend_step", seed=seed, step=1 + round(seed.alpha * STEPS * self.script.stage_epochs))
        if alpha is None:
            alpha = min(1.0, seed.alpha + 1 / (STEPS * self.script.stage_epochs))
        if not seed.alpha <= alpha <= 1:
            raise PluginError(
                f"blend_step gave {alpha!r} for a seed at {seed.alpha!r}, due is a number from there to 1"
            )
        self.seeds[seed.id] = attrs.evolve(seed, alpha=float(alpha))
        if alpha == 1:
            self._change(phase, self.seeds[seed.id], Stage.PROBATION, "blended in")

    def _next_stages(self, phase: Phase, observation: Observation) -> None:
        for seed in list(self.seeds.values()):
            if (self.epoch - seed.germinated_at) % self.script.stage_epochs:
                continue
            if seed.stage is Stage.TRAINING:
                self._change(phase, seed, Stage.BLENDING, "trained")
            elif seed.stage is Stage.PROBATION:
                self._judge(phase, attrs.evolve(seed, contribution=self.random.uniform(-0.1, 0.3)), observation)

    def _judge(self, phase: Phase, seed: SeedState, observation: Observation) -> None:
        verdict = self._asked("judge_seed", seed=seed, observation=observation)
        if verdict is None:
            verdict = Verdict((seed.contribution or 0) > 0, "by its contribution")
        if verdict.keep:
            self._change(phase, attrs.evolve(seed, active_at=self.epoch), Stage.ACTIVE, verdict.reason)
        else:
            self._change(phase, seed, Stage.CULLED, verdict.reason)
            del self.seeds[seed.id]

    def _change(self, phase: Phase, seed: SeedState, stage: Stage, reason: str) -> None:
        self.seeds[seed.id] = attrs.evolve(seed, stage=stage)
        event = Event(self.epoch, self.step, phase.name, self.seeds[seed.id], seed.stage, reason)
        self.hooks.on_seed_change(event=event)

    def _asked(self, hook: str, **arguments: Any) -> Any:
        answer = getattr(self.hooks, hook)(**arguments)
        self.answers.append(Answer(hook, self.epoch, answer))
        return answer
