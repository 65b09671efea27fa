"""Models in MLflow: packaged, registered and promoted."""
