"""Decisions about seeds: what a controller may know of an epoch, and what it decides by that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from kasmina.growth.epoch_clock import EpochClock
from kasmina.growth.evaluation import Evaluator
from kasmina.growth.germination import Germination
from kasmina.growth.need_meter import NeedMeter
from kasmina.growth.seed import Seed
from kasmina.records import Observation, SiteState, Verdict


class Decisions:
    """Observes an epoch, and carries out what the deciding hooks answer.

    Args:
        host: Network that grows.
        clock: Time of the training.
        needs: Measures what sites need.
        germination: Accepts proposals.
        hooks: Object that answers the deciding hooks of `kasmina.hookspecs`.
        evaluator: Measures the host on the validation split.
    """

    def __init__(
        self,
        host: nn.Module,
        clock: EpochClock,
        needs: NeedMeter,
        germination: Germination,
        hooks: Any,
        evaluator: Evaluator,
    ) -> None:
        self._host = host
        self._clock = clock
        self._needs = needs
        self._germination = germination
        self._manager = germination.manager
        self._hooks = hooks
        self._evaluator = evaluator

    def observe(self, epochs_left: int) -> Observation:
        """Return what a controller may know of the epoch that has just ended."""
        losses = self._clock.end_epoch()
        self._germination.set_pace(len(losses))
        needs = self._needs.needs()
        self._germination.germinate()
        measured = self._evaluator()
        seeds = self._manager.seeds.values()
        return Observation(
            phase=self._clock.phase,
            epoch=self._clock.epoch,
            step=self._clock.step,
            epochs_left=epochs_left,
            train_loss=torch.stack(losses).mean().item(),
            validation_loss=measured.loss,
            validation_metric=measured.metric,
            metric=self._evaluator.metric,
            target=self._evaluator.target,
            parameters=count_parameters(self._host, seeds),
            sites=tuple(
                SiteState(bound.site, self._germination.free(name), needs.get(name))
                for name, bound in self._manager.places.items()
            ),
            seeds=tuple(seed.state for seed in seeds),
            remaining=self._germination.remaining,
            constant_loss=self._evaluator.constant_loss,
        )

    def tell(self, observation: Observation) -> None:
        """Tell all plugins of the epoch that has just ended."""
        self._hooks.on_epoch_end(observation=observation)

    def decide(self, observation: Observation, germinate: bool) -> None:
        """Judge the seeds whose probation is over, and ask for a germination if one may come."""
        for seed in self._manager.due():
            self._judge(seed, observation)
        if germinate:
            proposal = self._hooks.propose_germination(observation=observation)
            if proposal is not None:
                self._germination.propose(proposal)
            if self._hooks.wants_statistics(observation=observation):
                self._needs.request(self._clock.steps_per_epoch)

    def _judge(self, seed: Seed, observation: Observation) -> None:
        """Measure what a seed is worth on the validation split, and keep or cull it."""
        with seed.muted():
            without = self._evaluator()
        contribution = without.loss - observation.validation_loss
        seed.change(contribution=contribution)
        verdict = self._hooks.judge_seed(seed=seed.state, observation=observation)
        if verdict is None:
            verdict = Verdict(contribution > 0, "by its contribution")
        (self._manager.keep if verdict.keep else self._manager.cull)(seed, verdict.reason)


def count_parameters(host: nn.Module, seeds: Iterable[Seed]) -> int:
    """Return how many parameters host and seeds have, trainable or not."""
    own = sum(parameter.numel() for parameter in host.parameters())
    return own + sum(seed.state.parameters for seed in seeds)
