"""Facts about a run for its first record in MLflow, as plain values."""

from __future__ import annotations

import getpass
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kasmina import RunInfo
from kasmina_loggers.mlflow.value_limits import DATASET, DIGEST, TAG, cut, flat, parameters, text

DISTRIBUTIONS = ("kasmina-core", "kasmina-loggers", "torch")


def facts(run: RunInfo, experiment: str) -> dict[str, Any]:
    """Return everything that stays the same throughout the run."""
    return {
        "name": cut(run.name, TAG),
        "experiment": experiment,
        "parameters": parameters(run.config),
        "tags": {name: cut(value, TAG) for name, value in tags(run).items()},
        "dataset": dataset(run),
        "folder": str(Path.cwd()),
    }


def tags(run: RunInfo) -> dict[str, str]:
    """Return Kasmina's own tags, named "kasmina.*", and those by which MLflow shows who ran what."""
    about = {
        "task": run.choices.task,
        "host": run.choices.host,
        "controller": run.choices.controller,
        "blueprint": ", ".join(run.choices.blueprints),
        "device": run.device,
        "metric": run.data.metric,
    }
    versions = {"python": platform.python_version()} | {name: version(name) for name in DISTRIBUTIONS}
    return (
        {f"kasmina.{name}": value for name, value in about.items()}
        | {f"kasmina.versions.{name}": value for name, value in versions.items()}
        | {"mlflow.user": user(), "mlflow.source.type": "LOCAL", "mlflow.source.name": sys.argv[0] or "kasmina"}
    )


def user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the system has no name for the user
        return str(os.getuid()) if hasattr(os, "getuid") else ""


def dataset(run: RunInfo) -> dict[str, str]:
    """Return MLflow's description of the task's data: name, digest, source, schema and numbers of rows."""
    source = {name: text(value) for name, value in flat({"task": run.config.get("task", {})})}
    profile = {"rows": sum(run.data.rows.values()), **run.data.rows, "classes": len(run.data.classes)}
    return {
        "name": cut(run.choices.task, DATASET),
        "digest": run.data.digest[:DIGEST],
        "source_type": "code",
        "source": text({"tags": source}),
        "schema": text(schema(run)),
        "profile": text(profile),
    }


def schema(run: RunInfo) -> dict[str, Any]:
    """Return the columns by name if the task names them, else the shapes of samples and targets."""
    if run.data.features:
        return {"mlflow_colspec": [{"name": name, "type": "float", "required": True} for name in run.data.features]}
    target = ("int64", [-1]) if run.data.goal == "classification" else ("float32", [-1, run.data.outputs])
    return {"mlflow_tensorspec": {"features": tensor("float32", [-1, *run.data.in_shape]), "targets": tensor(*target)}}


def tensor(dtype: str, shape: list[int]) -> str:
    return text([{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": shape}}])
