"""A logger that asks a hook for an argument that it does not have."""

import attrs

from kasmina import Metrics, hookimpl


@attrs.define(eq=False)
class Arguments:
    """Takes `metric` for `metrics`."""

    @hookimpl
    def log_metrics(self, metric: Metrics, step: int) -> None:
        pass
