"""The training loop, from top to bottom."""

from __future__ import annotations

import math
from typing import Any

import torch
from attrs import define, field, frozen
from torch import Tensor, nn

from kasmina.errors import KasminaError, PluginError
from kasmina.growth.manager import Build, Manager
from kasmina.growth.seed import Seed
from kasmina.growth.statistics import ROWS, Watch
from kasmina.plugins.hooks import Hooks
from kasmina.records import Observation, Phase, Proposal, RunInfo, SiteState, Verdict
from kasmina.run.data import Splits
from kasmina.run.flops import FlopMeter
from kasmina.run.objective import Objective, evaluate

FLOOR = 0.02
"""Share of its learning rate at which a phase that decays ends."""
HISTOGRAM_EPOCHS = 10


class Stopped(Exception):
    """Somebody asked the run to stop, and the step in hand is done."""


@define(eq=False)
class Training:
    """Everything that the loop works on, and where it stands."""

    info: RunInfo
    hooks: Hooks
    host: nn.Module
    manager: Manager
    build: Build
    optimizer: torch.optim.Optimizer
    objective: Objective
    splits: Splits
    batch: int
    learning_rate: float
    order: torch.Generator
    flops: FlopMeter = field(factory=FlopMeter)
    epoch: int = 0
    step: int = 0
    phase: str = ""
    stop: bool = False
    """Set from outside: the run ends after the step in hand."""
    wants_needs: bool = False
    needs: dict[str, float] = field(factory=dict)


@frozen
class Result:
    """What one epoch came to."""

    train_loss: float
    control_loss: float
    control_metric: float
    epochs_left: int


def train(run: Training) -> None:
    """Trains through all phases.

    Raises:
        Stopped: `run.stop` was set.
        KasminaError: the loss is not finite, or a plugin broke the contract.
    """
    for phase in run.info.phases:
        run.phase = phase.name
        run.hooks.on_phase_start(phase=phase, run=run.info)
        for epoch in range(phase.epochs):
            run.epoch += 1
            run.manager.epoch = run.epoch
            rate = learning_rate(run.learning_rate, phase, epoch)
            for group in run.optimizer.param_groups:
                group["lr"] = rate
            train_loss = train_epoch(run)
            control_loss, control_metric = evaluate(run.host, run.objective, run.splits.control)
            result = Result(train_loss, control_loss, control_metric, phase.epochs - epoch - 1)
            log(run, result, rate)
            observation = observe(run, result)
            run.hooks.on_epoch_end(observation=observation)
            for seed in run.manager.due():
                judge(run, seed, observation)
            if phase.germinate:
                germinate(run, observation)


def learning_rate(full: float, phase: Phase, epoch: int) -> float:
    """Of one epoch (from 0) of a phase: constant, or a half cosine from `full` down to `FLOOR` of it."""
    if phase.decay == "constant":
        return full
    progress = (epoch + 1) / phase.epochs
    return full * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * progress)) / 2)


def train_epoch(run: Training) -> float:
    """One pass over the training split in a fresh order; the mean loss of its steps."""
    run.host.train()
    rows = len(run.splits.train)
    steps = run.info.steps_per_epoch
    # Parts of equal size, so that no last batch is too small for a batch norm.
    order = torch.randperm(rows, generator=run.order).to(run.splits.train.y.device).tensor_split(steps)
    watch = Watch(run.manager.places) if run.wants_needs else None
    first_watched = max(0, steps - math.ceil(ROWS / run.batch))
    losses = []
    told = run.hooks.implements(
        "on_step_end"
    )  # asked once an epoch: a call that nobody hears costs 2 % of a small step
    for number, index in enumerate(order):
        if watch and number == first_watched:
            watch.start()
        losses.append(step(run, index))
        if told:
            run.hooks.on_step_end(step=run.step)
        if run.stop:
            raise Stopped
    run.needs, run.wants_needs = watch.needs() if watch else {}, False
    loss = torch.stack(losses).mean().item()
    if not math.isfinite(loss):
        raise KasminaError(f"the training loss is {loss} in epoch {run.epoch}; try a lower learning_rate")
    return loss


def step(run: Training, index: Tensor) -> Tensor:
    """One training step on the rows of `index`; its loss, still on the device."""
    if run.flops.knows(run.manager.version):
        loss = forward_and_backward(run, index)
    else:
        with run.flops.counting(len(index), run.manager.version):
            loss = forward_and_backward(run, index)
    run.flops.rows += len(index)
    run.optimizer.step()
    run.step += 1
    run.manager.after_step()
    return loss


def forward_and_backward(run: Training, index: Tensor) -> Tensor:
    run.optimizer.zero_grad()
    loss = run.objective.loss(run.host(run.splits.train.x[index]), run.splits.train.y[index])
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def observe(run: Training, result: Result) -> Observation:
    """What controllers may know of the epoch that has just ended."""
    return Observation(
        phase=run.phase,
        epoch=run.epoch,
        step=run.step,
        epochs_left=result.epochs_left,
        train_loss=result.train_loss,
        control_loss=result.control_loss,
        control_metric=result.control_metric,
        metric=run.info.metric,
        target=run.info.target,
        parameters=parameters(run.host, run.manager),
        sites=tuple(SiteState(site, run.manager.free(site.name), run.needs.get(site.name)) for site in run.info.sites),
        seeds=tuple(seed.state for seed in run.manager.seeds.values()),
    )


def judge(run: Training, seed: Seed, observation: Observation) -> None:
    """Measures what a seed at the end of its probation is worth on the control split, and keeps or culls it."""
    with seed.muted():
        without, _ = evaluate(run.host, run.objective, run.splits.control)
    seed.contribution = without - observation.control_loss
    verdict = run.hooks.judge_seed(seed=seed.state, observation=observation)
    if verdict is None:
        verdict = Verdict(seed.contribution > 0, "by its contribution")
    (run.manager.keep if verdict.keep else run.manager.cull)(seed, verdict.reason)


def germinate(run: Training, observation: Observation) -> None:
    """Asks the controllers whether a seed shall germinate, and whether they need statistics for the next time."""
    proposal = run.hooks.propose_germination(observation=observation)
    if proposal is not None:
        check(run, proposal)
        if run.manager.free(proposal.site):
            run.manager.germinate(proposal.site, run.build, run.info.blueprint, proposal.reason)
    run.wants_needs = bool(run.hooks.wants_statistics(observation=observation))


def check(run: Training, proposal: Proposal) -> None:
    """A proposal names a site and a blueprint that this run has."""
    if proposal.site not in run.manager.places:
        raise PluginError(f"propose_germination names {proposal.site!r}; the sites are {', '.join(run.manager.places)}")
    if proposal.blueprint not in (None, run.info.blueprint):
        raise PluginError(f"propose_germination names {proposal.blueprint!r}; this run has {run.info.blueprint!r}")


def parameters(host: nn.Module, manager: Manager) -> int:
    """Trainable and not, of the host and of all its seeds."""
    own = sum(parameter.numel() for parameter in host.parameters())
    return own + sum(seed.state.parameters for seed in manager.seeds.values())


def log(run: Training, result: Result, rate: float) -> None:
    """One epoch's numbers, to all loggers."""
    metrics = {
        "train/loss": result.train_loss,
        "control/loss": result.control_loss,
        f"control/{run.info.metric}": result.control_metric,
        "learning_rate": rate,
        "parameters": parameters(run.host, run.manager),
    }
    for seed in run.manager.seeds.values():
        metrics[f"seed/{seed.id}/alpha"] = seed.level
        if seed.contribution is not None:
            metrics[f"seed/{seed.id}/contribution"] = seed.contribution
    run.hooks.log_metrics(metrics=metrics, step=run.epoch)
    if run.epoch % HISTOGRAM_EPOCHS == 0 and run.hooks.implements("log_histograms"):
        run.hooks.log_histograms(histograms=histograms(run), step=run.epoch)


def histograms(run: Training) -> dict[str, Any]:
    """The values of every parameter of the host and its seeds, by name, as numpy arrays."""
    named = [(f"host/{name}", value) for name, value in run.host.named_parameters()]
    for seed in run.manager.seeds.values():
        named += [(f"seed/{seed.id}/{name}", value) for name, value in seed.body.named_parameters()]
    return {name: value.detach().float().cpu().numpy() for name, value in named}
