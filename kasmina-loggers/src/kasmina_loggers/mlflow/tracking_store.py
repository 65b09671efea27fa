"""The tracking store of MLflow, and clients for it.

Every process of Kasmina's that imports MLflow calls `quiet` first, and gets its client from `client`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    # Kasmina tries again by itself; MLflow's own retries would hold it up for minutes.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


def quiet() -> None:
    """Set MLflow's variables, before its import, so that it calls only its store and fails at once if that is away."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # It warns that pip is missing, which no model of Kasmina's needs.
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)


def where(option: str, runs: Path) -> str:
    """Return the tracking URI: the option, else ``MLFLOW_TRACKING_URI``, else an SQLite database in the folder `runs`.

    The path of an SQLite database, ``*.db``, may stand for its URI.
    """
    uri = option or os.environ.get("MLFLOW_TRACKING_URI", "") or f"{SQLITE}{runs.absolute() / 'mlflow.db'}"
    if "://" not in uri and Path(uri).suffix == ".db":
        uri = f"{SQLITE}{uri}"
    if path := database(uri):
        return f"{SQLITE}{path.absolute()}"
    return uri


def database(uri: str) -> Path | None:
    """Return the file of an SQLite store; None for any other."""
    path = uri.removeprefix(SQLITE)
    return Path(path) if path not in ("", uri, ":memory:") else None


def client(uri: str) -> MlflowClient:
    """Return a client of the store at `uri`; a missing SQLite database is made, by one process alone."""
    quiet()
    from mlflow import MlflowClient

    with turn(uri):
        return MlflowClient(uri, uri)


@contextmanager
def turn(uri: str) -> Iterator[None]:
    """Let one process at a time use an SQLite database; clients of a server take no lock."""
    path = database(uri)
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


def experiment(client: MlflowClient, name: str, runs: Path) -> str:
    """Return the id of an experiment, made if need be; an SQLite store keeps its artefacts in `runs`."""
    from mlflow import MlflowException

    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    local = database(client.tracking_uri) is not None
    try:
        return client.create_experiment(name, (runs.absolute() / "mlflow-artifacts").as_uri() if local else None)
    except MlflowException as error:
        found = client.get_experiment_by_name(name) if error.error_code == "RESOURCE_ALREADY_EXISTS" else None
        if found is None:
            raise
        return str(found.experiment_id)  # another process was faster
