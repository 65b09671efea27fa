"""Promotion: the alias goes to the better model, measured on the test split of the challenging run."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from attrs import frozen

from kasmina import UsageError
from kasmina.runs import Trained
from kasmina_loggers.mlflow import tracking_store
from kasmina_loggers.registry import model_registry
from kasmina_loggers.registry.packaging import (
    as_input,
    facts_of,
    find_model,
    log_model,
    samples,
    signature,
    write_model,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.pyfunc import PyFuncModel

CHUNK = 4096
"""Number of rows of one prediction."""


@frozen
class Promotion:
    """The outcome of a challenge."""

    name: str
    version: str
    alias: str
    promoted: bool
    """Whether the challenger got the alias."""
    registered: bool
    """Whether the version is new."""
    metric: str
    value: float | None
    """Test value of the challenger; None if it holds the alias already and was not measured."""
    holder: str | None
    """Version that held the alias before, if there was one."""
    holder_value: float | None
    identity: str

    def sentence(self) -> str:
        """Return the outcome and the margin in one line."""
        this, that = f"version {self.version} of {self.name}", f"version {self.holder}"
        if self.value is None:
            return f"nothing changed: {this}, this very network, is {self.alias} already"
        worth = f"test {self.metric} {self.value:.4f}"
        if self.holder_value is None:
            return f"{this} is {self.alias}: {worth}; nothing was before"
        apart, theirs = abs(self.value - self.holder_value), f"{self.holder_value:.4f}"
        if self.promoted:
            return f"{this} is {self.alias}: {worth}, {apart:.3g} better than {that} ({theirs})"
        if not apart:
            return f"not promoted: {this} has a {worth}, exactly as {that}, which stays {self.alias}"
        return f"not promoted: {this} has a {worth}, {apart:.3g} worse than {that} ({theirs}), which stays {self.alias}"


def usual_name(task: str, options: Mapping[str, Any]) -> str:
    """Return the usual name of a run's model: its task's, or that of the file of a task that has a path.

    Characters that the registry refuses are replaced: a user's own task is called package.module:callable.
    """
    path = options.get("path")
    return re.sub(r"[^\w.-]", "-", Path(path).stem if isinstance(path, str) and path else task)[:200]


def promote(client: MlflowClient, trained: Trained, folder: Path, name: str, alias: str, metric: str) -> Promotion:
    """Register the run's network, if it is not yet, and give it the alias if it is better than its holder.

    Args:
        client: client of the store in which the model is registered.
        trained: network of the run in `folder`, on the CPU.
        folder: folder of the run.
        name: name of the registered model.
        alias: alias that the better version gets.
        metric: ``"loss"``, or the run's metric.

    Raises:
        UsageError: the model that holds the alias cannot be measured by this task.
    """
    facts = facts_of(trained, folder)
    before = model_registry.holder(client, name, alias)
    own = model_registry.registered(client, name, facts["identity"])
    value = champion = None
    if before is None or own is None or before.version != own.version:
        champion = None if before is None else value_of(fitting(before, trained, alias), trained, metric)
        version = own or enter(client, trained, folder, name, facts)
        value = value_of(model_registry.load(model_registry.uri_of(version)), trained, metric)
    else:
        version = own
    better = value is not None and (champion is None or (value < champion if metric == "loss" else value > champion))
    if better:
        client.set_registered_model_alias(name, alias, version.version)
    return Promotion(
        name=name,
        version=str(version.version),
        alias=alias,
        promoted=better,
        registered=own is None,
        metric=metric,
        value=value,
        holder=None if before is None else str(before.version),
        holder_value=champion,
        identity=facts["identity"],
    )


def enter(client: MlflowClient, trained: Trained, folder: Path, name: str, facts: dict[str, Any]) -> ModelVersion:
    """Register the network and return its version; send it first, to its run if MLflow has that, unless it is there."""
    run_id = known_run(client, facts.get("mlflow_run"))
    if run_id:
        experiment = client.get_run(run_id).info.experiment_id
    else:
        experiment = tracking_store.experiment(client, name, folder.absolute().parent)
    uri = find_model(client, experiment, facts, run_id)
    if uri is None:
        with tempfile.TemporaryDirectory() as scratch:
            target = Path(scratch) / "model"
            write_model(trained, facts, target)
            uri = log_model(client, experiment, target, facts, run_id)
    return model_registry.register(client, name, uri, run_id, facts)


def known_run(client: MlflowClient, run_id: str | None) -> str | None:
    """Return the run's id if this store has the run, which may have been sent to another."""
    from mlflow.exceptions import MlflowException

    try:
        return run_id and str(client.get_run(run_id).info.run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def fitting(version: ModelVersion, trained: Trained, alias: str) -> PyFuncModel:
    """Return the version's model, after checking that it fits the task of the run.

    Raises:
        UsageError: it belongs to another task, or has other inputs or classes.
    """
    model = model_registry.load(model_registry.uri_of(version))
    facts, task = model.metadata.metadata or {}, trained.config.task.name
    other = f"version {version.version} of {version.name}, which is {alias}, "
    again = "promote under another --name or --alias"
    if facts.get("task") != task or facts.get("goal") != trained.data.goal:
        raise UsageError(f"{other}is no model of the task {task!r}: {again}")
    if facts.get("classes") != list(trained.classes):
        raise UsageError(f"{other}tells other classes apart than this run: {again}")
    if model.metadata.signature is None or model.metadata.signature.inputs != signature(trained).inputs:
        raise UsageError(f"{other}takes other inputs than this run: {again}")
    return model


def value_of(model: PyFuncModel, trained: Trained, metric: str) -> float:
    """Return the metric, or the loss, of the model as served, on the test split."""
    x, y = samples(trained, "test"), trained.splits.test.y
    parts = [model.predict(as_input(trained, x[row : row + CHUNK])) for row in range(0, len(x), CHUNK)]
    values = np.concatenate([array(part, bool(trained.classes)) for part in parts])
    outputs, scaler = torch.from_numpy(values), trained.splits.outputs
    outputs, y = (scaler.apply(outputs), y.double()) if scaler else (outputs.log(), y)
    measure = trained.objective.loss if metric == "loss" else trained.objective.metric
    return float(measure(outputs, y))


def array(answer: Any, classifies: bool) -> np.ndarray[Any, Any]:
    """Return a model's answer as an array: probabilities (N, classes), or values (N, outputs)."""
    return np.array(answer["probabilities"].tolist()) if classifies else answer.to_numpy(np.float64)
