"""Controllers are tested without a network: by observations that are made up."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import pytest

from kasmina import Observation, Proposal, SeedState, Site, SiteState, Stage

ON_ITS_WAY = (Stage.TRAINING, Stage.BLENDING, Stage.PROBATION)


def build_seed(id: int = 1, site: str = "a", stage: Stage = Stage.ACTIVE, **change: Any) -> SeedState:
    return attrs.evolve(SeedState(id, site, "bottleneck", stage, float(stage is Stage.ACTIVE), 40, 1), **change)


def build_observation(
    sites: Sequence[str] = ("a",),
    seeds: Sequence[SeedState] = (),
    needs: Mapping[str, float] | None = None,
    **change: Any,
) -> Observation:
    """A site is free unless a seed is on its way there, as in a run."""
    taken = {seed.site for seed in seeds if seed.stage is not Stage.ACTIVE}
    states = tuple(
        SiteState(Site(name, "vector", (3,), (3,)), name not in taken, (needs or {}).get(name)) for name in sites
    )
    observation = Observation("adaptation", 1, 10, 5, 1.0, 1.0, 0.5, "accuracy", None, 17, states, tuple(seeds))
    return attrs.evolve(observation, **change)


@attrs.frozen
class Asked:
    """One epoch at whose end a controller was asked."""

    observation: Observation
    proposal: Proposal | None
    wanted: bool


def ask(controller: Any, observation: Observation) -> Asked:
    """What the training loop asks at the end of an epoch, in its order."""
    answers = {}
    for hook in ("on_epoch_end", "propose_germination", "wants_statistics"):
        answers[hook] = getattr(controller, hook)(observation) if hasattr(controller, hook) else None
    return Asked(observation, answers["propose_germination"], bool(answers["wants_statistics"]))


def play(
    controller: Any,
    losses: Sequence[float],
    metrics: Sequence[float] | None = None,
    sites: Sequence[str] = ("a",),
    ripens: int = 3,
    keeps: Callable[[SeedState], bool] = lambda seed: True,
    needs: Callable[[int], Mapping[str, float]] = lambda epoch: {},
    **change: Any,
) -> list[Asked]:
    """A phase of germination, epoch by epoch, as the training loop plays it.

    A seed takes one stage every `ripens` epochs, and in the end `keeps` tells whether it stays. Hooks that the
    controller lacks answer None.
    """
    asked: list[Asked] = []
    seeds: list[SeedState] = []
    for epoch, loss in enumerate(losses, 1):
        seeds = [older for seed in seeds if (older := _older(seed, epoch, ripens, keeps))]
        observation = build_observation(
            sites,
            seeds,
            needs(epoch) if asked and asked[-1].wanted else None,
            epoch=epoch,
            train_loss=loss,
            validation_loss=loss,
            **{"validation_metric": metrics[epoch - 1] if metrics else 0.5} | change,
        )
        asked.append(ask(controller, observation))
        proposal = asked[-1].proposal
        if proposal and next(state.free for state in observation.sites if state.site.name == proposal.site):
            new = sum(record.proposal is not None for record in asked)
            seeds.append(build_seed(new, proposal.site, Stage.TRAINING, germinated_at=epoch))
    return asked


def _older(seed: SeedState, epoch: int, ripens: int, keeps: Callable[[SeedState], bool]) -> SeedState | None:
    age = (epoch - seed.germinated_at) / ripens
    if age < len(ON_ITS_WAY):
        return attrs.evolve(seed, stage=ON_ITS_WAY[math.floor(age)])
    return attrs.evolve(seed, stage=Stage.ACTIVE, alpha=1.0) if keeps(seed) else None


@pytest.fixture(scope="session", name="seed_state")
def _seed_state() -> Callable[..., SeedState]:
    return build_seed


@pytest.fixture(scope="session", name="observe")
def _observe() -> Callable[..., Observation]:
    return build_observation


@pytest.fixture(scope="session", name="ask")
def _ask() -> Callable[..., Asked]:
    return ask


@pytest.fixture(scope="session", name="play")
def _play() -> Callable[..., list[Asked]]:
    return play
