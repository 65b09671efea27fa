"""What the profiles of a run say, in figures: ``profile/profile.json`` of its folder."""

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
    """Some steps of one epoch."""

    phase: str
    epoch: int
    """Counted from 1 over the whole run."""
    step: int
    """The first, likewise."""
    steps: int
    seeds: dict[str, str]
    """Those that live: the stage, by id."""
    milliseconds: float
    """What a step takes when nothing looks on; of a phase of one step, what it took with the profiler."""
    milliseconds_profiled: float
    shares: dict[str, float]
    """Of these, by "host", "seed 1", …, "loss", "optimiser", "data", "plugins" and "Kasmina", the largest first; they
    sum up to 1. Host and seeds with their part of the backward pass."""
    memory: dict[str, int]
    """Bytes of the last step: `allocated` in all, `peak` beyond what it began with; with a GPU of that alone, `in_use`
    at most."""


def read(folder: Path) -> dict[str, Profile]:
    """By name, in their order; none if the file is not there or damaged."""
    try:
        return structure(json.loads(files.read(folder / FILE)), dict[str, Profile])
    except Exception:  # whatever a stranger may have written
        return {}


def text(profiles: Mapping[str, Profile]) -> bytes:
    """As the file holds them."""
    return (json.dumps(unstructure(profiles), indent=2) + "\n").encode()


def told(folder: Path) -> list[str]:
    """Two lines about them: what the last says, and where all lie; none if there are none."""
    profiles = read(folder)
    if not profiles:
        return []
    name, last = list(profiles.items())[-1]
    shares: dict[str, float] = {}
    for owner, share in last.shares.items():
        kind = "seeds" if owner.startswith("seed ") else owner
        shares[kind] = shares.get(kind, 0.0) + share
    said = ", ".join(f"{owner} {share:.0%}" for owner, share in shares.items())
    return [
        f"profile of {name}: {last.milliseconds:.2g} ms a step; {said}",
        f"profiles of {row(profiles)} are in {folder}; https://ui.perfetto.dev opens the traces",
    ]
