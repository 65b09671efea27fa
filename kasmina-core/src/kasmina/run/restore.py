"""A trained network, built again from the folder of its run."""

from __future__ import annotations

from pathlib import Path

import torch
from attrs import frozen
from torch import nn

from kasmina.errors import UsageError
from kasmina.growth.seed import Seed
from kasmina.growth.site import Place, find_places
from kasmina.growth.stream import Stream
from kasmina.plugins.strict import structure
from kasmina.records import SeedState, Stage
from kasmina.run.assembly import build_host, load
from kasmina.run.checkpoint import Checkpoint, read_checkpoint
from kasmina.run.config import Config, configure
from kasmina.run.data import Splits
from kasmina.run.device import resolve
from kasmina.run.folder import Folder
from kasmina.run.objective import OBJECTIVES, Objective
from kasmina.run.plugins import choose


@frozen(eq=False)
class Trained:
    """A host with its seeds in place, and the data that it was trained and judged on."""

    config: Config
    host: nn.Module
    seeds: list[Seed]
    objective: Objective
    splits: Splits
    classes: tuple[str, ...]
    """Names of what is told apart; none for a regression."""


def restore(path: Path, device: str | None = None, trust: bool = False) -> Trained:
    """The network of the run at `path`, and its task's data; on the run's own device, or on another.

    Args:
        trust: whether code that config.yaml names may be run, though the run is not one of the user's own.

    Raises:
        UsageError: there is no run, its files are damaged, the data is no longer what it was, or code is not trusted.
    """
    folder = Folder.old(path)
    config = configure(folder.config, trust=trust)
    checkpoint = read_checkpoint(folder.checkpoint)
    there = resolve(device or config.settings.device)
    task, host_plugin = (choose(kind, config.choices[kind])[1] for kind in ("task", "host"))
    made = [choose("blueprint", choice) for choice in (config.blueprint, *config.rivals)]
    blueprints = {entry.name: blueprint for entry, blueprint in made}
    data, splits = load(task, config, there)
    check_data(folder, checkpoint, splits)
    host = build_host(host_plugin, config, data, splits.train.x[:2])
    places = find_places(host, config.settings.sites, splits.train.x[:2])
    try:
        host.load_state_dict(checkpoint.part("host."))
        states = [structure(record, SeedState, "seeds") for record in checkpoint.seeds]
        # A seed in training has no part in what the network gives.
        grown = [state for state in states if state.stage is not Stage.TRAINING]
        seeds = [revive(state, places, blueprints[state.blueprint], checkpoint) for state in grown]
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"the checkpoint in {path} does not fit the host of its config.yaml: {reason}") from error
    return Trained(config, host, seeds, OBJECTIVES[data.goal], splits, data.classes)


def revive(state: SeedState, places: dict[str, Place], blueprint: object, checkpoint: Checkpoint) -> Seed:
    """A seed as it was, in its place."""
    place = places[state.site]
    stream = Stream(place.device, 0)
    with stream.own():
        body = blueprint.build(place.site)  # type: ignore[attr-defined]
    seed = Seed(state.id, place, body, state.blueprint, state.germinated_at, stream)
    seed.body.load_state_dict(checkpoint.part(f"seed.{state.id}."))
    seed.stage, seed.level = state.stage, state.alpha
    seed.attach()
    return seed


def check_data(folder: Folder, checkpoint: Checkpoint, splits: Splits) -> None:
    """The scalers are fitted on the data, and so they tell whether it is still the same."""
    for name, tensor in splits.scalers().items():
        saved = checkpoint.tensors.get(name)
        if saved is None or not torch.equal(saved, tensor.cpu()):
            raise UsageError(
                f"the task's data is not what the run in {folder.path} was trained on: its scaling differs"
            )
