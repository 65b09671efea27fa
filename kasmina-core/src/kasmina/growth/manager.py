"""The life of all seeds of one host: germination, blending, probation, keeping, culling; and the optimiser's part.

The training loop calls `after_step` once a step; everything else is a consequence, or a decision that the loop hands on
(`germinate`, `keep`, `cull`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from attrs import asdict
from cattrs import structure
from torch import nn

from kasmina.errors import PluginError, SeedError
from kasmina.growth.health import is_kept
from kasmina.growth.recipe import Durations
from kasmina.growth.rng import RngStream
from kasmina.growth.seed import LEGAL, Seed, revive
from kasmina.growth.sites.find import BoundSite, Build
from kasmina.records import SeedState, Stage

Ramp = Callable[[SeedState, int], float | None]
Prepare = Callable[[nn.Module, torch.Generator], None]
OnChange = Callable[[Seed, Stage, str], None]

GROWING = frozenset({Stage.TRAINING, Stage.BLENDING, Stage.PROBATION, Stage.CULLED})


class IllegalTransition(ValueError):
    """A seed was asked to go where its stage does not lead."""


class Manager:
    """The seeds of one host.

    Args:
        places: where seeds can grow, by site name (`find_places`).
        optimizer: gets one more parameter group at each germination; state of other parameters is never touched.
        durations: of the stages, in training steps.
        seed: of the random numbers of all seeds, apart from the host's.
        ramp: the next alpha of a blending seed, or None for a linear rise.
        validation: the host's loss on the validation split, by which one of several candidates is chosen; None if there
            never are several.
        on_change: called once for every change of stage, after it, with the stage before and the reason.
    """

    def __init__(
        self,
        places: Mapping[str, BoundSite],
        optimizer: torch.optim.Optimizer,
        durations: Durations,
        *,
        seed: int = 0,
        ramp: Ramp = lambda seed, step: None,
        validation: Callable[[], float] | None = None,
        on_change: OnChange = lambda seed, before, reason: None,
    ) -> None:
        self.places = places
        self.seeds: dict[int, Seed] = {}
        """All seeds that take part in the forward pass, by id, in the order of their germination."""
        self.past: list[SeedState] = []
        """Seeds that were culled and are gone."""
        self.epoch = 0
        self.version = 0
        """Goes up whenever what the host's forward and backward pass multiply changes: not as a seed is kept."""
        self.durations = durations
        """Of the stages that seeds pass from now on."""
        self._optimizer = optimizer
        self._seed = seed
        self._ramp = ramp
        self._validation = validation
        self._on_change = on_change
        self.born = 0
        """How many seeds there have been; the id of the last."""

    def free(self, site: str) -> bool:
        """Whether a seed may germinate at this site: none is on its way there, though any number may be active."""
        return all(seed.place.site.name != site or seed.stage not in GROWING for seed in self.seeds.values())

    def germinate(
        self,
        site: str,
        build: Build,
        blueprint: str,
        reason: str = "",
        alternatives: Sequence[tuple[str, Build]] = (),
        prepare: Prepare = lambda body, generator: None,
    ) -> Seed:
        """A new seed at `site`, with the module that `build` makes for it; it trains from the next step on.

        With `alternatives`, further blueprints or the same one again, all train side by side, and the seed is the
        one with which the validation loss is lowest when they have trained.

        Raises:
            IllegalTransition: a seed is already growing there.
            ValueError: there are alternatives, and no `validation` to choose by.
            PluginError: the module does not fit the site.
        """
        if not self.free(site):
            raise IllegalTransition(f"site {site!r} has a seed on its way")
        if alternatives and self._validation is None:
            raise ValueError("candidates are chosen by their validation loss, and this manager was given no validation")
        place = self.places[site]
        id = self.born + 1
        # Spread by a large odd number, so that neighbouring runs do not share the streams of neighbouring seeds.
        stream = RngStream(place.device, (self._seed * 1_000_003 + id) % 2**63)
        bodies = [
            (name, self._body(place, name, make, stream, prepare)) for name, make in ((blueprint, build), *alternatives)
        ]
        seed = Seed(id, place, bodies[0][1], blueprint, self.epoch, stream, bodies[1:])
        self.born = id
        self.seeds[id] = seed
        self._move(seed, Stage.TRAINING, reason)
        return seed

    def after_step(self) -> None:
        """Leads every seed on by one training step."""
        for seed in list(self.seeds.values()):
            seed.steps += 1
            if seed.stage is Stage.TRAINING and seed.steps >= self.durations.training:
                self._blend_or_cull(seed)
            elif seed.stage is Stage.BLENDING:
                self._raise_alpha(seed)
            elif seed.stage is Stage.CULLED:
                self._lower_alpha(seed)

    def state_dict(self) -> dict[str, Any]:
        """All that it is, as plain values and tensors; of the optimiser only which seeds are in it, in their order."""
        seeds = list(self.seeds.values())
        groups = self._optimizer.param_groups
        return {
            "epoch": self.epoch,
            "version": self.version,
            "born": self.born,
            "past": [asdict(seed) | {"stage": seed.stage.value} for seed in self.past],
            "seeds": [seed.state_dict() for seed in seeds],
            "enrolled": [seed.id for group in groups for seed in seeds if self._belongs(group, seed)],
        }

    def load_state_dict(
        self,
        state: Mapping[str, Any],
        before: Callable[[int], None] = lambda id: None,
    ) -> None:
        """Becomes what it was; the host is as it was without seeds but for its weights, and gets them all anew.

        Args:
            state: from `state_dict`, of a manager of the same places. The optimiser has a group for every seed in it
                afterwards, so that its own state can be loaded next.
            before: called with the id of each seed before it joins the host's forward pass.

        Raises:
            KeyError, RuntimeError: a seed does not fit what its blueprint builds now.
        """
        for seed in self.seeds.values():
            seed.detach()
            self._withdraw(seed)
        self.seeds.clear()
        for record in state["seeds"]:
            site = record["_extra_state"]["site"]
            seed = revive(record, self.places[site])
            before(seed.id)
            seed.attach()
            self.seeds[seed.id] = seed
        for id in state["enrolled"]:
            self._enrol(self.seeds[id])
        for id in self.seeds.keys() - set(state["enrolled"]):
            self.seeds[id].requires_grad_(False)
        self.past = [structure(seed, SeedState) for seed in state["past"]]
        self.epoch, self.version, self.born = state["epoch"], state["version"], state["born"]

    def due(self) -> list[Seed]:
        """Seeds whose probation is over, and which wait for a judgement."""
        return [
            seed
            for seed in self.seeds.values()
            if seed.stage is Stage.PROBATION and seed.steps >= self.durations.probation
        ]

    def keep(self, seed: Seed, reason: str = "") -> None:
        """A seed on probation stays for good."""
        self._move(seed, Stage.ACTIVE, reason)

    def cull(self, seed: Seed, reason: str = "") -> None:
        """A seed goes: at once if it was training, else as its alpha falls to 0."""
        self._move(seed, Stage.CULLED, reason)

    def cut(self, seed: Seed, reason: str = "") -> None:
        """A seed goes at once, whatever its alpha: the output may jump. One that is fading only goes sooner.

        Raises:
            IllegalTransition: the seed is gone already.
        """
        if seed.id not in self.seeds:
            raise IllegalTransition(f"seed {seed.id} cannot be cut: it takes no part in the forward pass")
        seed.level = 0.0
        if seed.stage is Stage.CULLED:
            self._release(seed)
        else:
            self._move(seed, Stage.CULLED, reason)

    def _body(self, place: BoundSite, blueprint: str, build: Build, stream: RngStream, prepare: Prepare) -> nn.Module:
        with stream.own():
            try:
                body = build(place.site)
            except Exception as error:
                what = f"{type(error).__name__}: {error}"
                raise PluginError(f"blueprint {blueprint!r} cannot build for {place.site.name!r}: {what}") from error
            if not isinstance(body, nn.Module):
                came = type(body).__name__
                raise PluginError(f"blueprint {blueprint!r}: build gave {came}, due is a torch.nn.Module")
            prepare(body.to(place.device, place.dtype), torch.default_generator)
        return body

    def _blend_or_cull(self, seed: Seed) -> None:
        reason = self._choose(seed) if seed.undecided else "trained"
        # What the optimiser keeps of it, too: of a gradient whose square is infinite nothing is ever learned again.
        if reason and seed.finite and all(is_kept(self._optimizer, parameter) for parameter in seed.parameters()):
            self._move(seed, Stage.BLENDING, reason)
        else:
            seed.spoiled = True
            self._move(seed, Stage.CULLED, "its weights or its output are not finite")

    def _choose(self, seed: Seed) -> str:
        """Makes the seed the candidate of the lowest validation loss, and says so; empty if none gives a finite one."""
        assert self._validation is not None  # without one there are no candidates
        candidates, losses = seed.candidates, []
        for _, body in candidates:
            with seed.tried(body):
                losses.append(self._loss_with(seed))
        best = min((loss for loss in losses if math.isfinite(loss)), default=None)
        if best is None:
            return ""
        self._withdraw(seed)
        seed.become(*candidates[losses.index(best)])
        self._enrol(seed)
        return f"trained; {seed.blueprint} is the best of {len(losses)}, with a validation loss of {best:.3g}"

    def _loss_with(self, seed: Seed) -> float:
        """The validation loss; one candidate that fails shall not cost the others."""
        assert self._validation is not None
        try:
            return self._validation()
        except SeedError as error:
            if error.seed != seed.id:
                raise
            return math.inf

    def _raise_alpha(self, seed: Seed) -> None:
        alpha = self._ramp(seed.state, seed.steps)
        if alpha is None:
            # Never below what a ramp that answered earlier has reached.
            alpha = max(seed.level, min(1.0, seed.steps / self.durations.blending))
        if not (math.isfinite(alpha) and seed.level <= alpha <= 1):
            raise PluginError(f"blend_step gave {alpha!r} for seed {seed.id}, due is a number from {seed.level!r} to 1")
        seed.level = float(alpha)
        if alpha == 1:
            self._move(seed, Stage.PROBATION, "blended in")

    def _lower_alpha(self, seed: Seed) -> None:
        left = seed.level - 1 / self.durations.blending
        # What rounding leaves of 1 - 1/3 - 1/3 - 1/3 must not cost one more step.
        seed.level = left if left > 1e-9 else 0.0
        if seed.level == 0:
            self._release(seed)

    def _move(self, seed: Seed, stage: Stage, reason: str) -> None:
        before = seed.stage
        if stage not in LEGAL[before]:
            raise IllegalTransition(f"seed {seed.id} cannot go from {before} to {stage}")
        seed.stage = stage
        seed.steps = 0
        self.version += stage not in (Stage.PROBATION, Stage.ACTIVE)
        if stage is Stage.TRAINING:
            seed.attach()
            self._enrol(seed)
        elif stage is Stage.ACTIVE:
            seed.active_at = self.epoch
        elif stage is Stage.CULLED:
            self._withdraw(seed)
            if seed.level == 0:
                self._release(seed)
        self._on_change(seed, before, reason)

    def _enrol(self, seed: Seed) -> None:
        """The seed's parameters join the optimiser, in a group of their own with the first group's settings."""
        parameters = {f"seed.{seed.id}.{name}": p for name, p in seed.named_parameters() if p.requires_grad}
        if parameters:
            settings = dict(self._optimizer.param_groups[0])
            del settings["params"]
            # An optimiser that was given names, with its parameters, wants them of all.
            named = settings.pop("param_names", None) is not None
            members = list(parameters.items()) if named else list(parameters.values())
            self._optimizer.add_param_group(settings | {"params": members})

    def _withdraw(self, seed: Seed) -> None:
        """The seed's parameters leave the optimiser and learn no more."""
        groups = self._optimizer.param_groups
        groups[:] = [group for group in groups if not self._belongs(group, seed)]
        for parameter in seed.parameters():
            self._optimizer.state.pop(parameter, None)
            parameter.requires_grad_(False)

    @staticmethod
    def _belongs(group: dict[str, Any], seed: Seed) -> bool:
        """Whether a group of the optimiser is the seed's, by its parameters: loading an optimiser replaces groups."""
        return any(group["params"][0] is parameter for parameter in seed.parameters())

    def _release(self, seed: Seed) -> None:
        """The seed leaves the forward pass; its site is dormant again."""
        seed.detach()
        self.version += 1
        del self.seeds[seed.id]
        self.past.append(seed.state)
