"""The run's network as a model in MLflow."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from kasmina_loggers.mlflow.outbox import place

if TYPE_CHECKING:
    from mlflow import MlflowClient


def log_model(client: MlflowClient, run_id: str, run: Path) -> str:
    """Packs the network of a run's folder and logs it to that run in MLflow; its URI."""
    from kasmina_loggers.mlflow.package import log_package, package

    with TemporaryDirectory(dir=place(run)) as here:
        target = Path(here) / "model"
        package(run, target)
        return str(log_package(client, run_id, target))


def warm_up() -> None:
    """Imports what `log_model` needs, while there is nothing else to do."""
    import kasmina.run.restore  # noqa: F401
    import kasmina_loggers.mlflow.package  # noqa: F401
