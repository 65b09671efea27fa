"""The stages of all seeds of one host: germination, blending, probation, keeping, culling.

The training loop calls `after_step` once a step; everything else is a consequence, or a decision that the loop hands on
(`germinate`, `keep`, `cull`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from attrs import asdict
from cattrs import structure

from kasmina.growth.body import Prepare, build_body
from kasmina.growth.choice import best_candidate
from kasmina.growth.health import parameter_finite
from kasmina.growth.param_groups import add_param_group, owns, remove_param_group
from kasmina.growth.recipe import Durations
from kasmina.growth.rng import RngStream
from kasmina.growth.seed import Seed, revive
from kasmina.growth.sites.find import BoundSite, Build
from kasmina.growth.stages import GROWING, LEGAL, IllegalTransition, lowered, raised
from kasmina.records import SeedState, Stage

Ramp = Callable[[SeedState, int], float | None]
OnChange = Callable[[Seed, Stage, str], None]


class Manager:
    """The seeds of one host.

    Args:
        places: Sites where seeds can grow, by name (`find_sites`).
        optimizer: Gets one more parameter group at each germination; state of other parameters is never touched.
        durations: Durations of the stages, in training steps.
        seed: Seed of the random numbers of all seeds, apart from the host's.
        ramp: Gives the next alpha of a blending seed, or None for a linear rise.
        validation: Measures the host's loss on the validation split, by which one of several candidates is chosen; None
            if there never are several.
        on_change: Called once for every change of stage, after it, with the stage before and the reason.
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
        """Seeds that take part in the forward pass, by id, in the order of their germination."""
        self.past: list[SeedState] = []
        """Seeds that were culled and are gone."""
        self.epoch = 0
        self.version = 0
        """Number that goes up whenever forward and backward pass change in their products: not as a seed is kept."""
        self.durations = durations
        """Durations of the stages that seeds pass from now on."""
        self.last_id = 0
        """Id of the youngest seed, and so the number of all seeds so far."""
        self._optimizer = optimizer
        self._seed = seed
        self._ramp = ramp
        self._validation = validation
        self._on_change = on_change

    def begin_epoch(self, epoch: int) -> None:
        """Note the epoch, counted from 1, in which seeds germinate and become active from now on."""
        self.epoch = epoch

    def free(self, site: str) -> bool:
        """Return whether a seed may germinate at a site: none is on its way there, though any number may be active."""
        return all(seed.state.site != site or seed.stage not in GROWING for seed in self.seeds.values())

    def germinate(
        self,
        site: str,
        build: Build,
        blueprint: str,
        reason: str = "",
        alternatives: Sequence[tuple[str, Build]] = (),
        prepare: Prepare = lambda body, generator: None,
        size: int = 0,
    ) -> Seed:
        """Return a new seed at `site`, with the module that `build` makes; it trains from the next step on.

        With `alternatives`, further blueprints or the same one again, all train side by side, and the seed is the
        one with which the validation loss is lowest when they have trained. `size` is the number of parameters that it
        should have, as `Site.size` says.

        Raises:
            IllegalTransition: A seed is already growing there.
            ValueError: There are alternatives, and no `validation` to choose by.
            PluginError: The module does not fit the site.
        """
        if not self.free(site):
            raise IllegalTransition(f"site {site!r} has a seed on its way")
        if alternatives and self._validation is None:
            raise ValueError("candidates are chosen by their validation loss, and this manager was given no validation")
        place = self.places[site].sized(size)
        id = self.last_id + 1
        # Spread by a large odd number, so that neighbouring runs do not share the streams of neighbouring seeds.
        stream = RngStream(place.device, (self._seed * 1_000_003 + id) % 2**63)
        members = (blueprint, build), *alternatives
        bodies = [(name, build_body(place, name, make, stream, prepare)) for name, make in members]
        seed = Seed(id, place, bodies[0][1], blueprint, self.epoch, stream, bodies[1:])
        self.last_id = id
        self.seeds[id] = seed
        self._move(seed, Stage.TRAINING, reason)
        return seed

    def after_step(self) -> None:
        """Lead every seed on by one training step."""
        for seed in list(self.seeds.values()):
            seed.steps += 1
            if seed.stage is Stage.TRAINING and seed.steps >= self.durations.training:
                self._blend_or_cull(seed)
            elif seed.stage is Stage.BLENDING:
                self._raise_alpha(seed)
            elif seed.stage is Stage.CULLED:
                self._lower_alpha(seed)

    def state_dict(self) -> dict[str, Any]:
        """Return all that it is, as plain values and tensors; of the optimiser only the order of the seeds in it."""
        seeds, groups = list(self.seeds.values()), self._optimizer.param_groups
        return {
            "epoch": self.epoch,
            "version": self.version,
            "last_id": self.last_id,
            "past": [asdict(seed) | {"stage": seed.stage.value} for seed in self.past],
            "seeds": [seed.state_dict() for seed in seeds],
            "param_groups": [seed.id for group in groups for seed in seeds if owns(seed, group)],
        }

    def load_state_dict(self, state: Mapping[str, Any], before: Callable[[int], None] = lambda id: None) -> None:
        """Restore the seeds; the host is as it was without seeds but for its weights, and gets them all anew.

        Args:
            state: Value of `state_dict`, of a manager of the same sites. The optimiser has a group for every seed in it
                afterwards, so that its own state can be loaded next.
            before: Called with the id of each seed before it joins the host's forward pass.

        Raises:
            KeyError, RuntimeError: A seed does not fit what its blueprint builds now.
        """
        for seed in self.seeds.values():
            seed.detach()
            remove_param_group(self._optimizer, seed)
        self.seeds.clear()
        for record in state["seeds"]:
            seed = revive(record, self.places)
            before(seed.id)
            seed.attach()
            self.seeds[seed.id] = seed
        for id in state["param_groups"]:
            add_param_group(self._optimizer, id, self.seeds[id])
        for id in self.seeds.keys() - set(state["param_groups"]):
            self.seeds[id].requires_grad_(False)
        self.past = [structure(seed, SeedState) for seed in state["past"]]
        self.epoch, self.version, self.last_id = state["epoch"], state["version"], state["last_id"]

    def due(self) -> list[Seed]:
        """Return the seeds whose probation is over, and which wait for a judgement."""
        probation = [seed for seed in self.seeds.values() if seed.stage is Stage.PROBATION]
        return [seed for seed in probation if seed.steps >= self.durations.probation]

    def keep(self, seed: Seed, reason: str = "") -> None:
        """Keep a seed on probation for good."""
        self._move(seed, Stage.ACTIVE, reason)

    def cull(self, seed: Seed, reason: str = "", nonfinite: bool = False) -> None:
        """Remove a seed, which may be `nonfinite`: at once if it was training, else as its alpha falls to 0."""
        seed.nonfinite = nonfinite
        self._move(seed, Stage.CULLED, reason)

    def cut(self, seed: Seed, reason: str = "") -> None:
        """Remove a seed at once, whatever its alpha: the output may jump. One that is fading only goes sooner.

        Raises:
            IllegalTransition: The seed is gone already.
        """
        if seed.id not in self.seeds:
            raise IllegalTransition(f"seed {seed.id} cannot be cut: it takes no part in the forward pass")
        seed.level = 0.0
        if seed.stage is Stage.CULLED:
            self._release(seed)
        else:
            self._move(seed, Stage.CULLED, reason)

    def _blend_or_cull(self, seed: Seed) -> None:
        reason = self._choose(seed) if seed.undecided else "trained"
        # What the optimiser keeps of it, too: of a gradient whose square is infinite nothing is ever learned again.
        if reason and seed.finite and all(parameter_finite(self._optimizer, p) for p in seed.parameters()):
            self._move(seed, Stage.BLENDING, reason)
        else:
            self.cull(seed, "its weights or its output are not finite", nonfinite=True)

    def _choose(self, seed: Seed) -> str:
        """Make the seed its best candidate, and return the reason; it is empty if there is none."""
        assert self._validation is not None  # without one there are no candidates
        best = best_candidate(seed, self._validation)
        if best is None:
            return ""
        remove_param_group(self._optimizer, seed)
        seed.choose(best.blueprint, best.body)
        add_param_group(self._optimizer, seed.id, seed)
        return f"trained; {best.blueprint} is the best of {best.rivals}, with a validation loss of {best.loss:.3g}"

    def _raise_alpha(self, seed: Seed) -> None:
        answer = self._ramp(seed.state, seed.steps)
        seed.level = raised(seed.state, answer, seed.steps / self.durations.blending)
        if seed.level == 1:
            self._move(seed, Stage.PROBATION, "blended in")

    def _lower_alpha(self, seed: Seed) -> None:
        seed.level = lowered(seed.level, self.durations.blending)
        if seed.level == 0:
            self._release(seed)

    def _move(self, seed: Seed, stage: Stage, reason: str) -> None:
        before = seed.stage
        if stage not in LEGAL[before]:
            raise IllegalTransition(f"seed {seed.id} cannot go from {before} to {stage}")
        seed.change(stage=stage)
        seed.steps = 0
        self.version += stage not in (Stage.PROBATION, Stage.ACTIVE)
        if stage is Stage.TRAINING:
            seed.attach()
            add_param_group(self._optimizer, seed.id, seed)
        elif stage is Stage.ACTIVE:
            seed.change(active_at=self.epoch)
        elif stage is Stage.CULLED:
            remove_param_group(self._optimizer, seed)
            if seed.level == 0:
                self._release(seed)
        self._on_change(seed, before, reason)

    def _release(self, seed: Seed) -> None:
        """Take the seed out of the forward pass; its site is dormant again."""
        seed.detach()
        self.version += 1
        del self.seeds[seed.id]
        self.past.append(seed.state)
