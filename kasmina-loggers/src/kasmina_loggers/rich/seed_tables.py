"""Tables of seeds: those in the host during the run, and all of them at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from kasmina import SeedState, Stage
from kasmina_loggers.formatting import count, gain, tail
from kasmina_loggers.rich.grids import QUIET, STAGE_STYLES, Column, Grid, bar, column, site_width, stage_column

BAR = 8
LONGEST_BLUEPRINT = 14


def now(seeds: Sequence[SeedState], more: int, width: int) -> RenderableType:
    """Return a table of the seeds in the host, one row each; `more` are in the host but not shown."""
    bars = [bar(seed.alpha, BAR, STAGE_STYLES[seed.stage]) for seed in seeds]
    columns = [
        column("seed", [str(seed.id) for seed in seeds], right=True),
        sites_column([seed.site for seed in seeds], width),
        blueprints_column([seed.blueprint for seed in seeds]),
        stage_column([seed.stage for seed in seeds]),
        Column([[("", "")], *bars], BAR, spare=1),
        column("alpha", [f"{seed.alpha:.2f}" for seed in seeds], right=True),
        column("contribution", [gain(seed.contribution) for seed in seeds], right=True),
        column("parameters", [count(seed.parameters) for seed in seeds], right=True),
    ]
    return with_more(Grid(columns), more)


def at_end(seeds: Sequence[Mapping[str, Any]], rows: int, width: int) -> RenderableType:
    """Return the last `rows` seeds of a summary, with the epochs in which they germinated and became active."""
    shown = seeds[-rows:]
    columns = [
        column("seed", [str(seed["id"]) for seed in shown], right=True),
        sites_column([seed["site"] for seed in shown], width),
        blueprints_column([seed["blueprint"] for seed in shown]),
        stage_column([Stage(seed["stage"]) for seed in shown]),
        column("germinated", [count(seed.get("germinated_at")) for seed in shown], right=True, spare=1),
        column("active", [count(seed.get("active_at")) for seed in shown], right=True),
        column("contribution", [gain(seed.get("contribution")) for seed in shown], right=True),
        column("parameters", [count(seed.get("parameters")) for seed in shown], right=True),
    ]
    return with_more(Grid(columns), len(seeds) - len(shown))


def sites_column(sites: Sequence[str], width: int) -> Column:
    widest = site_width(sites, width)
    return column("site", [tail(site, widest) for site in sites])


def blueprints_column(blueprints: Sequence[str]) -> Column:
    """Return the column that a narrow terminal drops first: the line about the germination names the blueprint, too."""
    return column("blueprint", [tail(name, LONGEST_BLUEPRINT) for name in blueprints], spare=2)


def with_more(shown: RenderableType, more: int) -> RenderableType:
    return Group(shown, Text(f"   … and {more} more", QUIET)) if more else shown
