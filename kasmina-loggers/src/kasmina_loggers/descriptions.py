"""Changes of stage, incidents and seeds in a sentence each: the same on a screen, in a pipe and in TensorBoard."""

from __future__ import annotations

from kasmina import Event, Incident, Stage
from kasmina_loggers.formatting import gain, one_line, plural


def describe_change(event: Event) -> str:
    """Return what was built, what the seed contributes and the reason given, as far as the change of stage has them."""
    seed, parts = event.seed, []
    if event.before is Stage.DORMANT:
        parts.append(f"germinated {seed.blueprint}, {plural(seed.parameters, 'parameter')}")
    if event.before is Stage.PROBATION and seed.contribution is not None:
        parts.append(f"contribution {gain(seed.contribution)}")
    return "; ".join([*parts, one_line(event.reason)] if event.reason.strip() else parts)


def describe_incident(incident: Incident) -> str:
    """Return on one line what was seen, which seed and site it concerns and what was done."""
    seed = "" if incident.seed is None else f"seed {incident.seed}"
    site = "" if incident.site is None else f"site {incident.site}"
    about = [incident.reason, " at ".join(filter(None, [seed, site])), incident.action]
    return "; ".join(filter(None, map(one_line, about)))
