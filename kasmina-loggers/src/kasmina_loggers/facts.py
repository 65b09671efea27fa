"""What there is to say about a run, as pairs of a label and a text: the same for a terminal and for a pipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from kasmina import Event, Incident, Phase, RunInfo, Stage
from kasmina_loggers.course import Course
from kasmina_loggers.words import brief, count, duration, flops, gain, measure, one_line, plural

Facts = list[tuple[str, str]]


def of_start(run: RunInfo) -> Facts:
    """What is grown, on what, by whom and where."""
    target = "" if run.data.target is None else f", target {run.data.metric} {brief(run.data.target)}"
    resumed = [] if run.resumed_at is None else [("resumed", f"after step {run.resumed_at}, {epochs(run)}")]
    return [
        ("task", f"{run.choices.task}{target}"),
        ("host", f"{run.choices.host}, {plural(run.parameters, 'parameter')}"),
        ("sites", names([site.name for site in run.sites])),
        ("controller", run.choices.controller),
        ("blueprint", " against ".join(run.choices.blueprints)),
        ("device", f"{run.device}, random seed {run.seed}"),
        ("folder", str(run.folder)),
        *resumed,
    ]


def epochs(run: RunInfo) -> str:
    """How many epochs are done where a run is resumed, and how far the next one is."""
    done, steps = divmod(run.resumed_at or 0, run.plan.steps_per_epoch)
    return f"{plural(done, 'epoch')}" + (f" and {plural(steps, 'step')}" if steps else "")


def names(words: Sequence[str], most: int = 4) -> str:
    """A few names; of many only the first, and how many more there are."""
    shown = ", ".join(words[:most]) or "none"
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


def of_phase(phase: Phase) -> str:
    """A phase's rules."""
    rules = "germinations allowed" if phase.germinate else "no germinations"
    return f"{plural(phase.epochs, 'epoch')}, {rules}, learning rate {phase.decay}"


def of_epoch(course: Course) -> Facts:
    """The numbers of the last finished epoch."""
    metrics, metric = course.metrics, course.run.data.metric
    return [
        ("train loss", measure(metrics.get("train/loss"))),
        ("validation loss", measure(metrics.get("validation/loss"))),
        (metric, measure(metrics.get(f"validation/{metric}"))),
        ("learning rate", brief(metrics.get("learning_rate"))),
        ("parameters", count(metrics.get("parameters", course.run.parameters))),
    ]


def of_change(event: Event) -> str:
    """What a change of stage is about: what was built, what it brings, and the reason that was given."""
    seed, parts = event.seed, []
    if event.before is Stage.DORMANT:
        parts.append(f"germinated {seed.blueprint}, {plural(seed.parameters, 'parameter')}")
    if event.before is Stage.PROBATION and seed.contribution is not None:
        parts.append(f"contribution {gain(seed.contribution)}")
    return "; ".join([*parts, one_line(event.reason)] if event.reason.strip() else parts)


def of_incident(incident: Incident) -> str:
    """What befell the run, why, whom it cost and what was done, on one line."""
    seed = "" if incident.seed is None else f"seed {incident.seed}"
    site = "" if incident.site is None else f"site {incident.site}"
    about = [incident.reason, " at ".join(filter(None, [seed, site])), incident.action]
    return "; ".join(filter(None, map(one_line, about)))


def of_end(summary: Mapping[str, Any], run: RunInfo) -> Facts:
    """What came out and what it cost. Of a run that failed early, only what there is."""
    facts = [
        ("status", str(summary.get("status", "unknown"))),
        ("error", one_line(str(summary.get("error") or ""))),
        ("test", of_result(summary, "test")),
        ("validation", of_result(summary, "validation")),
        ("parameters", of_growth(summary.get("parameters") or {})),
        ("seeds", of_seeds(summary.get("seeds") or [])),
        ("epochs", count(summary.get("epochs"))),
        ("cost", f"{flops(summary.get('flops'))} in {duration(summary.get('seconds'))}"),
        ("folder", str(run.folder)),
    ]
    return [(label, text) for label, text in facts if text]


def of_result(summary: Mapping[str, Any], split: str) -> str:
    """The metric on one split, against the target."""
    value, target = summary.get(split), summary.get("target")
    if value is None:
        return ""
    verdict = "" if target is None else f", target {brief(target)} {'reached' if value >= target else 'missed'}"
    return f"{summary.get('metric', 'metric')} {measure(value)}{verdict}"


def of_growth(parameters: Mapping[str, int]) -> str:
    start, final = parameters.get("start"), parameters.get("final")
    if not start or final is None:
        return ""
    if final == start:
        return f"{count(start)}, as at the start"
    return f"{count(start)} to {count(final)}, {final / start:.2g} times as many"


def of_seeds(seeds: Sequence[Mapping[str, Any]]) -> str:
    """How many seeds ended in each stage, in the order of a seed's life."""
    stages = Counter(str(seed["stage"]) for seed in seeds)
    return ", ".join(f"{stages[stage]} {stage}" for stage in Stage if stage in stages) or "none"
