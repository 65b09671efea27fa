"""The run's network as a model in MLflow."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kasmina_loggers.mlflow.faults import Refused
from kasmina_loggers.mlflow.outbox import place

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_model(client: MlflowClient, run_id: str, run: Path) -> str:
    """Packs the network of a run's folder and logs it to that run in MLflow; its URI.

    Raises:
        Refused: it cannot be packed.
        Exception: whatever the client raised.
    """
    from kasmina_loggers.mlflow.package import log_package, package

    with TemporaryDirectory(dir=place(run)) as here:
        target = Path(here) / "model"
        try:
            package(run, target)
        except Exception as error:
            raise Refused(str(error)) from error
        return str(log_package(client, run_id, target))


def rehearse(run: Path) -> None:
    """Packs the network as it is, for nothing: what is imported and traced for the first time is quick at the end."""
    from kasmina_loggers.mlflow.package import package

    with TemporaryDirectory() as here:
        package(run, Path(here) / "model", warn=lambda sentence: None)
