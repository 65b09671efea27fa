"""The pieces of the screen other than tables of seeds: facts, lines of events, bars and the last epoch's numbers."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kasmina import Event, Incident, Phase, RunInfo
from kasmina_loggers.descriptions import describe_change, describe_incident
from kasmina_loggers.formatting import clock, pace, tail
from kasmina_loggers.rich import summary_rows
from kasmina_loggers.rich.grids import (
    INCIDENT_STYLES,
    QUIET,
    STAGE_STYLES,
    STAGE_WIDTH,
    Cell,
    Column,
    Grid,
    bar,
    column,
    site_width,
)
from kasmina_loggers.rich.progress import Progress

NARROW = 90
"""Width of a terminal below which the reason for a change stands under the change, not next to it."""
SLOW_EPOCH = 1.0
"""Seconds per epoch above which the batches get a bar; in shorter epochs it would only flicker."""


def grid() -> Table:
    """Return a table for what is printed once, where rich may take its time to fold long texts."""
    return Table.grid(padding=(0, 2, 0, 0))


def pairs(rows: summary_rows.Rows, first_style: str = "") -> Table:
    """Return a table of labels and texts in two columns."""
    table = grid()
    table.add_column(min_width=10, no_wrap=True)
    table.add_column(overflow="fold")
    for index, (label, text) in enumerate(rows):
        table.add_row(Text(label, QUIET), Text(text, first_style if index == 0 else ""))
    return table


def phase_line(phase: Phase) -> RenderableType:
    """Return the line about the beginning of a phase, below a blank line."""
    table = grid()
    table.add_row(Text(phase.name, "bold"), Text(summary_rows.describe_phase(phase), QUIET))
    return Group(Text(), table)


def change_line(event: Event, run: RunInfo, width: int) -> RenderableType:
    """Return the line about a change of stage, in columns that stay the same throughout the run."""
    seed, epoch_width = event.seed, len(str(run.plan.epochs))
    sites = site_width([site.name for site in run.sites], width)
    table = grid()
    for needed in (epoch_width, 7, sites, STAGE_WIDTH):
        table.add_column(min_width=needed, no_wrap=True)
    what = [Text(f"{event.epoch:>{epoch_width}}", QUIET), Text(f"seed {seed.id}"), Text(tail(seed.site, sites))]
    what.append(Text(seed.stage, STAGE_STYLES[seed.stage]))
    about = Text(describe_change(event), QUIET)
    if width >= NARROW:
        table.add_column(overflow="fold")
        table.add_row(*what, about)
        return table
    table.add_row(*what)
    return Group(table, Padding(about, (0, 0, 0, epoch_width + 2))) if about else table


def incident_line(incident: Incident, run: RunInfo) -> RenderableType:
    """Return an incident as a line, with a long reason in a column of its own."""
    epoch_width = len(str(run.plan.epochs))
    table = grid()
    table.add_column(min_width=epoch_width, no_wrap=True)
    table.add_column(min_width=7, no_wrap=True)
    table.add_column(overflow="fold")
    what = Text(incident.kind, INCIDENT_STYLES.get(incident.kind, ""))
    about = Text(f"at step {incident.step}: {describe_incident(incident)}", QUIET)
    table.add_row(Text(f"{incident.epoch:>{epoch_width}}", QUIET), what, about)
    return table


def bars(progress: Progress, width: int) -> Grid:
    """Return bars for the progress of run, phase and epoch, with the time they take."""
    run, phase, left, each = progress.run, progress.phase, progress.seconds_left, progress.seconds_per_epoch
    room = max(8, min(40, width - 48))
    time = clock(progress.seconds) + ("" if left is None else f", {clock(left)} left")
    rows = [bar_row("run", progress.epoch, run.plan.epochs, f"epochs   {time}", room)]
    if phase is not None:
        done = progress.epoch - progress.epochs_before_phase
        rows.append(bar_row(phase.name, done, phase.epochs, "epochs", room))
    if (progress.seconds if each is None else each) >= SLOW_EPOCH:
        rows.append(bar_row("epoch", progress.batch, run.plan.steps_per_epoch, "batches", room))
    else:
        speed = "" if each is None else pace(each)
        rows.append(([("epoch", QUIET)], [(speed, QUIET)], [("", "")], [("", "")]))
    labels, lines, counts, units = zip(*rows, strict=True)
    labels_width = max(10, *(len(label[0][0]) for label in labels))
    counts_width = 2 * len(str(max(run.plan.epochs, run.plan.steps_per_epoch))) + 1
    return Grid(
        [
            Column(labels, min(labels_width, 16)),
            Column(lines, room),
            Column(counts, counts_width, right=True),
            Column(units, max(len(unit[0][0]) for unit in units)),
        ]
    )


def bar_row(label: str, done: int, total: int, unit: str, room: int) -> tuple[Cell, Cell, Cell, Cell]:
    drawn = bar(done / max(total, 1), room, "green")
    return [(label, QUIET)], drawn, [(f"{done}/{total}", "")], [(unit, QUIET)]


def numbers(progress: Progress) -> Grid:
    """Return the last epoch's numbers, each below its name, so that nothing moves when one gets longer."""
    return Grid([column(label, [f"{text:<8}"]) for label, text in summary_rows.epoch_rows(progress)])
