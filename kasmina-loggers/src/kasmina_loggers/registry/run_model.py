"""The run's network as a model in MLflow."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kasmina_loggers.mlflow.outbox import own_folder
from kasmina_loggers.mlflow.store_errors import Refused

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_model(client: MlflowClient, run_id: str, run: Path) -> str:
    """Package the network of a run's folder, log it to that run in MLflow, and return its URI.

    Raises:
        Refused: the network cannot be packaged.
        Exception: whatever the client raised.
    """
    from kasmina_loggers.registry.packaging import log_package, package

    with TemporaryDirectory(dir=own_folder(run)) as here:
        target = Path(here) / "model"
        try:
            package(run, target)
        except Exception as error:
            raise Refused(str(error)) from error
        return str(log_package(client, run_id, target))
