"""The distributions on the module path, read from their metadata."""

from __future__ import annotations

import os
import re
import sys
from functools import lru_cache
from importlib.metadata import Distribution, EntryPoint, distributions

from attrs import frozen


@frozen
class Installed:
    """Name, version and entry points of a distribution, read once."""

    name: str
    version: str
    points: tuple[EntryPoint, ...]


def installed() -> tuple[Installed, ...]:
    """Return each installed distribution once: the first on the module path counts, as it does for an import."""
    # An empty entry is the working folder, from which nothing is loaded that was not asked for.
    return _read(tuple((folder, _changed(folder)) for folder in sys.path if folder))


@lru_cache(maxsize=1)
def _read(folders: tuple[tuple[str, int], ...]) -> tuple[Installed, ...]:
    """Read the distributions of folders that have last changed at these times."""
    seen: dict[str, Installed] = {}
    for distribution in distributions(path=[folder for folder, _ in folders]):
        try:
            name, version = (said(distribution, field) for field in ("Name", "Version"))
            if name and normal(name) not in seen:
                seen[normal(name)] = Installed(name, version or "?", tuple(distribution.entry_points))
        except Exception:  # metadata that cannot be read: half-removed, or mangled by hand
            continue
    return tuple(seen.values())


def _changed(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0


def said(distribution: Distribution, field: str) -> str:
    """Return a field from the head of a distribution's metadata, or nothing.

    `Distribution.metadata` is not used, because it parses the long description too: where MLflow is installed that
    takes half a second, and a run asks four times.
    """
    text = next(filter(None, map(distribution.read_text, ("METADATA", "PKG-INFO", ""))), "")
    found = re.search(rf"^{field}:[ \t]*(.*?)[ \t]*$", text.partition("\n\n")[0], re.MULTILINE | re.IGNORECASE)
    return found[1] if found else ""


def normal(distribution: str) -> str:
    """Return the name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
