"""Runs in MLflow: parameters, metrics, artefacts and the model, sent by a process of their own."""

from kasmina_loggers.mlflow.logger import MLflow

__all__ = ["MLflow"]
