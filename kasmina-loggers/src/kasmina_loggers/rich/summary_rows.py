"""Summaries of a run as pairs of a label and a text: the same for a terminal and for a pipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from kasmina import Phase, RunInfo, Stage
from kasmina_loggers.formatting import NOTHING, brief, count, duration, flops, measure, one_line, plural
from kasmina_loggers.rich.progress import Progress

Rows = list[tuple[str, str]]


def start_rows(run: RunInfo) -> Rows:
    """Return task, host, sites, plugins, device and folder of a run."""
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
    """Return the number of epochs, and of steps in the next one, that a resumed run has done."""
    done, steps = divmod(run.resumed_at or 0, run.plan.steps_per_epoch)
    return f"{plural(done, 'epoch')}" + (f" and {plural(steps, 'step')}" if steps else "")


def names(words: Sequence[str], most: int = 4) -> str:
    """Return the first `most` names, and the number of further ones."""
    shown = ", ".join(words[:most]) or "none"
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


def describe_phase(phase: Phase) -> str:
    """Return a phase's length, rule for germinations and learning rate."""
    rules = "germinations allowed" if phase.germinate else "no germinations"
    return f"{plural(phase.epochs, 'epoch')}, {rules}, learning rate {phase.decay}"


def epoch_rows(progress: Progress) -> Rows:
    """Return the numbers of the last finished epoch."""
    metrics, run = progress.metrics, progress.run
    names = ["train loss", "validation loss", run.data.metric, "learning rate"]
    texts = [NOTHING] * len(names)
    if metrics is not None:
        texts = [measure(metrics.train_loss), measure(metrics.validation_loss), measure(metrics.validation_metric)]
        texts.append(brief(metrics.learning_rate))
    parameters = run.parameters if metrics is None else metrics.parameters
    return [*zip(names, texts, strict=True), ("parameters", count(parameters))]


def end_rows(summary: Mapping[str, Any], run: RunInfo) -> Rows:
    """Return results and costs of a run, as far as it got."""
    facts = [
        ("status", str(summary.get("status", "unknown"))),
        ("error", one_line(str(summary.get("error") or ""))),
        ("test", result_text(summary, "test")),
        ("validation", result_text(summary, "validation")),
        ("network", network_text(summary)),
        ("compare", comparison_text(summary)),
        ("parameters", growth_text(summary.get("parameters") or {})),
        ("seeds", seeds_text(summary.get("seeds") or [])),
        ("epochs", count(summary.get("epochs"))),
        ("early", "; ".join(phase["ended"] for phase in summary.get("phases") or [] if phase["ended"])),
        ("cost", f"{flops(summary.get('flops'))} in {duration(summary.get('seconds'))}"),
        ("folder", str(run.folder)),
    ]
    return [(label, text) for label, text in facts if text]


def result_text(summary: Mapping[str, Any], split: str) -> str:
    """Return the metric on one split, compared with the target."""
    value, target = summary.get(split), summary.get("target")
    if value is None:
        return ""
    verdict = "" if target is None else f", target {brief(target)} {'reached' if value >= target else 'missed'}"
    return f"{summary.get('metric', 'metric')} {measure(value)}{verdict}"


def network_text(summary: Mapping[str, Any]) -> str:
    """Return which epoch's network the results are of, and what the last one reached."""
    best, last = summary.get("best"), summary.get("last")
    if not best or not last:
        return ""
    said = f"best epoch {count(best['epoch'])} of {count(summary.get('epochs'))}"
    if best["epoch"] == last["epoch"]:
        return said
    splits = ", ".join(f"{split} {measure(last[split])}" for split in ("test", "validation") if last[split] is not None)
    return f"{said}; the last has {splits}, {plural(last['parameters'], 'parameter')}"


def comparison_text(summary: Mapping[str, Any]) -> str:
    """Return what a constant predictor scores on the validation split, and what the host had before it grew."""
    constant, warm_up = summary.get("constant") or {}, summary.get("warm_up")
    value = constant.get("validation")
    said = [] if value is None else [f"a constant predictor has validation {measure(value)}"]
    said += [f"the host alone {measure(warm_up['validation'])} after epoch {warm_up['epoch']}"] if warm_up else []
    return ", ".join(said)


def growth_text(parameters: Mapping[str, int]) -> str:
    start, final = parameters.get("start"), parameters.get("final")
    if not start or final is None:
        return ""
    if final == start:
        return f"{count(start)}, as at the start"
    return f"{count(start)} to {count(final)}, {final / start:.2g} times as many"


def seeds_text(seeds: Sequence[Mapping[str, Any]]) -> str:
    """Return the number of seeds that ended in each stage, in the order of a seed's life."""
    stages = Counter(str(seed["stage"]) for seed in seeds)
    return ", ".join(f"{stages[stage]} {stage}" for stage in Stage if stage in stages) or "none"
