"""The content of summary.json: a run's results and costs."""

from __future__ import annotations

import math
import platform
from importlib.metadata import version
from typing import Any

from attrs import asdict, frozen

from kasmina.records import SeedState
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.data import Split
from kasmina.run.objective import evaluate, evaluate_constant
from kasmina.run.seeding import seed_everything
from kasmina.run.training import Training

DISTRIBUTIONS = ("kasmina-core", "torch")


@frozen
class Scores:
    """Size of a network, and its metric on two splits; None where it is not finite."""

    epoch: int
    test: float | None
    validation: float | None
    parameters: int


@frozen
class Ending:
    """End of a run, and what came of it."""

    status: str
    """``"finished"``, ``"stopped"`` or ``"failed"``."""
    seconds: float
    """Wall time in seconds."""
    last: Scores
    """Scores of the network as it was at the end."""
    best: Facts | None = None
    """Facts about the best epoch, if there is one."""
    error: str | None = None
    """Reason why the run failed."""


def summarise(run: Training, ending: Ending) -> dict[str, Any]:
    """Return the summary of a run that has ended and whose network is that of its best epoch."""
    choices, data = run.info.choices, run.info.data
    found = measure(run, ending.error)
    summary = {
        "status": ending.status,
        "task": choices.task,
        "host": choices.host,
        "controller": choices.controller,
        "blueprint": choices.blueprints[0],
        "alternatives": list(choices.blueprints[1:]),
        "seed": run.info.seed,
        "device": run.info.device,
        "metric": data.metric,
        "target": data.target,
        "test": found.test,
        "validation": found.validation,
        "best": None if ending.best is None else _best(ending.best),
        "last": asdict(ending.last),
        "constant": _constant(run),
        "warm_up": run.course.warm_up,
        "parameters": {"start": run.info.parameters, "final": found.parameters},
        "seeds": [_seed(seed) for seed in run.growth.seeds],
        "epochs": ending.last.epoch,
        "phases": run.course.summary(ending.last.epoch),
        "flops": run.flops.total,
        "seconds": round(ending.seconds, 3),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in DISTRIBUTIONS},
    }
    return summary if ending.error is None else summary | {"error": ending.error}


def measure(run: Training, error: str | None) -> Scores:
    """Return the scores of the network as it is now. Nothing else reads the test split."""
    test, validation = (_measured(run, split, error) for split in (run.splits.test, run.splits.validation))
    return Scores(run.growth.epoch, test, validation, run.growth.parameters)


def _measured(run: Training, split: Split, error: str | None) -> float | None:
    """Return the host's metric; None if it is not finite, or if a failed run's host raises.

    A host that draws while it is measured gets random numbers that do not depend on earlier draws.
    """
    seed_everything(run.splits.device, run.info.seed, run.growth.epoch, 1)
    try:
        return _finite(evaluate(run.host, run.objective, split)[1])
    except Exception:
        if error is None:
            raise
        return None


def _constant(run: Training) -> dict[str, float | None]:
    """Return the metric of a predictor that answers every sample alike, by split."""
    splits, outputs = run.splits, run.info.data.outputs
    judged = {"test": splits.test, "validation": splits.validation}
    found = {name: evaluate_constant(run.objective, splits.train, each, outputs) for name, each in judged.items()}
    return {name: _finite(metric) for name, (_, metric) in found.items()}


def _best(facts: Facts) -> dict[str, Any]:
    return {"epoch": facts.epoch, "validation": _finite(facts.metric), "loss": _finite(facts.loss)}


def _seed(seed: SeedState) -> dict[str, Any]:
    record = asdict(seed)
    record["contribution"] = _finite(seed.contribution)
    return record


def _finite(value: float | None) -> float | None:
    """Return the value, or None if it is not finite: JSON has no NaN."""
    return value if value is not None and math.isfinite(value) else None
