"""Installed plugins: their names, distributions and states, and which of them a run takes by default.

The metadata of distributions is read and none of them is imported, so that a listing costs nothing and no plugin can
break it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Literal

from attrs import evolve, field, frozen

from kasmina.errors import UsageError, nearest
from kasmina.plugins.installed import Installed, installed, normal
from kasmina.plugins.messages import row

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "blueprint": "kasmina.blueprints",
        "controller": "kasmina.controllers",
        "logger": "kasmina.loggers",
        "host": "kasmina.hosts",
        "task": "kasmina.tasks",
        "command": "kasmina.commands",
    }
)
"""Entry-point group of each kind of plugin."""

DEFAULTS = "kasmina.defaults"
DISABLE = "KASMINA_DISABLE_PLUGINS"

State = Literal["ready", "disabled", "duplicate"]


@frozen
class Entry:
    """Plugin as its distribution describes it."""

    kind: str
    name: str
    distribution: str
    version: str
    state: State
    default: bool
    """Whether a run takes it when nobody says otherwise."""
    entry_point: EntryPoint = field(repr=False)

    @property
    def full(self) -> str:
        """Full name, ``DIST:NAME``, which no other plugin of its kind has."""
        return f"{self.distribution}:{self.name}"

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r} of {self.distribution} {self.version}"


def entries() -> list[Entry]:
    """Return every installed plugin, sorted by kind, name and distribution; the disabled ones too."""
    everything = installed()
    found = [entry for distribution in everything for entry in _described(distribution)]
    offered = Counter((entry.kind, entry.name) for entry in found if entry.state == "ready")
    chosen = set(_chosen(everything, found))
    marked = (
        evolve(
            entry,
            state="duplicate" if entry.state == "ready" and offered[entry.kind, entry.name] > 1 else entry.state,
            default=(entry.kind, entry.full) in chosen,
        )
        for entry in found
    )
    order = list(KINDS)
    return sorted(marked, key=lambda entry: (order.index(entry.kind), entry.name, normal(entry.distribution)))


def find(kind: str, word: str) -> Entry:
    """Return the plugin that `word`, a NAME or DIST:NAME, means.

    Raises:
        UsageError: There is none, it is disabled, or several distributions offer it.
    """
    known = [entry for entry in entries() if entry.kind == kind]
    named = [entry for entry in known if matches(entry, word)]
    enabled = [entry for entry in named if entry.state != "disabled"]
    if len(enabled) == 1:
        return enabled[0]
    if enabled:
        raise UsageError(ambiguous(kind, word, enabled))
    if named:
        raise UsageError(
            f"the {kind} {word!r} of {row(entry.distribution for entry in named)} is disabled by the environment "
            f"variable {DISABLE}={os.environ[DISABLE]}"
        )
    raise UsageError(missing(kind, word, known))


def defaults(kind: str) -> list[str]:
    """Return the plugins of this kind that a run takes by default, as words that `find` understands."""
    # Where a stranger offers the same name, the full name still means the one that was meant.
    return [
        entry.full if entry.state == "duplicate" else entry.name
        for entry in entries()
        if entry.kind == kind and entry.default
    ]


def default(kind: str) -> str:
    """Return the one plugin of this kind that a run takes by default.

    Raises:
        UsageError: Nobody offers a default, or several do.
    """
    words = defaults(kind)
    if len(words) == 1:
        return words[0]
    known = [entry for entry in entries() if entry.kind == kind]
    if words:
        offers = row(entry.full for entry in known if entry.default)
        raise UsageError(f"{len(words)} defaults are installed for the {kind}, {offers}: name one with --{kind}")
    names = sorted({entry.name for entry in known if entry.state != "disabled"})
    kept = sorted(entry.full for entry in known if entry.state == "disabled")
    hint = f"; {DISABLE} keeps out {row(kept)}" if kept else ""
    if names:
        raise UsageError(f"no {kind} is the default: name one with --{kind}, of {row(names, 'or')}{hint}")
    raise UsageError(f"no {kind} is installed: a run needs a distribution that offers one{hint}")


def matches(entry: Entry, word: str) -> bool:
    """Return whether `word`, a NAME or DIST:NAME, means this plugin."""
    distribution, colon, name = word.rpartition(":")
    return entry.name == name and (not colon or normal(distribution) == normal(entry.distribution))


def missing(kind: str, word: str, known: Iterable[Entry]) -> str:
    """Return the sentence about a name that nobody offers."""
    names = {entry.full if ":" in word else entry.name for entry in known if entry.state != "disabled"}
    hint = nearest(word, names)
    return f"no {kind} is called {word!r}; {hint}{'' if hint.endswith('?') else ';'} 'kasmina plugins' lists them"


def ambiguous(kind: str, word: str, offers: Iterable[Entry]) -> str:
    """Return the sentence about a name that several distributions offer."""
    both = list(offers)
    owners = row(f"{entry.distribution} {entry.version}" for entry in both)
    return f"the {kind} {word!r} is offered by {owners}: choose {row((entry.full for entry in both), 'or')}"


def _described(distribution: Installed) -> Iterator[Entry]:
    kinds = {group: kind for kind, group in KINDS.items()}
    points = {(point.group, point.name): point for point in distribution.points if point.group in kinds}
    for (group, plugin), point in points.items():
        state: State = "disabled" if _disabled(distribution.name, plugin) else "ready"
        yield Entry(kinds[group], plugin, distribution.name, distribution.version, state, False, point)


def _disabled(distribution: str, plugin: str) -> bool:
    for word in os.environ.get(DISABLE, "").split(","):
        owner, colon, name = word.strip().partition(":")
        if colon and normal(owner) == normal(distribution) and name == plugin:
            return True
        if not colon and owner and (normal(owner) == normal(distribution) or owner == plugin):
            return True
    return False


def _chosen(everything: Iterable[Installed], found: list[Entry]) -> Iterator[tuple[str, str]]:
    """Yield the enabled plugins that some distribution declares a default, as (kind, DIST:NAME).

    A distribution means its own plugin of that name, and another's only if it has none.
    """
    for distribution in everything:
        for point in distribution.points:
            if point.group != DEFAULTS:
                continue
            offers = [e for e in found if (e.kind, e.name) == (point.value, point.name) and e.state == "ready"]
            own = [entry for entry in offers if entry.distribution == distribution.name]
            yield from ((entry.kind, entry.full) for entry in own or offers)
