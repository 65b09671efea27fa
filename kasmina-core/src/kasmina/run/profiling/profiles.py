"""Figures of a run's profiles, in ``profile/profile.json`` of its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen
from cattrs import structure, unstructure

from kasmina import files
from kasmina.plugins.messages import row

FILE = "profile.json"


@frozen
class Profile:
    """Time and memory of some steps of one epoch."""

    phase: str
    epoch: int
    """Number of the epoch, counted from 1 over the whole run."""
    step: int
    """Number of the first step, counted likewise."""
    steps: int
    """Number of steps."""
    seeds: dict[str, str]
    """Stages of the living seeds, by id."""
    milliseconds: float
    """Time of a step without a profiler; in a phase of one step, the time with it."""
    milliseconds_profiled: float
    """Time of a step with the profiler."""
    shares: dict[str, float]
    """Shares of that time, the largest first, which sum up to 1.

    The owners are "host" and "seed 1 (bottleneck)", … with their forward passes; "data", "loss", "backward" (the whole
    backward pass), "optimiser" and "plugins"; "waiting" for a GPU; and "Kasmina" with the rest.
    """
    memory: dict[str, int]
    """Bytes of the last step: `allocated` in all, `peak` beyond what it began with.

    With a GPU both are of its memory alone, and `in_use` is the most of it that was in use.
    """


def read(folder: Path) -> dict[str, Profile]:
    """Return a run's profiles by name, in their order; none if the file is missing or damaged."""
    try:
        return structure(json.loads(files.read(folder / FILE)), dict[str, Profile])
    except Exception:  # whatever a stranger may have written
        return {}


def text(profiles: Mapping[str, Profile]) -> bytes:
    """Return the content of the file for these profiles."""
    return (json.dumps(unstructure(profiles), indent=2) + "\n").encode()


def summary(folder: Path) -> list[str]:
    """Return two lines for the screen, the last profile and where all lie; none if there are no profiles."""
    profiles = read(folder)
    if not profiles:
        return []
    name, last = list(profiles.items())[-1]
    shares: dict[str, float] = {}
    for owner, share in last.shares.items():
        kind = "seeds" if owner.startswith("seed ") else owner
        shares[kind] = shares.get(kind, 0.0) + share
    listed = ", ".join(f"{owner} {share:.0%}" for owner, share in shares.items())
    return [
        f"profile of {name}: {last.milliseconds:.2g} ms a step; {listed}",
        f"profiles of {row(profiles)} are in {folder}; https://ui.perfetto.dev opens the traces",
    ]
