"""Tables of the bench, on the screen and in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from rich.console import Console
from rich.markup import escape
from rich.table import Table as Screen

from decisions.figures import Difference, Figures
from decisions.shown import shown

SIDE = ("always", "random", "periodic", "late", "scratch", "linear", "mlp64", "boosting")


@frozen
class Table:
    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def screen(self) -> Screen:
        found = Screen(title=escape(self.title), title_justify="left")
        for number, word in enumerate(self.head):
            found.add_column(word, justify="left" if number == 0 else "right", overflow="fold")
        for row in self.rows:
            found.add_row(*map(escape, row))
        return found

    def markdown(self) -> str:
        lines = ["| " + " | ".join(words) + " |" for words in (self.head, ("---",) * len(self.head), *self.rows)]
        return f"## {self.title}\n\n" + "\n".join(lines) + "\n"


def show(figures: Figures, console: Console, markdown: Path | None) -> None:
    """Print all tables, and write them as Markdown if a file is named."""
    tables = [table for table in tables_of(figures) if table.rows]
    for table in tables:
        console.print(table.screen())
    if figures.failures:
        console.print(f"{len(figures.failures)} runs failed; their lines have the reason.")
    if markdown:
        markdown.write_text("\n".join(table.markdown() for table in tables))


def tables_of(figures: Figures) -> list[Table]:
    """Return the tables: scores, the sweep, size and cost for the default and every variant, and what must be shown."""
    others = ("never", *SIDE)
    own = [name for name in figures.contestants if name not in others and not name.startswith("static-")]
    found = [_scores(figures, own), _sweep(figures)]
    for name in own:
        found += [_decisions(figures, name), _shown(figures, name)]
    return found


def _scores(figures: Figures, own: list[str]) -> Table:
    names = [name for name in (*own, "never", *SIDE) if name in figures.contestants]
    rows = [(task, *(_range(figures, task, name) for name in names)) for task in figures.tasks]
    return Table("Test score: median [range] over seeds", ("task", *names), rows)


def _sweep(figures: Figures) -> Table:
    names = sorted({s.name for task in figures.tasks for s in figures.statics(task)}, key=lambda name: int(name[7:]))
    rows = []
    for task in figures.tasks:
        best, chosen, adequate = (
            of(task) for of in (figures.best_static, figures.chosen_static, figures.adequate_static)
        )
        if best and chosen and adequate:
            scores = (_number(figures.median(task, name)) for name in names)
            marks = (f"{one.name[7:]} ({one.parameters:.0f})" for one in (best, chosen, adequate))
            rows.append((task, *scores, *marks))
    head = ("task", *(name[7:] for name in names), "best", "chosen on validation", "smallest adequate")
    return Table("Static hosts by width: median test score; width (parameters)", head, rows)


def _decisions(figures: Figures, name: str) -> Table:
    head = ("task", "score", "less never", "regret", "parameters", "size", "cost", "seconds", "seeds")
    rows = []
    for task in figures.tasks:
        if scores := figures.scores(task, name):
            gain, regret = figures.compare(task, name, "never"), figures.regret(task, name)
            differences = (_difference(gain), _difference(regret))
            ratios = (_ratio(figures.size_ratio(task, name)), _ratio(figures.cost_ratio(task, name)))
            size, seconds = figures.parameters(task, name), figures.total(task, name, "seconds")
            score = _range(figures, task, name)
            rows.append((task, score, *differences, f"{size:.0f}", *ratios, f"{seconds:.1f}", str(len(scores))))
    title = f"{name}: differences of medians [95 % interval of the mean, paired over seeds]; size and cost as ratios"
    return Table(title, head, rows)


def _shown(figures: Figures, name: str) -> Table:
    rows = [(one.point, one.says, "yes" if one.true else "no", one.figures) for one in shown(figures, name)]
    return Table(f"What must be shown: {name}", ("point", "statement", "true", "figures"), rows)


def _range(figures: Figures, task: str, name: str) -> str:
    scores = figures.scores(task, name)
    if not scores:
        return "–"
    return f"{_number(figures.median(task, name))} [{_number(min(scores.values()))}, {_number(max(scores.values()))}]"


def _difference(one: Difference | None) -> str:
    if one is None:
        return "–"
    return f"{one.medians:+.3f}" + ("" if math.isinf(one.low) else f" [{one.low:+.3f}, {one.high:+.3f}]")


def _ratio(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"
