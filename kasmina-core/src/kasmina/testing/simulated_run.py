"""The course of a run without a network: what controllers and loggers are told, in made-up numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from attrs import define, field, frozen

from kasmina.errors import PluginError
from kasmina.plugins.hooks import Hooks
from kasmina.records import (
    Choices,
    DataInfo,
    Event,
    Incident,
    Observation,
    Phase,
    Plan,
    Plane,
    Predictions,
    Proposal,
    RunInfo,
    SeedState,
    Site,
    SiteState,
    Stage,
    Verdict,
)

STEPS = 4
"""Of an epoch."""
MOMENTS = STEPS + 1
"""Of an epoch, at which a run may be stopped: after each step, and after the decisions at its end."""


@frozen
class Script:
    """What happens in a course, as far as no plugin decides it."""

    seed: int = 0
    """Of all that is random in it."""
    epochs: int = 40
    sites: tuple[str, ...] = ("layers.0", "layers.1", "layers.2")
    target: float | None = 0.9
    ripens: int = 2
    """Epochs that a seed spends in each stage."""
    busy: bool = False
    """Somebody else's seeds are on their way at all sites."""
    status: str = "finished"
    tags: tuple[str, ...] = ()
    """Names of further metrics and histograms, with unusual numbers."""
    name: str = "first"


@frozen
class Answer:
    """What a controller was asked, and what it answered."""

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
    answers: list[Answer] = field(factory=list)
    seeds: dict[int, SeedState] = field(factory=dict)
    """Those that live."""
    loss: float = 1.0
    best: float = 0.0
    epoch: int = 0
    step: int = 0
    born: int = 0
    needs: bool = False
    stops: frozenset[int] = frozenset()
    """Moments, counted from 1, at which `on_stop` is called: it may put other hooks in the place of `hooks`."""
    on_stop: Callable[[SimulatedRun, Phase], None] = lambda course, phase: None
    moment: int = 0
    random: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.random = random.Random(self.script.seed)

    def play(self) -> None:
        """From start to end."""
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

    @property
    def run(self) -> RunInfo:
        script = self.script
        return RunInfo(
            name=script.name,
            folder=self.folder,
            choices=Choices("spirals", "mlp", "under test", ("bottleneck",)),
            data=DataInfo(
                "classification", "accuracy", script.target, (2,), 2, classes=("0", "1"), digest="0123456789abcdef"
            ),
            plan=Plan(self._phases, STEPS),
            seed=script.seed,
            device="cpu",
            parameters=17,
            sites=tuple(Site(name, "vector", (8,), (8,)) for name in script.sites),
            config={"seed": script.seed, "sites": list(script.sites)},
        )

    @property
    def _phases(self) -> tuple[Phase, ...]:
        epochs = self.script.epochs
        return (
            Phase(min(5, epochs), germinate=False, name="warm-up"),
            Phase(max(0, epochs - 10), name="adaptation"),
            Phase(5, germinate=False, decay="cosine", name="consolidation"),
        )

    @property
    def summary(self) -> dict[str, Any]:
        run, script = self.run, self.script
        failed = script.status == "failed"
        return {
            "status": script.status,
            "task": run.choices.task,
            "host": run.choices.host,
            "controller": run.choices.controller,
            "blueprint": run.choices.blueprints[0],
            "seed": run.seed,
            "metric": run.data.metric,
            "device": run.device,
            "target": run.data.target,
            "test": None if failed else 0.97,
            "validation": None if failed else 0.96,
            "parameters": {"start": run.parameters, "final": self.parameters},
            "seeds": [attrs.asdict(seed) for seed in self.seeds.values()],
            "epochs": self.epoch,
            "flops": 4_560_000_000,
            "seconds": 42.13,
            "versions": {"kasmina-core": "0.1.0"},
            **({"error": "the training loss is nan in epoch 3"} if failed else {}),
        }

    @property
    def parameters(self) -> int:
        return 17 + sum(seed.parameters for seed in self.seeds.values())

    def _epoch(self, phase: Phase, left: int) -> None:
        self.epoch += 1
        for _ in range(STEPS):
            self.step += 1
            self.hooks.on_step_end(step=self.step)
            for seed in list(self.seeds.values()):
                if seed.stage is Stage.BLENDING:
                    self._blend(phase, seed)
            self._may_stop(phase)
        self.loss *= self.random.choice([0.8, 0.97, 1.0, 1.0, 1.02])
        self.hooks.log_metrics(metrics=self.metrics, step=self.epoch)
        self.hooks.log_histograms(histograms=self.histograms, step=self.epoch)
        observation = self.observe(phase, left)
        self.hooks.on_epoch_end(observation=observation)
        self._ripen(phase, observation)
        if phase.germinate:
            observation = self.observe(phase, left)
            self._germinate(phase, observation)
            self.needs = bool(self._asked("wants_statistics", observation=observation))
        if any(seed.germinated_at == self.epoch for seed in self.seeds.values()):
            self.show()
        if self.epoch % 9 == 5:
            self.hooks.on_incident(incident=self.incident(phase))
        self._may_stop(phase)

    def _may_stop(self, phase: Phase) -> None:
        self.moment += 1
        if self.moment in self.stops:
            self.on_stop(self, phase)

    def incident(self, phase: Phase) -> Incident:
        """Of either kind in turn."""
        if self.epoch % 2:
            reason = f"the training loss is nan at step {self.step + 1}"
            return Incident(self.epoch, self.step, phase.name, "rollback", reason, "learning rate halved to 0.0015")
        site = self.script.sites[0]
        return Incident(self.epoch, self.step, phase.name, "refusal", "over the budget of 3 seeds", site=site)

    @property
    def metrics(self) -> dict[str, float]:
        alphas = {f"seed/{seed.id}/alpha": seed.alpha for seed in self.seeds.values()}
        tags = {tag: self.random.choice([0.5, 3, -1e300, float("nan"), float("inf")]) for tag in self.script.tags}
        return {"train/loss": self.loss, "validation/loss": self.loss * 1.1, "validation/accuracy": 0.7} | alphas | tags

    @property
    def histograms(self) -> dict[str, Any]:
        odd = [np.zeros(0), np.array([np.nan, 1.0]), np.array([np.inf, -np.inf])]
        named = {tag: odd[number % len(odd)] for number, tag in enumerate(self.script.tags)}
        return {
            "weights/host/0.weight": np.linspace(-1, 1, 12).reshape(3, 4),
            "gradients/host/0.bias": np.zeros(3),
        } | named

    @property
    def predictions(self) -> Predictions:
        grid, random = np.linspace(-1, 1, 10, dtype=np.float32), np.random.RandomState(self.epoch)
        p = random.rand(12, 2).astype(np.float32)
        sites = {seed.site: random.randn(12, 8).astype(np.float32) for seed in self.seeds.values()}
        plane = Plane(grid, grid, np.repeat(grid[:, None, None] / 2 + 0.5, 10, 1) * [1, -1] + [0, 1])
        return Predictions(p, np.arange(12) % 2, p / p.sum(1, keepdims=True), sites, self.run.data.classes, plane)

    def show(self) -> None:
        """The network and its predictions, to those that want them."""
        if self.hooks.implements("log_network"):
            self.hooks.log_network(**network(self.epoch))
        self.hooks.log_predictions(predictions=self.predictions, step=self.epoch)

    def observe(self, phase: Phase, left: int) -> Observation:
        loss = self.loss * self.random.uniform(1, 1.3)
        sites = self.run.sites
        needs = {site.name: self.random.random() if self.needs else None for site in sites}
        return Observation(
            phase=phase.name,
            epoch=self.epoch,
            step=self.step,
            epochs_left=left,
            train_loss=self.loss,
            validation_loss=loss,
            validation_metric=max(0.0, 1 - loss / 2),
            metric="accuracy",
            target=self.script.target,
            parameters=self.parameters,
            sites=tuple(SiteState(site, self._free(site.name), needs[site.name]) for site in sites),
            seeds=tuple(self.seeds.values()),
        )

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
        self.born += 1
        seed = SeedState(self.born, proposal.site, "bottleneck", Stage.DORMANT, 0.0, 40, self.epoch)
        self._change(phase, seed, Stage.TRAINING, proposal.reason)

    def _proposed(self, observation: Observation) -> Proposal | None:
        if self.hooks.implements("propose_germination"):
            proposal: Proposal | None = self._asked("propose_germination", observation=observation)
            return proposal
        free = [state.site.name for state in observation.sites if state.free]
        return Proposal(self.random.choice(free), "by chance") if free and self.random.random() < 0.5 else None

    def _blend(self, phase: Phase, seed: SeedState) -> None:
        alpha = self._asked("blend_step", seed=seed, step=1 + round(seed.alpha * STEPS * self.script.ripens))
        if alpha is None:
            alpha = min(1.0, seed.alpha + 1 / (STEPS * self.script.ripens))
        if not seed.alpha <= alpha <= 1:
            raise PluginError(
                f"blend_step gave {alpha!r} for a seed at {seed.alpha!r}, due is a number from there to 1"
            )
        self.seeds[seed.id] = attrs.evolve(seed, alpha=float(alpha))
        if alpha == 1:
            self._change(phase, self.seeds[seed.id], Stage.PROBATION, "blended in")

    def _ripen(self, phase: Phase, observation: Observation) -> None:
        for seed in list(self.seeds.values()):
            if (self.epoch - seed.germinated_at) % self.script.ripens:
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


def network(step: int = 0) -> dict[str, Any]:
    """What `log_network` is called with."""
    import torch  # which nobody needs who is told nothing of a network

    return {"network": torch.nn.Linear(2, 2).eval(), "sample": np.zeros((2, 2), np.float32), "step": step}


def calls(course: SimulatedRun) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """One call of every hook that a logger may have, with arguments of this course."""
    run, phase = course.run, course.run.plan.phases[1]
    seed = SeedState(1, "layers.1", "bottleneck", Stage.BLENDING, 0.5, 40, 1)
    yield "on_run_start", {"run": run}
    yield "on_phase_start", {"phase": phase, "run": run}
    yield "on_step_end", {"step": 3}
    yield "on_epoch_end", {"observation": course.observe(phase, 3)}
    yield "on_seed_change", {"event": Event(2, 8, phase.name, seed, Stage.TRAINING, "trained")}
    yield "on_incident", {"incident": course.incident(phase)}
    yield "log_metrics", {"metrics": course.metrics, "step": 2}
    yield "log_histograms", {"histograms": course.histograms, "step": 2}
    if course.hooks.implements("log_network"):
        yield "log_network", network(2)
    yield "log_predictions", {"predictions": course.predictions, "step": 2}
    yield "log_artifact", {"path": course.folder / "config.yaml"}
    yield "on_run_end", {"run": run, "summary": course.summary}
