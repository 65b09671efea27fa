"""A run's network as an MLflow model: a folder without pickles that needs only torch and mlflow."""

from __future__ import annotations

import hashlib
import json
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from kasmina import files
from kasmina.runs import Folder, Trained, endings, evaluate, inference_program, restore
from kasmina_loggers.mlflow.delivery_state import DeliveryState
from kasmina_loggers.mlflow.outbox import FOLDER
from kasmina_loggers.mlflow.tracking_store import quiet
from kasmina_loggers.registry.model_registry import PREFIX, tags_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

NAME = "model"
"""Name of a run's model in MLflow."""
SCORER = Path(__file__).parents[1] / "serving" / "scorer.py"
"""File of code that is copied into the model."""
EXAMPLES = 4
"""Number of rows of the input example."""


def package(
    folder: Path,
    target: Path,
    trust: bool = False,
    *,
    checkpoint: str = "best",
    warn: Callable[[str], None] = warnings.warn,
) -> dict[str, Any]:
    """Write the network of the run in `folder` as an MLflow model to `target`, and return its metadata.

    Args:
        folder: folder of the run.
        target: folder that must not exist yet.
        trust: as for `kasmina.runs.restore`.
        checkpoint: as for `kasmina.runs.restore`.
        warn: as for `kasmina.runs.restore`.

    Raises:
        UsageError: there is no run, its files are damaged, or its host cannot be exported.
        KasminaError: the model would not compute what the run's network does.
    """
    trained = restore(folder, "cpu", trust, checkpoint=checkpoint, warn=warn)
    facts = facts_of(trained, folder)
    write_model(trained, facts, target)
    return facts


def write_model(trained: Trained, facts: dict[str, Any], target: Path) -> None:
    """Write a network that is on the CPU as an MLflow model with the metadata `facts` to the new folder `target`."""
    quiet()
    from mlflow import pyfunc

    x = samples(trained, "validation")
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "program.pt2"
        torch.export.save(inference_program(trained, torch.from_numpy(x)), file)
        pyfunc.save_model(
            str(target),
            python_model=str(SCORER),
            artifacts={"program": str(file)},
            model_config={"shape": list(trained.data.in_shape), "classes": list(trained.classes)},
            signature=signature(trained),
            input_example=as_input(trained, shortest(x[:EXAMPLES])),
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in ("mlflow", "torch")],
            metadata=facts,
        )


def samples(trained: Trained, split: str) -> np.ndarray[Any, Any]:
    """Return the samples (N, *in_shape) of a split as the task loads them, in float32."""
    return trained.rows(split)[0].astype(np.float32)


def columns(trained: Trained) -> list[str]:
    """Return the names of a vector's numbers; none for a sequence or an image."""
    data = trained.data
    if data.x.ndim != 2:
        return []
    width = data.x.shape[1]
    return list(data.features) if len({*data.features}) == width else [f"x{k}" for k in range(1, width + 1)]


def as_input(trained: Trained, x: np.ndarray[Any, Any]) -> Any:
    """Return samples as the model takes them: a table of named columns, or the array."""
    import pandas as pd

    names = columns(trained)
    return pd.DataFrame(x.astype(np.float64), columns=names) if names else x


def shortest(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return numbers of float32 with the fewest digits: 187.1, not 187.10000610351562."""
    return x.astype(str).astype(np.float64).astype(np.float64 if x.ndim == 2 else np.float32)


def signature(trained: Trained) -> ModelSignature:
    """Return the types of the model's inputs and outputs."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from mlflow.types.schema import Array

    names, data = columns(trained), trained.data
    tensor = TensorSpec(np.dtype(np.float32), (-1, *data.in_shape))
    inputs: list[ColSpec | TensorSpec] = [ColSpec("double", name) for name in names]
    if data.classes:
        probabilities = ColSpec(Array("double"), "probabilities")
        outputs: list[ColSpec | TensorSpec] = [ColSpec("string", "prediction"), probabilities]
    else:
        outputs = [ColSpec("double", f"prediction{end}") for end in endings(data.outputs)]
    return ModelSignature(Schema(inputs or [tensor]), Schema(outputs))


def facts_of(trained: Trained, folder: Path) -> dict[str, Any]:
    """Return the model's metadata: its run, task, classes, data, identity and metric on the test split."""
    facts = {
        "run": folder.absolute().name,
        "task": trained.config.task.name,
        "goal": trained.data.goal,
        "classes": list(trained.classes),
        "metric": trained.objective.metric_name,
        "test": repr(evaluate(trained.host, trained.objective, trained.splits.test)[1]),
        "data": trained.splits.digest,
        "identity": identity(trained, folder),
    }
    run_id = DeliveryState.load(folder / FOLDER).run_id
    return facts | ({"mlflow_run": run_id} if run_id else {})


def identity(trained: Trained, folder: Path) -> str:
    """Return a SHA-256 of weights, options and data, which does not depend on the place of the run's folder."""
    found = hashlib.sha256()
    options = hashlib.sha256(files.read(Folder(folder).config)).hexdigest()
    found.update(json.dumps([options, trained.splits.digest]).encode())
    parts = {"host": trained.host} | {f"seed/{seed.id}": seed for seed in trained.seeds}
    for part, module in parts.items():
        for name, value in module.state_dict().items():
            if isinstance(value, torch.Tensor):
                found.update(repr((part, name, value.dtype, tuple(value.shape))).encode())
                found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def log_package(client: MlflowClient, run_id: str, target: Path) -> str:
    """Send the model in the folder `target` to a run in MLflow unless it is there, and return its URI."""
    from mlflow.models import Model

    experiment, facts = client.get_run(run_id).info.experiment_id, Model.load(str(target)).metadata or {}
    return find_model(client, experiment, facts, run_id) or log_model(client, experiment, target, facts, run_id)


def find_model(client: MlflowClient, experiment: str, facts: dict[str, Any], run_id: str | None = None) -> str | None:
    """Return the URI of the complete model with this identity in the experiment (of this run, if given), or None."""
    words = f"tags.`{PREFIX}identity` = '{facts['identity']}'" + (f" AND source_run_id = '{run_id}'" if run_id else "")
    found = [model for model in client.search_logged_models([experiment], words) if model.status == "READY"]
    return f"models:/{found[0].model_id}" if found else None


def log_model(
    client: MlflowClient, experiment: str, target: Path, facts: dict[str, Any], run_id: str | None = None
) -> str:
    """Send the model in the folder `target` to an experiment (and run, if given), and return its URI."""
    from mlflow.entities import LoggedModelOutput

    model = client.create_logged_model(experiment, NAME, run_id, tags=tags_of(facts))
    try:
        client.log_model_artifacts(model.model_id, str(target))
    except BaseException:
        client.finalize_logged_model(model.model_id, "FAILED")
        raise
    client.finalize_logged_model(model.model_id, "READY")
    if run_id:
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return f"models:/{model.model_id}"
