"""Script of a simulated run: all that no plugin decides."""

from __future__ import annotations

from attrs import frozen

STEPS = 4
"""Number of steps in an epoch."""
MOMENTS = STEPS + 1
"""Number of moments in an epoch at which a run may be stopped: after each step, and after the decisions at its end."""


@frozen
class Script:
    """The outer conditions of a simulated run."""

    seed: int = 0
    """Seed of everything that is random in the run."""
    epochs: int = 40
    sites: tuple[str, ...] = ("layers.0", "layers.1", "layers.2")
    target: float | None = 0.9
    stage_epochs: int = 2
    """Number of epochs that a seed spends in each stage."""
    busy: bool = False
    """Whether seeds of someone else are on their way at every site."""
    status: str = "finished"
    tags: tuple[str, ...] = ()
    """Names of further histograms. With any, values of metrics and histograms are unusual numbers."""
    name: str = "first"
