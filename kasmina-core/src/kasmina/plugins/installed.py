"""The distributions on the module path, read from their metadata."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, distributions

from attrs import frozen


@frozen
class Installed:
    """What a distribution says of itself, read once."""

    name: str
    version: str
    points: tuple[EntryPoint, ...]


def installed() -> Iterator[Installed]:
    """Each installed distribution once: the first on the module path counts, as it does for an import."""
    seen: set[str] = set()
    # An empty entry is the working folder, from which nothing is loaded that was not asked for.
    for distribution in distributions(path=[folder for folder in sys.path if folder]):
        try:
            name, points = distribution.metadata["Name"], tuple(distribution.entry_points)
        except Exception:  # metadata that cannot be read: half-removed, or mangled by hand
            continue
        if name and normal(name) not in seen:
            seen.add(normal(name))
            yield Installed(name, distribution.metadata["Version"] or "?", points)


def normal(distribution: str) -> str:
    """The name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
