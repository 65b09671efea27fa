"""The distributions on the module path, read from their metadata."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, EntryPoint, distributions

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
            name, version = (said(distribution, field) for field in ("Name", "Version"))
            points = tuple(distribution.entry_points) if name and normal(name) not in seen else ()
        except Exception:  # metadata that cannot be read: half-removed, or mangled by hand
            continue
        if name and normal(name) not in seen:
            seen.add(normal(name))
            yield Installed(name, version or "?", points)


def said(distribution: Distribution, field: str) -> str:
    """A field of the head of a distribution's metadata, or nothing.

    Not by `Distribution.metadata`, which parses the long description too: beside MLflow that takes half a second, and a
    run asks four times.
    """
    text = next(filter(None, map(distribution.read_text, ("METADATA", "PKG-INFO", ""))), "")
    found = re.search(rf"^{field}:[ \t]*(.*?)[ \t]*$", text.partition("\n\n")[0], re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def normal(distribution: str) -> str:
    """The name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
