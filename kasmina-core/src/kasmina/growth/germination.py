"""Germinations: which proposals are accepted, and the sample that the weights of a seed begin from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import define
from cattrs import structure, unstructure
from torch import nn

from kasmina.errors import PluginError
from kasmina.growth.budget import BudgetTracker
from kasmina.growth.epoch_clock import EpochClock
from kasmina.growth.inits import initialise, needs_sample
from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Recipe
from kasmina.growth.recorder import ActivationRecorder
from kasmina.growth.sites.find import Builders
from kasmina.records import Incident, Proposal, Remaining

INIT_ROWS = 128
"""Number of activation rows collected to initialise a seed's weights."""

COOLDOWN_EPOCHS = 10
"""Epochs of a site's first cool-down; each one after that is twice as long."""


@define
class PendingGermination:
    """A germination that waits for a sample of what passes at its site."""

    proposal: Proposal
    builders: Builders
    recorder: ActivationRecorder


class Germination:
    """Accepts or refuses proposals, and makes seeds of those that it accepted.

    Args:
        manager: Seeds and sites of the host.
        clock: Time of the training.
        hooks: Told of refusals.
        recipe: Recipe of the seeds.
        budget: Budget that growth must keep to; None if there is no limit.
    """

    def __init__(
        self, manager: Manager, clock: EpochClock, hooks: Any, recipe: Recipe, budget: BudgetTracker | None
    ) -> None:
        self.cooldowns: dict[str, list[int]] = {}
        """Epoch from whose end on a seed may germinate again, and the number of cool-downs so far, by site."""
        self.pending: PendingGermination | None = None
        self.manager = manager
        self._clock = clock
        self._hooks = hooks
        self._recipe = recipe
        self._budget = budget
        self._refused: set[str] = set()
        """Refusals told since a seed last changed its stage: equal ones are not told again."""

    @property
    def remaining(self) -> Remaining:
        """Part of the budget that is left."""
        return self._budget.remaining(self.manager.seeds.values()) if self._budget else Remaining()

    def set_pace(self, steps_per_epoch: int) -> None:
        """Have seeds spend the recipe's epochs in each stage, at so many steps an epoch; nothing changes at 0."""
        if steps_per_epoch:
            self.manager.durations = self._recipe.durations(steps_per_epoch)

    def free(self, site: str) -> bool:
        """Return whether a seed may germinate at a site: none is on its way there, and it does not cool down."""
        return self.manager.free(site) and self._clock.epoch >= self.cooldowns.get(site, (0, 0))[0]

    def cool_down(self, site: str) -> None:
        """Let no seed germinate at a site for `COOLDOWN_EPOCHS` epochs; twice as long each time after the first."""
        times = self.cooldowns.get(site, [0, 0])[1]
        self.cooldowns[site] = [self._clock.epoch + COOLDOWN_EPOCHS * 2**times, times + 1]
        if self.pending and self.pending.proposal.site == site:
            self.stop()

    def propose(self, proposal: Proposal) -> None:
        """Accept a proposal, if its site is free and the budget allows it: a seed germinates within the next steps.

        Raises:
            PluginError: The proposal names a site or a blueprint that is not there.
        """
        sites = self.manager.places
        if proposal.site not in sites:
            raise PluginError(f"propose_germination names {proposal.site!r}; the sites are {', '.join(sites)}")
        builders = sites[proposal.site].proposed(proposal.blueprint)
        if self.free(proposal.site) and not self._refuse(proposal, builders):
            self._queue(proposal, builders, {})

    def after_step(self) -> None:
        """Germinate, if the sample that was waited for is complete."""
        if self.pending and self.pending.recorder.full:
            self.germinate()

    def germinate(self) -> None:
        """Make a seed of the pending germination, if there is one, with as much of a sample as there is."""
        pending, self.pending = self.pending, None
        if pending is None:
            return
        site, size = pending.proposal.site, self._size(pending.proposal)
        sample = pending.recorder.samples().get(site)
        first, *alternatives = [one for one in pending.builders.items() for _ in range(self._recipe.candidates)]
        reason = pending.proposal.reason
        if alternatives:
            reason += f"; {len(alternatives) + 1} candidates side by side"

        def prepare(body: nn.Module, generator: torch.Generator) -> None:
            initialise(self._recipe.init, body, sample, generator)

        self.manager.germinate(site, first[1], first[0], reason, alternatives, prepare, size)

    def forget_refusals(self) -> None:
        """Tell refusals again that were told before."""
        self._refused.clear()

    def stop(self) -> None:
        """Drop the pending germination."""
        if self.pending:
            self.pending.recorder.stop()
        self.pending = None

    def state_dict(self) -> dict[str, Any]:
        """Return cool-downs, refusals and the pending germination, as plain values and tensors."""
        return {
            "cooldowns": self.cooldowns,
            "refused": sorted(self._refused),
            "pending": self.pending and unstructure(self.pending.proposal),
            "recorder": self.pending and self.pending.recorder.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore them; the seeds are there already."""
        self.cooldowns, self._refused = dict(state["cooldowns"]), set(state["refused"])
        if state["pending"] is not None:
            proposal = structure(state["pending"], Proposal)
            self._queue(proposal, self.manager.places[proposal.site].proposed(proposal.blueprint), state["recorder"])

    def _size(self, proposal: Proposal) -> int:
        """Return the number of parameters that the proposed seed should have, at most as many as the budget leaves."""
        left, seeds = self.remaining.parameters, self.manager.seeds.values()
        living = sum(seed.state.parameters for seed in seeds if seed.state.site == proposal.site)
        wished = round(proposal.size * (self.manager.places[proposal.site].parameters + living))
        return wished if left is None else min(wished, left)

    def _refuse(self, proposal: Proposal, builders: Builders) -> bool:
        """Return whether a proposal is over the budget, which is told once until some seed changes its stage."""
        reason = self._budget and self._budget.refusal(proposal.site, self._size(proposal), builders, self.remaining)
        if reason and reason not in self._refused:
            self._refused.add(reason)
            clock = self._clock
            incident = Incident(clock.epoch, clock.step, clock.phase, "refusal", reason, site=proposal.site)
            self._hooks.on_incident(incident=incident)
        return bool(reason)

    def _queue(self, proposal: Proposal, builders: Builders, gathered: Mapping[str, Any]) -> None:
        """Have a seed germinate as soon as what its weights begin from has been gathered."""
        rows = INIT_ROWS if needs_sample(self._recipe.init) else 0
        recorder = ActivationRecorder({proposal.site: self.manager.places[proposal.site]}, rows)
        recorder.load_state_dict(gathered)
        self.pending = PendingGermination(proposal, builders, recorder)
        if rows:
            recorder.start()
        else:
            self.germinate()
