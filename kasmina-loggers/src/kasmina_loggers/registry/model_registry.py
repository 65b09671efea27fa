"""Registered models of MLflow: their names, versions and aliases."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kasmina import KasminaError, UsageError
from kasmina_loggers.mlflow import tracking_store
from kasmina_loggers.mlflow.store_errors import Away, fault, sentence

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel
    from mlflow.pyfunc import PyFuncModel

NAMED = ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")
"""Environment variables by which MLflow resolves ``models:/`` names; its own setters would leave them changed."""
PREFIX = "kasmina."
"""Prefix of the tags that repeat a model's metadata."""


@contextmanager
def registry(uri: str) -> Iterator[MlflowClient]:
    """Yield a client of the store at `uri`, where MLflow then looks up ``models:/`` names; errors are as in `told`."""
    before = {name: os.environ.get(name) for name in NAMED}
    with told(uri):
        client = tracking_store.client(uri)
        os.environ |= dict.fromkeys(NAMED, uri)
        try:
            yield client
        finally:
            for name, value in before.items():
                del os.environ[name]
                os.environ |= {} if value is None else {name: value}


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Turn MLflow's errors within the context into errors of one sentence.

    Raises:
        UsageError: MLflow knows no such store as `uri`, knows no such name, or refuses the call.
        KasminaError: the store does not answer.
    """
    tracking_store.quiet()
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        why, elsewhere = sentence(error), "--tracking-uri names another"
        if "unsupported URI" in why:
            raise UsageError(f"MLflow at {uri}: {why}; {elsewhere}") from error
        if isinstance(fault(error), Away):
            raise KasminaError(f"MLflow at {uri} does not answer: {why}; {elsewhere}") from error
        raise UsageError(f"MLflow at {uri}: {why}; 'kasmina models' lists what there is") from error


def has_store(uri: str) -> bool:
    """Return whether the store exists: to ask a missing SQLite database would create it."""
    path = tracking_store.database(uri)
    return path is None or path.exists()


def nothing(uri: str) -> str:
    """Return the message about a store without a model."""
    return f"nothing is registered in {uri}: 'kasmina promote RUN' registers the network of a run"


def models(client: MlflowClient) -> list[RegisteredModel]:
    """Return all registered models, sorted by name."""
    return sorted(_all(client.search_registered_models), key=lambda model: str(model.name))


def versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Return all versions of a model, the oldest first; none if there is no such model."""
    found = _all(client.search_model_versions, filter_string=f"name='{name}'")
    return sorted(found, key=lambda version: int(version.version))


def tags_of(facts: dict[str, Any]) -> dict[str, str]:
    """Return a model's metadata as tags, without its classes, which may be many."""
    return {f"{PREFIX}{name}": str(value) for name, value in facts.items() if name != "classes"}


def fact(version: ModelVersion, name: str) -> str:
    """Return one entry of the metadata of the version's model, or an empty text."""
    return str(version.tags.get(f"{PREFIX}{name}", ""))


def holder(client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """Return the version of a model that holds an alias, or None."""
    number = _aliases(client, name).get(alias)
    return None if number is None else client.get_model_version(name, str(number))


def registered(client: MlflowClient, name: str, identity: str) -> ModelVersion | None:
    """Return the version of a model with this identity, or None."""
    return next((v for v in versions(client, name) if fact(v, "identity") == identity), None)


def register(client: MlflowClient, name: str, uri: str, run_id: str | None, facts: dict[str, Any]) -> ModelVersion:
    """Register the logged model at `uri` (``models:/m-…``) as a new version of a model, and return the version."""
    if not any(model.name == name for model in models(client)):
        client.create_registered_model(name)
    tags = tags_of(facts)
    return client.create_model_version(name, uri, run_id, tags=tags, model_id=uri.removeprefix("models:/"))


def load(uri: str) -> PyFuncModel:
    """Load the model at ``models:/NAME/VERSION`` or ``models:/NAME@ALIAS``, as it would be served."""
    from mlflow import pyfunc

    model: PyFuncModel = pyfunc.load_model(uri)
    return model


def uri_of(version: ModelVersion) -> str:
    return f"models:/{version.name}/{version.version}"


def _aliases(client: MlflowClient, name: str) -> dict[str, str]:
    return next((dict(model.aliases) for model in models(client) if model.name == name), {})


def _all(search: Any, **words: Any) -> list[Any]:
    found = search(**words)
    results = list(found)
    while found.token:
        found = search(**words, page_token=found.token)
        results += found
    return results
