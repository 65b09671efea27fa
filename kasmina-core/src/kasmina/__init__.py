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

Controllers and loggers implement hooks, which :mod:`kasmina.hookspecs` describes, by methods marked ``@hookimpl``.
"""

from kasmina.hookspecs import hookimpl
from kasmina.records import (
    Data,
    Event,
    Observation,
    Phase,
    Proposal,
    RunInfo,
    SeedState,
    Site,
    SiteState,
    Stage,
    Verdict,
)

__all__ = [
    "Data",
    "Event",
    "Observation",
    "Phase",
    "Proposal",
    "RunInfo",
    "SeedState",
    "Site",
    "SiteState",
    "Stage",
    "Verdict",
    "hookimpl",
]
