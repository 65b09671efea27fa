"""A trained network, rebuilt from the folder of its run."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

from attrs import evolve, frozen
from torch import nn

from kasmina.errors import UsageError
from kasmina.growth.grown import attach_seeds
from kasmina.growth.seed import Seed
from kasmina.growth.sites.find import find_sites
from kasmina.records import Data
from kasmina.run.checkpoints.contents import load_weights
from kasmina.run.checkpoints.store import best, fitting, newest
from kasmina.run.data import Array, Splits, split_rows
from kasmina.run.device import resolve
from kasmina.run.folder import Folder
from kasmina.run.objective import OBJECTIVES, Objective
from kasmina.run.options.config import Config, configure
from kasmina.run.plugin_set import choose, code_of, tell_changes
from kasmina.run.preparation import build_host, load


@frozen(eq=False)
class Trained:
    """Host with its seeds in place, and the data that it was trained and judged on."""

    config: Config
    host: nn.Module
    seeds: list[Seed]
    objective: Objective
    data: Data
    """Data as the task gives it."""
    splits: Splits

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; none for a regression."""
        return self.data.classes

    def rows(self, split: str) -> tuple[Array, Array]:
        """Return samples x and targets y of the split of that name as the task gives them, in the order of `splits`."""
        rows = split_rows(self.data, self.config.settings.split_seed)[("train", "validation", "test").index(split)]
        return self.data.x[rows], self.data.y[rows]


def restore(
    path: Path,
    device: str | None = None,
    trust: bool = False,
    *,
    checkpoint: str = "best",
    warn: Callable[[str], None] = warnings.warn,
) -> Trained:
    """Return the network of the run at `path` and its task's data, on the run's own device or on another.

    Args:
        trust: Whether code that config.yaml names may be run, though the run is not one of the user's own.
        checkpoint: ``"best"`` for the epoch that was best on the validation split, which counts, or ``"last"``.
        warn: Called with a line if the newest checkpoint is damaged, and an earlier one is taken.

    Raises:
        UsageError: There is no run, its files are damaged, the data has changed, or code is not trusted.
    """
    folder = Folder.old(path)
    config = configure(folder.config, trust=trust)
    found = best(folder.checkpoints, warn) if checkpoint == "best" else newest(folder.checkpoints, warn).last
    there = resolve(device or config.settings.device)
    task, host_plugin = (choose(kind, config.choices[kind])[1] for kind in ("task", "host"))
    tell_changes(found.facts.code, code_of([task, host_plugin]), warn)
    made = [choose("blueprint", choice) for choice in (config.blueprint, *config.alternatives)]
    data, splits = load(task, config, there)
    if found.facts.data != splits.digest:
        raise UsageError(f"the task's data is not what the run in {folder.path} began with; put it back")
    host = build_host(host_plugin, config, data, splits.train.x[:2])
    found_sites = find_sites(host, config.settings.sites, splits.train.x[:2])
    with fitting(found.path):
        load_weights(host, found.state["host"])
        builders = {entry.name: blueprint.build for entry, blueprint in made}
        sites = {name: evolve(bound, builders=builders) for name, bound in found_sites.items()}
        seeds = attach_seeds(found.state["growth"], sites)
    return Trained(config, host, seeds, OBJECTIVES[data.goal], data, splits)
