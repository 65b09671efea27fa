"""The training loop, from top to bottom."""

from __future__ import annotations

import math
from typing import Any

import torch
from attrs import define, field
from torch import Tensor, nn

from kasmina.errors import KasminaError
from kasmina.growth.growth import Growth
from kasmina.plugins.hooks import Hooks
from kasmina.records import Observation, Phase, RunInfo
from kasmina.run.data import Splits
from kasmina.run.flops import FlopMeter
from kasmina.run.objective import Objective

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
    growth: Growth
    optimizer: torch.optim.Optimizer
    objective: Objective
    splits: Splits
    learning_rate: float
    order: torch.Generator
    flops: FlopMeter = field(factory=FlopMeter)
    stop: bool = False
    """Set from outside: the run ends after the step in hand."""


def train(run: Training) -> None:
    """Trains through all phases.

    Raises:
        Stopped: `run.stop` was set.
        KasminaError: the loss is not finite, or a plugin broke the contract.
    """
    for phase in run.info.phases:
        if not phase.epochs:
            continue
        run.growth.phase = phase.name
        run.hooks.on_phase_start(phase=phase, run=run.info)
        for epoch in range(phase.epochs):
            rate = learning_rate(run.learning_rate, phase, epoch)
            for group in run.optimizer.param_groups:
                group["lr"] = rate
            train_epoch(run)
            observation = run.growth.observe(epochs_left=phase.epochs - epoch - 1)
            check(observation)
            log(run, observation, rate)
            run.growth.decide(observation, phase.germinate)


def learning_rate(full: float, phase: Phase, epoch: int) -> float:
    """Of one epoch (from 0) of a phase: constant, or a half cosine from `full` down to `FLOOR` of it."""
    if phase.decay == "constant":
        return full
    progress = (epoch + 1) / phase.epochs
    return full * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * progress)) / 2)


def train_epoch(run: Training) -> None:
    """One pass over the training split in a fresh order."""
    run.host.train()
    rows = len(run.splits.train)
    # Parts of equal size, so that no last batch is too small for a batch norm.
    order = torch.randperm(rows, generator=run.order).to(run.splits.train.y.device)
    # Asked once an epoch: a call that nobody hears costs 2 % of a small step.
    told = run.hooks.implements("on_step_end")
    for index in order.tensor_split(run.info.steps_per_epoch):
        step(run, index)
        if told:
            run.hooks.on_step_end(step=run.growth.step)
        if run.stop:
            raise Stopped


def step(run: Training, index: Tensor) -> None:
    """One training step on the rows of `index`."""
    version = run.growth.manager.version
    if run.flops.knows(version):
        loss = forward_and_backward(run, index)
    else:
        with run.flops.counting(len(index), version):
            loss = forward_and_backward(run, index)
    run.flops.rows += len(index)
    run.optimizer.step()
    run.growth.after_step(loss)


def forward_and_backward(run: Training, index: Tensor) -> Tensor:
    run.optimizer.zero_grad()
    loss = run.objective.loss(run.host(run.splits.train.x[index]), run.splits.train.y[index])
    loss.backward()  # type: ignore[no-untyped-call]
    return loss


def check(observation: Observation) -> None:
    """The training loss is a number.

    Raises:
        KasminaError: it is not.
    """
    loss, epoch = observation.train_loss, observation.epoch
    if not math.isfinite(loss):
        raise KasminaError(f"the training loss is {loss} in epoch {epoch}; try a lower learning_rate")


def log(run: Training, observation: Observation, rate: float) -> None:
    """One epoch's numbers, to all loggers."""
    metrics = {
        "train/loss": observation.train_loss,
        "control/loss": observation.control_loss,
        f"control/{observation.metric}": observation.control_metric,
        "learning_rate": rate,
        "parameters": observation.parameters,
    }
    for seed in observation.seeds:
        metrics[f"seed/{seed.id}/alpha"] = seed.alpha
        if seed.contribution is not None:
            metrics[f"seed/{seed.id}/contribution"] = seed.contribution
    run.hooks.log_metrics(metrics=metrics, step=observation.epoch)
    if observation.epoch % HISTOGRAM_EPOCHS == 0 and run.hooks.implements("log_histograms"):
        run.hooks.log_histograms(histograms=histograms(run), step=observation.epoch)


def histograms(run: Training) -> dict[str, Any]:
    """The values of every parameter of the host and its seeds, by name, as numpy arrays."""
    named = [(f"host/{name}", value) for name, value in run.host.named_parameters()]
    for seed in run.growth.manager.seeds.values():
        named += [(f"seed/{seed.id}/{name}", value) for name, value in seed.body.named_parameters()]
    return {name: value.detach().float().cpu().numpy() for name, value in named}
