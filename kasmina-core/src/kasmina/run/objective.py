"""The loss that is minimised and the metric that is reported, by the goal of the task."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from attrs import frozen
from torch import Tensor, nn
from torch.nn import functional

from kasmina.growth.evaluation_mode import evaluation_mode
from kasmina.records import Goal
from kasmina.run.data import Scaler, Split

CHUNK = 4096


@frozen
class Objective:
    """The loss (a mean over the batch) and the metric (higher is better) of a goal, each of (outputs, targets)."""

    metric_name: str
    loss: Callable[[Tensor, Tensor], Tensor]
    metric: Callable[[Tensor, Tensor], Tensor]


def accuracy(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the share of rows whose largest output is the class."""
    return (outputs.argmax(1) == y).float().mean()


def r2(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the coefficient of determination: 1 for perfect, 0 for no better than the mean of `y`."""
    return 1 - (y - outputs).square().sum() / (y - y.mean(0)).square().sum()


OBJECTIVES: dict[Goal, Objective] = {
    "classification": Objective("accuracy", functional.cross_entropy, accuracy),
    "regression": Objective("r2", functional.mse_loss, r2),
}


def chance_loss(goal: Goal, y: Tensor, outputs: int, batch: int) -> float:
    """Return an upper bound on the batch loss of a constant predictor.

    The predictor gives uniform probabilities for a classification, and the mean target for a regression. The bound of
    a classification is at least 1, which is about what a few overconfident guesses cost. The bound of a regression may
    depend on the few rows that are far from all others.

    Args:
        y: Targets of the train split, scaled.
    """
    if goal == "classification":
        return max(1.0, math.log(outputs))
    return max(1.0, y.square().mean(1).topk(min(batch, len(y))).values.mean().item())


def decode(outputs: Tensor, scaler: Scaler | None) -> Tensor:
    """Return probabilities of the classes, or values in the units of the task, of outputs (N, outputs), in float64.

    Args:
        scaler: Scaler of a regression's targets; None for a classification.
    """
    return scaler.invert(outputs.double()) if scaler else outputs.double().softmax(1)


@torch.no_grad()
def predict(host: nn.Module, x: Tensor) -> Tensor:
    """Return the host's outputs for x (N, *in_shape), in evaluation mode; its modules keep their modes."""
    with evaluation_mode(host):
        parts = [host(part) for part in torch.split(x, CHUNK)]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


@torch.no_grad()
def evaluate(host: nn.Module, objective: Objective, split: Split) -> tuple[float, float]:
    """Return loss and metric of the host on a whole split, in evaluation mode; its modules keep their modes."""
    return score(predict(host, split.x), objective, split)


@torch.no_grad()
def evaluate_constant(objective: Objective, train: Split, split: Split, outputs: int) -> tuple[float, float]:
    """Return loss and metric on a split of a predictor that answers every sample alike.

    It answers with the frequencies of the classes of the train split, or with the mean of its targets.

    Args:
        outputs: Number of classes, or of values that a regression predicts.
    """
    y = train.y
    answer = y.mean(0) if y.is_floating_point() else torch.bincount(y, minlength=outputs).log()
    return score(answer.expand(len(split.y), outputs), objective, split)


def score(outputs: Tensor, objective: Objective, split: Split) -> tuple[float, float]:
    """Return loss and metric of outputs for the samples of a split."""
    loss, metric = torch.stack([objective.loss(outputs, split.y), objective.metric(outputs, split.y)]).tolist()
    return loss, metric
