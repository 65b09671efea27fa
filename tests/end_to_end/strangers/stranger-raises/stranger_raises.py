"""A controller and a logger that raise in mid-run."""

import attrs

from kasmina import Metrics, Observation, hookimpl


@attrs.define(eq=False)
class Controller:
    """Raises at the first decision."""

    @hookimpl
    def propose_germination(self, observation: Observation) -> None:
        raise LookupError("no rule for this site")


@attrs.define(eq=False)
class Logger:
    """Raises at the end of each epoch."""

    @hookimpl
    def log_metrics(self, metrics: Metrics, step: int) -> None:
        raise OSError("the disk is full")
