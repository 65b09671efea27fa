"""The training loop, from top to bottom."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from kasmina.errors import SeedError
from kasmina.growth.health import gradients_finite
from kasmina.records import Observation, Phase
from kasmina.run import seeding
from kasmina.run.objective import evaluate
from kasmina.run.recovery.attribution import attribute_fault
from kasmina.run.recovery.governor import TrainingFault
from kasmina.run.report import report_epoch, report_growth
from kasmina.run.training import Stopped, Training

FLOOR = 0.02
"""Share of its learning rate at which a phase that decays ends."""


def train(run: Training) -> None:
    """Trains through all phases that are left, from the step that the run stands at.

    Raises:
        Stopped: `run.stop` was set.
        KasminaError: a plugin broke the contract, or the governor has gone back too often.
    """
    while run.growth.epochs < run.info.plan.epochs:
        phase, epoch = place(run.info.plan.phases, run.growth.epochs)
        if run.growth.phase != phase.name:
            run.growth.enter_phase(phase.name)
            run.hooks.on_phase_start(phase=phase, run=run.info)
        try:
            observation = train_and_decide(run, phase, epoch)
        except SeedError as error:  # as a seed is judged
            run.callback.on_fault(TrainingFault(f"{error} after step {run.growth.step}", (error.seed,)))
        except TrainingFault as fault:
            run.callback.on_fault(fault)
        else:
            run.callback.on_epoch(observation)
        if run.stop:
            raise Stopped


def train_and_decide(run: Training, phase: Phase, epoch: int) -> Observation:
    """What is left of one epoch, the `epoch`-th (from 0) of its phase, and what follows from it."""
    rate = learning_rate(run.settings.learning_rate, phase, epoch) * run.governor.rate
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    with run.callback.steps():
        train_epoch(run)
    observation = observe(run, phase.epochs - epoch - 1)
    report_epoch(run, observation, rate)
    run.growth.decide(observation, phase.germinate)
    report_growth(run)
    # Now, for plugins may have changed weights, and this is the state to which the run would go back.
    unsound = run.growth.check_weights()
    if unsound:
        raise TrainingFault(f"{unsound} after step {run.growth.step}", unsound.seeds)
    run.governor.end_epoch(observation.train_loss)
    return observation


def observe(run: Training, epochs_left: int) -> Observation:
    """What may be known of the epoch that has just ended.

    Raises:
        Fault: the validation loss is not finite or cannot be had, or the epoch's losses were too large.
    """
    try:
        observation = run.growth.observe(epochs_left)
        check_validation(observation.validation_loss)
        run.governor.see_epoch(observation.train_loss)
        return observation
    except Exception as error:
        where, seeds = f"after step {run.growth.step}", run.growth.live_seeds
        fault = attribute_fault(error, where, seeds, lambda: check_validation(validation_loss(run)))
        if fault is None:
            raise
        raise fault from error


def validation_loss(run: Training) -> float:
    return evaluate(run.host, run.objective, run.splits.validation)[0]


def check_validation(loss: float) -> None:
    if not math.isfinite(loss):
        raise TrainingFault(f"the validation loss is {loss}")


def place(phases: Sequence[Phase], epochs: int) -> tuple[Phase, int]:
    """The phase in which the run is after so many epochs, and how many of its own are done."""
    for phase in phases:
        if epochs < phase.epochs:
            return phase, epochs
        epochs -= phase.epochs
    raise ValueError("all phases are over")


def learning_rate(full: float, phase: Phase, epoch: int) -> float:
    """Of one epoch (from 0) of a phase: constant, or a half cosine from `full` down to `FLOOR` of it."""
    if phase.decay == "constant":
        return full
    progress = (epoch + 1) / phase.epochs
    return full * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * progress)) / 2)


def train_epoch(run: Training) -> None:
    """What is left of one pass over the training split, in an order of its own."""
    run.host.train()
    epoch, done, y = run.growth.epochs, run.growth.batches, run.splits.train.y
    if not done:
        seeding.seed_everything(y.device, run.settings.seed, epoch)
    rows = seeding.order(len(y), run.settings.order, epoch).to(y.device)
    # Parts of equal size, so that no last batch is too small for a batch norm.
    batches = rows.tensor_split(run.info.plan.steps_per_epoch)
    # Asked once an epoch: a call that nobody hears costs 2 % of a small step.
    told = run.hooks.implements("on_step_end")
    for number, index in enumerate(batches[done:], done + 1):
        step(run, index)
        if told:
            run.hooks.on_step_end(step=run.growth.step)
        if number < len(batches):
            if run.stop:
                raise Stopped
            run.callback.on_step()


def step(run: Training, index: Tensor) -> None:
    """One training step on the rows of `index`.

    Raises:
        Fault: it fails, or the loss or a gradient is not as it should be; the host has learned nothing from it.
    """
    before = run.growth.step
    try:
        learn(run, index)
    except Exception as error:
        where, seeds = f"in step {before + 1}", run.growth.live_seeds
        fault = attribute_fault(error, where, seeds, lambda: attempt(run, index))
        if fault is None:
            raise
        raise fault from error


def learn(run: Training, index: Tensor) -> None:
    version = run.growth.manager.version
    if run.flops.knows(version):
        loss = forward_and_backward(run, index)
    else:
        with run.flops.counting(len(index), version):
            loss = forward_and_backward(run, index)
    run.flops.rows += len(index)
    run.governor.see(loss.item())
    unsound = run.growth.after_backward()
    if unsound:
        raise TrainingFault(str(unsound), () if unsound.host else unsound.seeds)
    run.optimizer.step()
    run.growth.after_step(loss)


def forward_and_backward(run: Training, index: Tensor) -> Tensor:
    run.optimizer.zero_grad()
    with run.callback.range("data"):
        x, y = run.splits.train.x[index], run.splits.train.y[index]
    with run.callback.range("host"):
        output = run.host(x)
    with run.callback.range("loss"):
        loss = run.objective.loss(output, y)
    with run.callback.range("backward"):
        loss.backward()  # type: ignore[no-untyped-call]
    return loss


def attempt(run: Training, index: Tensor) -> None:
    """A step again, as far as it can go wrong before anything has learned."""
    run.governor.see(forward_and_backward(run, index).item())
    if not gradients_finite(run.optimizer):
        raise TrainingFault("a gradient is not finite")
