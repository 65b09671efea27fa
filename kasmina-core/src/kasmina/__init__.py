"""Kasmina: neural networks that grow while they learn.

Everything that a plugin's author needs comes from here, and importing it loads no torch. A seed, whole::

    import attrs
    from torch import nn
    from kasmina import Site


    @attrs.define(eq=False)  # eq=False: pluggy tells plugins apart by equality
    class Narrow:
        '''A linear map through a few units.'''

        units: int = 4

        def build(self, site: Site) -> nn.Module:
            return nn.Sequential(nn.Linear(site.in_features, self.units), nn.Linear(self.units, site.out_features))

Registered in the distribution's pyproject.toml, it is there on the day that it is installed::

    [project.entry-points."kasmina.blueprints"]
    narrow = "my_package:Narrow"

``kasmina new blueprint NAME`` writes all of that, and :mod:`kasmina.testing` checks that it keeps the contract.

Controllers and loggers implement hooks, which :mod:`kasmina.hookspecs` describes, by methods marked ``@hookimpl``. The
methods of blueprints, hosts and tasks are in :mod:`kasmina.protocols`, as types.

The folder of a run is read back by :mod:`kasmina.runs`.

And :func:`kasmina.attach` grows a network in a training loop of your own.
"""

from typing import TYPE_CHECKING, Any

from kasmina.errors import KasminaError, PluginError, UsageError
from kasmina.hookspecs import hookimpl
from kasmina.protocols import Blueprint, Host, Logger, SelectiveBlueprint, Stateful, Task
from kasmina.records import (
    Choices,
    Data,
    DataInfo,
    Event,
    Incident,
    Metrics,
    Observation,
    Phase,
    Plan,
    Plane,
    Predictions,
    Proposal,
    Remaining,
    RunInfo,
    SeedState,
    Site,
    SiteState,
    Stage,
    Verdict,
)

if TYPE_CHECKING:
    from kasmina.run.attach import attach as attach


def __getattr__(name: str) -> Any:
    """`attach` needs torch, which is imported only for those who ask for it."""
    if name == "attach":
        from kasmina.run.attach import attach

        return attach
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "Blueprint",
    "Choices",
    "Data",
    "DataInfo",
    "Event",
    "Host",
    "Incident",
    "KasminaError",
    "Logger",
    "Metrics",
    "Remaining",
    "Observation",
    "Phase",
    "Plan",
    "Plane",
    "PluginError",
    "Predictions",
    "Proposal",
    "RunInfo",
    "SeedState",
    "SelectiveBlueprint",
    "Site",
    "SiteState",
    "Stage",
    "Stateful",
    "Task",
    "UsageError",
    "Verdict",
    "attach",
    "hookimpl",
]
