"""Reports to the loggers: numbers of every epoch, histograms of some, network and predictions after growth."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kasmina.growth.activations import activations
from kasmina.growth.export.lower import layers
from kasmina.growth.export.plain import unfolded
from kasmina.growth.sites.probe import untouched
from kasmina.records import Metrics, Observation, Plane, Predictions, Stage
from kasmina.run.objective import decode
from kasmina.run.seeding import seed_everything
from kasmina.run.training import Training

Array = np.ndarray[Any, Any]

EPOCHS = 10
"""Number of epochs from one histogram to the next."""
ROWS = 1000
"""Largest number of rows of the validation split whose predictions are reported."""
GRID = 100
"""Number of points along each side of a plane."""
MARGIN = 0.1
"""Margin of a plane around the samples, as a share of their range."""


def report_epoch(run: Training, observation: Observation, rate: float) -> None:
    """Call all plugins at an epoch's end with its numbers and observation, and every ten epochs with histograms."""
    metrics = Metrics(
        train_loss=observation.train_loss,
        validation_loss=observation.validation_loss,
        validation_metric=observation.validation_metric,
        metric=observation.metric,
        learning_rate=rate,
        parameters=observation.parameters,
        flops=run.flops.total,
        seeds=observation.seeds,
    )
    run.plugins.hooks.log_metrics(metrics=metrics, step=observation.epoch)
    if observation.epoch % EPOCHS == 0 and run.plugins.hooks.implements("log_histograms"):
        run.plugins.hooks.log_histograms(histograms=histograms(run), step=observation.epoch)
    run.plugins.hooks.on_epoch_end(observation=observation)


def report_begin(run: Training) -> None:
    """Report the present network, if a logger implements the hook."""
    if run.plugins.hooks.implements("log_network"):
        report_network(run)


def report_growth(run: Training) -> None:
    """Report the network and its predictions, if a seed germinated in the epoch that has just ended."""
    epoch = run.growth.epoch
    if any(seed.germinated_at == epoch for seed in run.growth.seeds):
        report_begin(run)
        report_predictions(run)


def report_network(run: Training) -> None:
    network = network_of(run)
    if network is not None:
        sample = run.splits.validation.x[:2].cpu().numpy()
        run.plugins.hooks.log_network(network=network, sample=sample, step=run.growth.epoch)


def report_predictions(run: Training) -> None:
    """Report the predictions for the validation split, if a logger implements the hook."""
    if run.plugins.hooks.implements("log_predictions"):
        run.plugins.hooks.log_predictions(predictions=predictions_of(run), step=run.growth.epoch)


def histograms(run: Training) -> dict[str, Array]:
    """Return every parameter of the host and its seeds, and its last gradient, by name."""
    named = [(f"host/{name}", parameter) for name, parameter in run.host.named_parameters()]
    for seed in run.growth.live_seeds:
        named += [(f"seed/{seed.id}/{name}", parameter) for name, parameter in seed.body.named_parameters()]
    found = {f"weights/{name}": array(parameter) for name, parameter in named}
    return found | {f"gradients/{name}": array(p.grad) for name, p in named if p.grad is not None}


def network_of(run: Training) -> nn.Module | None:
    """Return a copy of the network with every seed in its final form; None if its forward cannot be traced."""
    seeds, host = run.growth.live_seeds, run.host
    with ExitStack() as stack, suppress(Exception):  # a stranger's forward may fail in any way when it is traced
        for seed in seeds:
            if seed.stage is Stage.TRAINING:
                stack.enter_context(seed.substituted(seed.candidates[0][1] if seed.undecided else seed.body))
        return layers(unfolded(host, seeds, run.splits.validation.x)).cpu()
    return None


def predictions_of(run: Training) -> Predictions:
    """Return the network's predictions for the first samples of the validation split."""
    seed_everything(run.splits.device, run.info.seed, run.growth.epoch, 1)  # the host may draw while it is measured
    inputs, outputs = run.splits.inputs, run.splits.outputs
    x, y = run.splits.validation.x[:ROWS], run.splits.validation.y[:ROWS]
    living = {seed.place.site.name: seed.place for seed in run.growth.live_seeds}
    answers, found = activations(run.host, living, x)
    return Predictions(
        x=array(inputs.invert(x)),
        y=array(outputs.invert(y)) if outputs else y.cpu().numpy(),
        outputs=decoded(run, answers),
        activations={name: array(values) for name, values in found.items()},
        classes=run.info.data.classes,
        plane=plane_of(run, x) if run.info.data.in_shape == (2,) else None,
    )


def plane_of(run: Training, x: Tensor) -> Plane:
    """Return the network's outputs on a grid over the samples x (N, 2), scaled."""
    low, high = x.min(0).values, x.max(0).values
    low, high = low - MARGIN * (high - low), high + MARGIN * (high - low)
    across, up = (
        torch.linspace(*ends, GRID, device=x.device) for ends in zip(low.tolist(), high.tolist(), strict=True)
    )
    grid = torch.stack(torch.meshgrid(across, up, indexing="xy"), -1)
    with untouched(run.host):
        answers = run.host(grid.reshape(-1, 2))
    ends = array(run.splits.inputs.invert(torch.stack([across, up], 1)))
    return Plane(ends[:, 0], ends[:, 1], decoded(run, answers).reshape(GRID, GRID, -1))


def decoded(run: Training, answers: Tensor) -> Array:
    """Return probabilities of the classes, or values in the units of the task, of the host's outputs (N, outputs)."""
    scaler = run.splits.outputs  # on the CPU, for not every device has float64
    return array(decode(answers.cpu(), scaler and scaler.to(torch.device("cpu"))))


def array(tensor: Tensor) -> Array:
    return tensor.detach().float().cpu().numpy()
