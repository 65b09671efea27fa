"""Made-up records of a simulated run: what a run without a network can tell its controllers and loggers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import attrs
import numpy as np

from kasmina.records import (
    Choices,
    DataInfo,
    Incident,
    Metrics,
    Observation,
    Phase,
    Plan,
    Plane,
    Predictions,
    RunInfo,
    SeedState,
    Site,
)
from kasmina.testing.script import STEPS, Script

HOST_PARAMETERS = 17


def run_info(script: Script, folder: Path) -> RunInfo:
    """Return the description of a run on two-dimensional data with two classes."""
    return RunInfo(
        name=script.name,
        folder=folder,
        choices=Choices("spirals", "mlp", "under test", ("bottleneck",)),
        data=DataInfo(
            "classification", "accuracy", script.target, (2,), 2, classes=("0", "1"), digest="0123456789abcdef"
        ),
        plan=Plan(phases(script), STEPS),
        seed=script.seed,
        device="cpu",
        parameters=HOST_PARAMETERS,
        sites=tuple(Site(name, "vector", (8,), (8,)) for name in script.sites),
        config={"seed": script.seed, "sites": list(script.sites)},
    )


def phases(script: Script) -> tuple[Phase, ...]:
    """Return the phases of the run: germinations are asked for in the second."""
    return (
        Phase(min(5, script.epochs), germinate=False, name="warm-up"),
        Phase(max(0, script.epochs - 10), name="adaptation"),
        Phase(5, germinate=False, decay="cosine", name="consolidation"),
    )


def summary(script: Script, run: RunInfo, seeds: Iterable[SeedState], epochs: int) -> dict[str, Any]:
    """Return what `summary.json` would hold after this many epochs."""
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
        "best": None if failed else {"epoch": max(epochs - 1, 1), "validation": 0.96, "loss": 0.12},
        "last": {"epoch": epochs, "test": None, "validation": 0.95, "parameters": parameters(seeds)},
        "parameters": {"start": run.parameters, "final": parameters(seeds)},
        "seeds": [attrs.asdict(seed) for seed in seeds],
        "epochs": epochs,
        "flops": 4_560_000_000,
        "seconds": 42.13,
        "versions": {"kasmina-core": "0.1.0"},
        **({"error": "the training loss is nan in epoch 3"} if failed else {}),
    }


def parameters(seeds: Iterable[SeedState]) -> int:
    """Return the number of parameters of the host and these seeds together."""
    return HOST_PARAMETERS + sum(seed.parameters for seed in seeds)


def metrics(loss: float = 1.0, seeds: Iterable[SeedState] = (), **change: Any) -> Metrics:
    """Return the metrics of an epoch with this training loss, with the fields in `change` as given."""
    seeds = tuple(seeds)
    found = Metrics(loss, loss * 1.1, 0.7, "accuracy", 0.003, parameters(seeds), 4_560_000, seeds)
    return attrs.evolve(found, **change)


def unusual_number(random: Random) -> float:
    """Return one of the numbers that a logger may not expect."""
    return random.choice([0.5, 3, -1e300, float("nan"), float("inf")])


def histograms(script: Script) -> dict[str, Any]:
    """Return the histograms of an epoch, with unusual values for every tag of the script."""
    odd = [np.zeros(0), np.array([np.nan, 1.0]), np.array([np.inf, -np.inf])]
    named = {tag: odd[number % len(odd)] for number, tag in enumerate(script.tags)}
    ordinary = {
        "weights/host/0.weight": np.linspace(-1, 1, 12).reshape(3, 4),
        "gradients/host/0.bias": np.zeros(3),
    }
    return ordinary | named


def predictions(run: RunInfo, epoch: int, seeds: Iterable[SeedState]) -> Predictions:
    """Return predictions for 12 samples, drawn by the number of the epoch alone."""
    grid, random = np.linspace(-1, 1, 10, dtype=np.float32), np.random.RandomState(epoch)
    p = random.rand(12, 2).astype(np.float32)
    sites = {seed.site: random.randn(12, 8).astype(np.float32) for seed in seeds}
    plane = Plane(grid, grid, np.repeat(grid[:, None, None] / 2 + 0.5, 10, 1) * [1, -1] + [0, 1])
    return Predictions(p, np.arange(12) % 2, p / p.sum(1, keepdims=True), sites, run.data.classes, plane)


def network(step: int = 0) -> dict[str, Any]:
    """Return the arguments of a call of `log_network`."""
    import torch  # not at the top: most plugins under test need no torch

    return {"network": torch.nn.Linear(2, 2).eval(), "sample": np.zeros((2, 2), np.float32), "step": step}


def incident(site: str, phase: Phase, epoch: int, step: int) -> Incident:
    """Return a rollback in odd epochs, and in even ones a refused germination at `site`."""
    if epoch % 2:
        reason = f"the training loss is nan at step {step + 1}"
        return Incident(epoch, step, phase.name, "rollback", reason, "learning rate halved to 0.0015")
    return Incident(epoch, step, phase.name, "refusal", "over the budget of 3 seeds", site=site)


def observation(phase: Phase, loss: float, validation_loss: float, **rest: Any) -> Observation:
    """Return an observation whose validation metric follows from its validation loss."""
    metric = max(0.0, 1 - validation_loss / 2)
    return Observation(
        phase=phase.name,
        train_loss=loss,
        validation_loss=validation_loss,
        validation_metric=metric,
        metric="accuracy",
        constant_loss=1.0,
        **rest,
    )
