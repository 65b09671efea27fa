"""Runs in MLflow: parameters, metrics, artefacts and the model, sent by a process of its own beside the run."""

from kasmina_loggers.mlflow.logger import MLflow

__all__ = ["MLflow"]
