"""The content of summary.json: a run's results and costs."""

from __future__ import annotations

import math
import platform
from importlib.metadata import version
from typing import Any

from attrs import asdict

from kasmina.records import SeedState
from kasmina.run.checkpoints.facts import Facts
from kasmina.run.data import Split
from kasmina.run.objective import evaluate
from kasmina.run.seeding import seed_everything
from kasmina.run.training import Training

DISTRIBUTIONS = ("kasmina-core", "torch")


def summarise(
    run: Training, status: str, seconds: float, best: Facts | None = None, error: str | None = None
) -> dict[str, Any]:
    """Return the summary of a run that has ended. Nothing else reads the test split.

    Args:
        status: ``"finished"``, ``"stopped"`` or ``"failed"``.
        seconds: Wall time in seconds.
        best: Facts about the best epoch, if one has ended.
        error: Reason why the run failed.
    """
    choices, data = run.info.choices, run.info.data
    test, validation = (_measured(run, split, error) for split in (run.splits.test, run.splits.validation))
    summary = {
        "status": status,
        "task": choices.task,
        "host": choices.host,
        "controller": choices.controller,
        "blueprint": choices.blueprints[0],
        "alternatives": list(choices.blueprints[1:]),
        "seed": run.info.seed,
        "device": run.info.device,
        "metric": data.metric,
        "target": data.target,
        "test": test,
        "validation": validation,
        "best": None if best is None else _best(best),
        "parameters": {"start": run.info.parameters, "final": run.growth.parameters},
        "seeds": [_seed(seed) for seed in run.growth.seeds],
        "epochs": run.growth.epoch,
        "flops": run.flops.total,
        "seconds": round(seconds, 3),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in DISTRIBUTIONS},
    }
    return summary if error is None else summary | {"error": error}


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


def _best(facts: Facts) -> dict[str, Any]:
    return {"epoch": facts.epoch, "validation": _finite(facts.metric), "loss": _finite(facts.loss)}


def _seed(seed: SeedState) -> dict[str, Any]:
    record = asdict(seed)
    record["contribution"] = _finite(seed.contribution)
    return record


def _finite(value: float | None) -> float | None:
    """Return the value, or None if it is not finite: JSON has no NaN."""
    return value if value is not None and math.isfinite(value) else None
