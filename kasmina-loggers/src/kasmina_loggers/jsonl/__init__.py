"""Metrics and events as lines of JSON in the run's folder."""

from kasmina_loggers.jsonl.logger import JSONL

__all__ = ["JSONL"]
