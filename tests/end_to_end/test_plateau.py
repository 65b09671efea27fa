"""The plateau rule is not fooled by noise: what is large enough never grows, what is too small always does."""

from __future__ import annotations

from pathlib import Path

import pytest

from kasmina.run.assembly import assemble
from kasmina.run.folder import Folder
from kasmina.run.loop import train
from kasmina.run.options.config import configure
from kasmina.run.plugin_set import PluginSet

SEEDS = 20
WARM_UP, ADAPTATION = 30, 60
SILENT = {"rich": False, "jsonl": False}


def germinations(folder: Path, task: str, hidden: int, depth: int, seed: int) -> list[int]:
    """The epochs of all germinations in one run of warm-up and a part of adaptation."""
    phases = [
        f"phases.warm-up.epochs={WARM_UP}",
        f"phases.adaptation.epochs={ADAPTATION}",
        "phases.consolidation.epochs=0",
    ]
    config = configure(
        options={"task": task, "seed": seed, "loggers": SILENT},
        sets=[f"host.hidden={hidden}", f"host.depth={depth}", *phases],
    )
    plugins = PluginSet.of(config)
    run = assemble(config, plugins, Folder.new(folder / str(seed), task), print)
    train(run)
    manager = run.growth.manager
    return [seed.germinated_at for seed in [*manager.past, *(seed.state for seed in manager.seeds.values())]]


@pytest.mark.parametrize(("task", "hidden", "depth"), [("spirals", 64, 2), ("moons", 16, 1)])
def test_a_host_that_is_large_enough_never_grows(tmp_path: Path, task: str, hidden: int, depth: int) -> None:
    assert [germinations(tmp_path, task, hidden, depth, seed) for seed in range(SEEDS)] == [[]] * SEEDS


@pytest.mark.parametrize(("task", "hidden", "depth"), [("spirals", 3, 1)])
def test_a_host_that_is_too_small_always_grows_and_never_in_warm_up(
    tmp_path: Path, task: str, hidden: int, depth: int
) -> None:
    first = [min(germinations(tmp_path, task, hidden, depth, seed), default=0) for seed in range(SEEDS)]
    assert all(epoch > WARM_UP for epoch in first), first
