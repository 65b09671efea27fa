"""The growth of one host beside a training loop: a call a step and a call an epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from attrs import define, field, frozen
from cattrs import structure, unstructure
from torch import Tensor, nn

from kasmina.errors import PluginError, UsageError
from kasmina.growth.budget import BudgetTracker
from kasmina.growth.evaluation import Evaluator
from kasmina.growth.export.plain import plain
from kasmina.growth.health import Nonfinite, finite, is_kept, kept, unsound
from kasmina.growth.inits.initialise import initialise, needs_sample
from kasmina.growth.manager import IllegalTransition, Manager
from kasmina.growth.recipe import Recipe
from kasmina.growth.recorder import ROWS, ActivationRecorder
from kasmina.growth.seed import Seed
from kasmina.growth.sites.find import BoundSite, Builders
from kasmina.records import Event, Incident, Observation, Proposal, Remaining, SeedState, SiteState, Stage, Verdict

ROWS_TO_BEGIN = 128
"""Of a sample, from which the weights of a seed begin."""

REST = 10
"""Epochs for which a site rests for the first time; twice as many each time after that."""


@define
class PendingGermination:
    """A germination that waits for a sample of what passes at its site."""

    proposal: Proposal
    offer: Builders
    watch: ActivationRecorder


@frozen
class GrowthOptions:
    """Options of growth, apart from where and when."""

    recipe: Recipe = field(factory=Recipe)
    batch: int = 1
    """Number of samples in a training step."""
    seed: int = 0
    """Seed of the random numbers of all seeds."""
    budget: BudgetTracker | None = None
    """Budget that growth must keep to. None: there is no limit."""


class Growth:
    """What a controller decides about one host, carried out.

    Args:
        host: The network that is trained, from outside.
        sites: Sites where seeds can grow, by name, with their builders (`find_sites`).
        optimizer: The host's optimiser. It gets the seeds' parameters too.
        hooks: Object that answers the deciding hooks of `kasmina.hookspecs`, and is told of seeds and epochs, by
            keyword.
        evaluator: Measures the host on the validation split.
        options: Recipe, batch, seed and budget.
    """

    def __init__(
        self,
        host: nn.Module,
        sites: Mapping[str, BoundSite],
        optimizer: torch.optim.Optimizer,
        hooks: Any,
        evaluator: Evaluator,
        options: GrowthOptions,
    ) -> None:
        self.host = host
        self.epoch = 0
        """The epoch that is being trained, or that has just ended; counted from 1."""
        self.step = 0
        """Training steps done."""
        self.phase = ""
        self.events: list[Event] = []
        """Every change of a seed's stage, since this object was made or became another by `load_state_dict`."""
        self.resting: dict[str, list[int]] = {}
        """By site: the epoch from whose end on a seed may germinate there again, and how often it was put to rest."""
        self.manager = Manager(
            sites,
            optimizer,
            options.recipe.durations(1),
            seed=options.seed,
            ramp=lambda seed, step: hooks.blend_step(seed=seed, step=step),
            validation=lambda: evaluator().loss,
            on_change=self._announce,
        )
        self._optimizer = optimizer
        self._hooks = hooks
        self._evaluator = evaluator
        self._recipe = options.recipe
        self._budget = options.budget
        self._refused: set[str] = set()
        """The refusals that were told since a seed last changed its stage: equal ones are not told again."""
        self._watched_steps = math.ceil(ROWS / options.batch)
        self._steps_per_epoch = 0
        self._losses: list[Tensor] = []
        """Of the steps of this epoch."""
        self._entered = False
        """Whether the first step of an epoch is in hand, and `epoch` is that epoch already."""
        self._sown: PendingGermination | None = None
        self._watch: ActivationRecorder | None = None
        self._watch_born = 0
        """How many seeds there had been when that began."""
        self._watch_from: int | None = None
        """The step of an epoch after which sites are watched."""

    @property
    def parameters(self) -> int:
        """How many parameters host and seeds have, trainable or not."""
        own = sum(parameter.numel() for parameter in self.host.parameters())
        return own + sum(seed.state.parameters for seed in self.manager.seeds.values())

    @property
    def seeds(self) -> list[SeedState]:
        """Every seed so far, also those that were culled and are gone, in the order of their germination."""
        living = [seed.state for seed in self.manager.seeds.values()]
        return sorted([*self.manager.past, *living], key=lambda seed: seed.id)

    @property
    def live_seeds(self) -> list[Seed]:
        """Seeds that take part in the forward pass, as modules, in the order of their germination."""
        return list(self.manager.seeds.values())

    def enter_phase(self, name: str) -> None:
        """Begin the phase of this name: events and observations say so from now on."""
        self.phase = name

    @property
    def remaining(self) -> Remaining:
        """What is left of the budget."""
        return self._budget.remaining(self.manager.seeds.values()) if self._budget else Remaining()

    @property
    def watches(self) -> list[ActivationRecorder]:
        """What is gathering samples at sites now."""
        return [watch for watch in (self._watch, self._sown and self._sown.watch) if watch]

    def __repr__(self) -> str:
        seeds = ", ".join(f"{seed.blueprint} at {seed.site} {seed.stage}" for seed in self.seeds)
        return f"Growth(epoch {self.epoch}, {self.parameters} parameters, seeds: {seeds or 'none'})"

    @property
    def batches(self) -> int:
        """How many steps of the epoch in hand are done; 0 between epochs."""
        return len(self._losses)

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return self.epoch - bool(self._losses or self._entered)

    def after_backward(self) -> Nonfinite | None:
        """To be called between backward pass and step of the optimiser, by a loop that wants to see faults in time.

        Returns:
            what is not finite where the host feels it, and with which the optimiser must make no step; None if there
            is nothing of the kind. Seeds in training that are not finite do the host no harm: they are culled.
        """
        if finite(self._optimizer):
            return None
        self._enter_epoch()
        seeds = list(self.manager.seeds.values())
        names = unsound(self.host, seeds, self._optimizer)
        bad = [seed for seed in seeds if not seed.sound]
        felt = tuple(seed.id for seed in bad if seed.stage is not Stage.TRAINING)
        if names or felt:
            return Nonfinite(names, felt)
        for seed in bad:
            seed.spoiled = True
            self.manager.cull(seed, "its gradients or its weights are not finite")
        return None

    def unsound(self) -> Nonfinite | None:
        """What is not finite of the weights and of what the optimiser keeps of them; seeds in training are not asked.

        To be called once an epoch: a gradient that is finite, with a square that is not, stops the learning for good.
        """
        seeds = list(self.manager.seeds.values())
        felt = [seed for seed in seeds if seed.stage is not Stage.TRAINING]
        if kept(self._optimizer, [seed for seed in seeds if seed not in felt]):
            return None
        sound = partial(is_kept, self._optimizer)
        names = unsound(self.host, seeds, self._optimizer, sound)
        bad = tuple(seed.id for seed in felt if not all(map(sound, seed.parameters())))
        return Nonfinite(names, bad) if names or bad else None

    def rest(self, site: str) -> None:
        """No seed germinates at this site for `REST` epochs; twice as long each time that it is put to rest again."""
        times = self.resting.get(site, [0, 0])[1]
        self.resting[site] = [self.epoch + REST * 2**times, times + 1]
        if self._sown and self._sown.proposal.site == site:
            self._sown.watch.stop()
            self._sown = None

    def free(self, site: str) -> bool:
        """Whether a seed may germinate at this site: none is on its way there, and it does not rest."""
        return self.manager.free(site) and self.epoch >= self.resting.get(site, (0, 0))[0]

    def cut(self, seed: int, reason: str) -> None:
        """An emergency: the seed of this id goes at once, whatever its alpha, so that the output may jump.

        Raises:
            IllegalTransition: there is none, or it is gone already.
        """
        if seed not in self.manager.seeds:
            raise IllegalTransition(f"seed {seed} cannot be cut: it takes no part in the forward pass")
        self.manager.cut(self.manager.seeds[seed], reason)

    def after_step(self, loss: Tensor) -> None:
        """To be called after each step of the optimiser, with the step's loss: a mean over its batch."""
        self._enter_epoch()
        self._entered = False
        self.step += 1
        self._losses.append(loss.detach())
        self.manager.after_step()
        if len(self._losses) == self._watch_from:
            self._start_watch()
        if self._sown and self._sown.watch.full:
            self._bear(self._sown)

    def after_epoch(self, germinate: bool = True) -> Observation:
        """To be called after each epoch: observes, judges, and germinates if it may."""
        observation = self.observe()
        self.decide(observation, germinate)
        return observation

    def observe(self, epochs_left: int = 0) -> Observation:
        """What a controller may know of the epoch that has just ended."""
        losses, self._losses = self._losses, []
        if len(losses) != self._steps_per_epoch:
            self._set_pace(len(losses))
        needs = self._end_watch()
        if self._sown:
            self._bear(self._sown)
        measure = self._evaluator()
        return Observation(
            phase=self.phase,
            epoch=self.epoch,
            step=self.step,
            epochs_left=epochs_left,
            train_loss=torch.stack(losses).mean().item(),
            validation_loss=measure.loss,
            validation_metric=measure.metric,
            metric=self._evaluator.metric,
            target=self._evaluator.target,
            parameters=self.parameters,
            sites=tuple(
                SiteState(place.site, self.free(name), needs.get(name)) for name, place in self.manager.places.items()
            ),
            seeds=tuple(seed.state for seed in self.manager.seeds.values()),
            remaining=self.remaining,
        )

    def decide(self, observation: Observation, germinate: bool = True) -> None:
        """Tells of the epoch, judges the seeds whose probation is over, and asks for a germination."""
        self._hooks.on_epoch_end(observation=observation)
        for seed in self.manager.due():
            self._judge(seed, observation)
        if germinate:
            self._germinate(observation)

    def state_dict(self) -> dict[str, Any]:
        """All that growth is, as plain values and tensors, at any step; without the host's weights and the optimiser's.

        What a loop of one's own saves: this, ``host.state_dict()`` and ``optimizer.state_dict()``.
        """
        return {
            "epoch": self.epoch,
            "step": self.step,
            "phase": self.phase,
            "resting": self.resting,
            "refused": sorted(self._refused),
            "steps_per_epoch": self._steps_per_epoch,
            "losses": torch.stack(self._losses) if self._losses else None,
            "watch": self._watch and self._watch.state_dict(),
            "watch_born": self._watch_born,
            "watch_from": self._watch_from,
            "sown": self._sown and unstructure(self._sown.proposal),
            "sown_watch": self._sown and self._sown.watch.state_dict(),
            "manager": self.manager.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Becomes what it was. To be called before ``optimizer.load_state_dict``, for it brings the seeds' groups.

        Args:
            state: from `state_dict`, of the same host, sites and recipe.

        Raises:
            KeyError, RuntimeError, ValueError: it is of others.
        """
        self._stop_watching()
        self.epoch, self.step, self.phase = state["epoch"], state["step"], state["phase"]
        self.events = []
        self._entered = False
        self._losses = [] if state["losses"] is None else list(state["losses"].unbind())
        self._set_pace(state["steps_per_epoch"])
        self._watch_from = state["watch_from"]
        self.resting, self._refused = dict(state["resting"]), set(state["refused"])

        def resume_watch(seed: float) -> None:
            # A watch sees what seeds add that were there before it, and not what younger ones add.
            if self._watch is None and state["watch"] is not None and seed > state["watch_born"]:
                self._start_watch(state["watch"])

        self.manager.load_state_dict(state["manager"], before=resume_watch)
        resume_watch(math.inf)
        self._watch_born = state["watch_born"]
        if state["sown"] is not None:
            proposal = structure(state["sown"], Proposal)
            self._sow(proposal, self._offered(proposal), state["sown_watch"])

    def detach(self) -> None:
        """Ends growth; the output stays the same to the bit.

        Seeds in training go, for they have no part in it. One that is blending or on probation stays as it is, with its
        alpha where it stands: let a few epochs without germinations (``after_epoch(germinate=False)``) go before.
        """
        self._stop_watching()
        for seed in list(self.manager.seeds.values()):
            if seed.stage is Stage.TRAINING:
                self.manager.cull(seed, "growth has ended")

    def plain(self, x: Tensor) -> nn.Module:
        """The grown host as modules of torch's own, a copy in evaluation mode, seeds folded into its layers.

        Args:
            x: some samples (N, *in_shape), N > 2, on which the copy is compared with the host.

        Raises:
            UsageError: the host's forward cannot be written down as a graph.
        """
        training = self.host.training
        found = plain(self.host, list(self.manager.seeds.values()), x)
        self.host.train(training)
        if found.live:
            raise UsageError(f"the host cannot be had as plain modules: {found.unfolded_because}")
        return found.module

    def _enter_epoch(self) -> None:
        """The step in hand is the first of an epoch, if it is, and if nobody has said so."""
        if not (self._losses or self._entered):
            self._entered = True
            self.epoch += 1
            self.manager.epoch = self.epoch

    def _judge(self, seed: Seed, observation: Observation) -> None:
        """Measures what a seed is worth on the validation split, and keeps or culls it."""
        with seed.muted():
            without = self._evaluator()
        seed.contribution = without.loss - observation.validation_loss
        verdict = self._hooks.judge_seed(seed=seed.state, observation=observation)
        if verdict is None:
            verdict = Verdict(seed.contribution > 0, "by its contribution")
        (self.manager.keep if verdict.keep else self.manager.cull)(seed, verdict.reason)

    def _germinate(self, observation: Observation) -> None:
        """Asks whether a seed shall germinate, and whether statistics are needed for the next time."""
        proposal = self._hooks.propose_germination(observation=observation)
        if proposal is not None:
            offer = self._offered(proposal)
            if self.free(proposal.site) and not self._refuse(proposal, offer):
                self._sow(proposal, offer)
        if self._hooks.wants_statistics(observation=observation):
            self._watch_from = max(0, self._steps_per_epoch - self._watched_steps)
            if self._watch_from == 0:
                self._start_watch()

    def _refuse(self, proposal: Proposal, offer: Builders) -> bool:
        """Whether the proposal is over the budget, which is told once until some seed changes its stage."""
        reason = self._budget and self._budget.refusal(proposal.site, offer, self.remaining)
        if reason and reason not in self._refused:
            self._refused.add(reason)
            incident = Incident(self.epoch, self.step, self.phase, "refusal", reason, site=proposal.site)
            self._hooks.on_incident(incident=incident)
        return bool(reason)

    def _sow(self, proposal: Proposal, offer: Builders, gathered: Mapping[str, Any] | None = None) -> None:
        """A seed germinates as soon as what its weights begin from has been gathered, within the next steps."""
        place = self.manager.places[proposal.site]
        rows = ROWS_TO_BEGIN if needs_sample(self._recipe.init) else 0
        self._sown = PendingGermination(proposal, offer, ActivationRecorder({proposal.site: place}, rows))
        self._sown.watch.load_state_dict(gathered or {})
        if rows:
            self._sown.watch.start()
        else:
            self._bear(self._sown)

    def _bear(self, sown: PendingGermination) -> None:
        self._sown = None
        site, sample = sown.proposal.site, sown.watch.samples().get(sown.proposal.site)
        first, *alternatives = [one for one in sown.offer.items() for _ in range(self._recipe.candidates)]
        reason = sown.proposal.reason + (f"; {len(alternatives) + 1} candidates side by side" if alternatives else "")

        def prepare(body: nn.Module, generator: torch.Generator) -> None:
            initialise(self._recipe.init, body, sample, generator)

        self.manager.germinate(site, first[1], first[0], reason, alternatives, prepare)

    def _offered(self, proposal: Proposal) -> Builders:
        """Return the builders of what may grow as it is proposed.

        Raises:
            PluginError: The proposal names a site or a blueprint that is not there.
        """
        sites = self.manager.places
        if proposal.site not in sites:
            raise PluginError(f"propose_germination names {proposal.site!r}; the sites are {', '.join(sites)}")
        return sites[proposal.site].proposed(proposal.blueprint)

    def _set_pace(self, steps: int) -> None:
        """How many steps an epoch has."""
        self._steps_per_epoch = steps
        if steps:
            self.manager.durations = self._recipe.durations(steps)

    def _start_watch(self, gathered: Mapping[str, Any] | None = None) -> None:
        self._watch = ActivationRecorder(self.manager.places)
        self._watch.load_state_dict(gathered or {})
        self._watch_born = self.manager.born
        self._watch.start()

    def _end_watch(self) -> dict[str, float]:
        watch, self._watch, self._watch_from = self._watch, None, None
        return watch.needs() if watch else {}

    def _stop_watching(self) -> None:
        """Lets go of all that is being gathered."""
        for watch in self.watches:
            watch.stop()
        self._watch = self._watch_from = self._sown = None

    def _announce(self, seed: Seed, before: Stage, reason: str) -> None:
        event = Event(self.epoch, self.step, self.phase, seed.state, before, reason)
        self.events.append(event)
        self._refused.clear()
        if seed.spoiled:
            self.rest(event.seed.site)
        self._hooks.on_seed_change(event=event)
