"""Sentences about changes of stage and incidents, the same on a screen, in a pipe and in TensorBoard."""

from __future__ import annotations

from kasmina import Event, Incident, Stage
from kasmina_loggers.formatting import gain, one_line, plural


def describe_change(event: Event) -> str:
    """Return one line with the blueprint, the contribution and the reason, as far as the change of stage has them."""
    seed, parts = event.seed, []
    if event.before is Stage.DORMANT:
        parts.append(f"germinated {seed.blueprint}, {plural(seed.parameters, 'parameter')}")
    if event.before is Stage.PROBATION and seed.contribution is not None:
        parts.append(f"contribution {gain(seed.contribution)}")
    return "; ".join([*parts, one_line(event.reason)] if event.reason.strip() else parts)


def describe_incident(incident: Incident) -> str:
    """Return one line with the incident's reason, its seed and site, and the action taken."""
    seed = "" if incident.seed is None else f"seed {incident.seed}"
    site = "" if incident.site is None else f"site {incident.site}"
    about = [incident.reason, " at ".join(filter(None, [seed, site])), incident.action]
    return "; ".join(filter(None, map(one_line, about)))
