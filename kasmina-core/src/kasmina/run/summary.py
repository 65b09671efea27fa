"""summary.json: what came out of a run, and what it cost."""

from __future__ import annotations

import math
import platform
from importlib.metadata import version
from typing import Any

from attrs import asdict

from kasmina.records import SeedState
from kasmina.run.data import Split
from kasmina.run.objective import evaluate
from kasmina.run.seeding import seed_everything
from kasmina.run.training import Training

DISTRIBUTIONS = ("kasmina-core", "torch")


def summarise(run: Training, status: str, seconds: float, error: str | None = None) -> dict[str, Any]:
    """The summary of a run that has ended; the one place where the test split is read.

    Args:
        status: ``"finished"``, ``"stopped"`` or ``"failed"``.
        seconds: of wall time.
        error: why it failed.
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
        "parameters": {"start": run.info.parameters, "final": run.growth.parameters},
        "seeds": [_seed(seed) for seed in run.growth.seeds],
        "epochs": run.growth.epoch,
        "flops": run.flops.total,
        "seconds": round(seconds, 3),
        "versions": {"python": platform.python_version()} | {name: version(name) for name in DISTRIBUTIONS},
    }
    return summary if error is None else summary | {"error": error}


def _measured(run: Training, split: Split, error: str | None) -> float | None:
    """The host's metric; None if it is not finite, or cannot be had of a host that has failed.

    Of one that draws as it is measured, with numbers that do not depend on what was drawn before.
    """
    seed_everything(run.splits.device, run.settings.seed, run.growth.epoch, 1)
    try:
        return _finite(evaluate(run.host, run.objective, split)[1])
    except Exception:
        if error is None:
            raise
        return None


def _seed(seed: SeedState) -> dict[str, Any]:
    record = asdict(seed)
    record["contribution"] = None if seed.contribution is None else _finite(seed.contribution)
    return record


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
