"""The training loop, from top to bottom."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from kasmina.errors import SeedError
from kasmina.growth.health import gradients_finite
from kasmina.records import Observation, Phase, Stage
from kasmina.run import seeding
from kasmina.run.objective import evaluate
from kasmina.run.recovery.attribution import Faults
from kasmina.run.recovery.governor import TrainingFault
from kasmina.run.report import report_epoch, report_growth
from kasmina.run.training import Stopped, Training

FLOOR = 0.02
"""Share of its learning rate at which a phase that decays ends."""


def train(run: Training) -> None:
    """Train through the remaining phases, from the step at which the run stands.

    Raises:
        Stopped: `run.stop` was set.
        KasminaError: A plugin broke the contract, or the run has gone back too often.
    """
    while place := run.course.find_phase(run.growth.epochs):
        phase, epoch = place
        if run.growth.phase != phase.name:
            run.growth.enter_phase(phase.name)
            run.plugins.hooks.on_phase_start(phase=phase, run=run.info)
        rate = learning_rate(run.optimizer.defaults["lr"], phase, epoch) * run.governor.rate
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        try:
            train_epoch(run)
            observation = observe(run, phase.epochs - epoch - 1)
            report_epoch(run, observation, rate)
            decide(run, observation, phase.germinate)
        except TrainingFault as fault:
            run.callback.on_fault(fault)
        except SeedError as error:  # as a seed is judged
            run.callback.on_fault(TrainingFault(f"{error} after step {run.growth.step}", (error.seed,)))
        else:
            run.callback.on_epoch(observation)
        if run.stop:
            raise Stopped


def train_epoch(run: Training) -> None:
    """Train through the rest of one pass over the training split, in the order of this epoch.

    Raises:
        Stopped: `run.stop` was set; the step in hand is done.
        TrainingFault: A step failed.
    """
    run.host.train()
    epoch, done, y = run.growth.epochs, run.growth.batches, run.splits.train.y
    if not done:
        seeding.seed_everything(y.device, run.info.seed, epoch)
    rows = seeding.order(len(y), run.info.plan.order_seed, epoch).to(y.device)
    # Batches have equal sizes, so that the last one is not too small for a batch norm.
    batches = rows.tensor_split(run.info.plan.steps_per_epoch)
    # Checked once an epoch: a hook without implementations costs 2 % of a small step.
    heard = run.plugins.hooks.implements("on_step_end")
    with run.callback.steps():
        for number, index in enumerate(batches[done:], done + 1):
            with Faults(run, f"in step {run.growth.step + 1}", retry=partial(try_step, run, index)):
                step(run, index)
            if heard:
                run.plugins.hooks.on_step_end(step=run.growth.step)
            if number < len(batches):
                if run.stop:
                    raise Stopped
                run.callback.on_step()


def step(run: Training, index: Tensor) -> None:
    """Do one training step on the rows of `index` (batch).

    Raises:
        TrainingFault: The loss or a gradient is not finite or diverges; the host has not learned from this step.
    """
    part = run.callback.range
    run.optimizer.zero_grad()
    with run.flops.counted(len(index), run.growth.manager.version):
        with part("data"):
            x, y = run.splits.train.x[index], run.splits.train.y[index]
        with part("host"):
            outputs = run.host(x)
        with part("loss"):
            loss = run.objective.loss(outputs, y)
        with part("backward"):
            loss.backward()
    run.governor.check_step(loss.item())
    if nonfinite := run.growth.after_backward():
        raise TrainingFault(str(nonfinite), () if nonfinite.host else nonfinite.seeds)
    run.optimizer.step()
    run.growth.after_step(loss)


def try_step(run: Training, index: Tensor) -> None:
    """Repeat the part of a step before the optimiser changes anything.

    Raises:
        TrainingFault: The loss or a gradient is not finite or diverges.
    """
    run.optimizer.zero_grad()
    loss = run.objective.loss(run.host(run.splits.train.x[index]), run.splits.train.y[index])
    loss.backward()
    run.governor.check_step(loss.item())
    if not gradients_finite(run.optimizer):
        raise TrainingFault("a gradient is not finite")


def observe(run: Training, epochs_left: int) -> Observation:
    """Return the observation of the epoch that has just ended.

    Raises:
        TrainingFault: The validation loss is not finite or cannot be had, or the epoch's losses were too large.
    """
    with Faults(run, f"after step {run.growth.step}", retry=partial(try_validation, run)):
        observation = run.growth.observe(epochs_left)
        check_validation(observation.validation_loss)
        run.governor.check_epoch(observation.train_loss)
    return observation


def try_validation(run: Training) -> None:
    """Measure the validation loss again.

    Raises:
        TrainingFault: The loss is not finite.
    """
    check_validation(evaluate(run.host, run.objective, run.splits.validation)[0])


def check_validation(loss: float) -> None:
    """Raise if the validation loss is not finite.

    Raises:
        TrainingFault: The loss is not finite.
    """
    if not math.isfinite(loss):
        raise TrainingFault(f"the validation loss is {loss}")


def decide(run: Training, observation: Observation, germinate: bool) -> None:
    """Judge and germinate seeds, and check the weights of host and seeds afterwards.

    Raises:
        SeedError: A seed fails as it is judged.
        TrainingFault: A weight is not finite.
    """
    run.growth.decide(observation, germinate)
    report_growth(run)
    # Weights are checked now: plugins may have changed them, and the run would go back to this state.
    if nonfinite := run.growth.check_weights():
        raise TrainingFault(f"{nonfinite} after step {run.growth.step}", nonfinite.seeds)
    run.governor.end_epoch(observation.train_loss)
    seeds = [seed.state for seed in run.growth.live_seeds]
    growing = run.growth.germination.pending is not None or any(seed.stage is not Stage.ACTIVE for seed in seeds)
    run.course.end_epoch(observation, growing, max((seed.active_at or 0 for seed in seeds), default=0))


def learning_rate(full: float, phase: Phase, epoch: int) -> float:
    """Return the learning rate of one epoch (from 0) of a phase: `full`, or a half cosine down to `FLOOR` of it."""
    if phase.decay == "constant":
        return full
    progress = (epoch + 1) / phase.epochs
    return full * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * progress)) / 2)
