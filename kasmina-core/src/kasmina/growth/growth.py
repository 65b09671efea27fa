"""The growth of one host in a training loop: a call a step and a call an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from kasmina.growth.decisions import Decisions, count_parameters
from kasmina.growth.diagnosis import Nonfinite, check_gradients, check_weights
from kasmina.growth.epoch_clock import EpochClock
from kasmina.growth.evaluation import Evaluator
from kasmina.growth.export.plain import plain_modules
from kasmina.growth.germination import Germination
from kasmina.growth.growth_options import GrowthOptions
from kasmina.growth.health import gradients_finite
from kasmina.growth.manager import Manager
from kasmina.growth.need_meter import NeedMeter
from kasmina.growth.seed import Seed
from kasmina.growth.sites.find import BoundSite
from kasmina.growth.stages import IllegalTransition
from kasmina.records import Event, Observation, Remaining, SeedState, Stage


class Growth:
    """Growth of one host, by the decisions of a controller.

    Args:
        host: Network that is trained, from outside.
        sites: Sites where seeds can grow, by name, with their builders (`find_sites`).
        optimizer: Optimiser of the host. It gets the seeds' parameters too.
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
        self.events: list[Event] = []
        """Every change of a seed's stage, since this object was made or restored by `load_state_dict`."""
        self.manager = Manager(
            sites,
            optimizer,
            options.recipe.durations(1),
            seed=options.seed,
            ramp=lambda seed, step: hooks.blend_step(seed=seed, step=step),
            validation=lambda: evaluator().loss,
            on_change=self._announce,
        )
        self._clock = EpochClock()
        self._needs = NeedMeter(self.manager, options.batch)
        self.germination = Germination(self.manager, self._clock, hooks, options.recipe, options.budget)
        """Decides whether and when a proposed seed germinates; sites cool down in it."""
        self._decisions = Decisions(host, self._clock, self._needs, self.germination, hooks, evaluator)
        self._optimizer = optimizer
        self._hooks = hooks

    def __repr__(self) -> str:
        seeds = ", ".join(f"{seed.blueprint} at {seed.site} {seed.stage}" for seed in self.seeds)
        return f"Growth(epoch {self.epoch}, {self.parameters} parameters, seeds: {seeds or 'none'})"

    @property
    def seeds(self) -> list[SeedState]:
        """Records of every seed so far, also of those that were culled and are gone, in the order of germination."""
        return sorted([*self.manager.past, *(seed.state for seed in self.live_seeds)], key=lambda seed: seed.id)

    @property
    def live_seeds(self) -> list[Seed]:
        """Seeds that take part in the forward pass, as modules, in the order of their germination."""
        return list(self.manager.seeds.values())

    @property
    def parameters(self) -> int:
        """Number of parameters that host and seeds have, trainable or not."""
        return count_parameters(self.host, self.live_seeds)

    @property
    def phase(self) -> str:
        """Name of the phase of training."""
        return self._clock.phase

    @property
    def epoch(self) -> int:
        """Number of the epoch that is being trained, or that has just ended; counted from 1."""
        return self._clock.epoch

    @property
    def epochs(self) -> int:
        """Number of epochs done."""
        return self._clock.epochs

    @property
    def step(self) -> int:
        """Number of training steps done."""
        return self._clock.step

    @property
    def batches(self) -> int:
        """Number of steps done of the epoch in hand; 0 between epochs."""
        return self._clock.batches

    @property
    def remaining(self) -> Remaining:
        """Part of the budget that is left."""
        return self.germination.remaining

    def enter_phase(self, name: str) -> None:
        """Begin the phase of this name: events and observations say so from now on."""
        self._clock.phase = name

    def after_backward(self) -> Nonfinite | None:
        """Return what is not finite where the host feels it, and with which the optimiser must make no step.

        Call it between backward pass and step of the optimiser, in a loop that wants to see faults in time. Seeds in
        training that are not finite do the host no harm: they are culled.
        """
        if gradients_finite(self._optimizer):
            return None
        self._enter_step()
        fault, harmless = check_gradients(self.host, self.live_seeds, self._optimizer)
        for seed in harmless:
            self.manager.cull(seed, "its gradients or its weights are not finite", nonfinite=True)
        return fault

    def check_weights(self) -> Nonfinite | None:
        """Return what is not finite of the weights and of what the optimiser keeps of them; None if all is.

        Call it once an epoch: a gradient that is finite, with a square that is not, stops the learning for good.
        Seeds in training are left out.
        """
        return check_weights(self.host, self.live_seeds, self._optimizer)

    def after_step(self, loss: Tensor) -> None:
        """Lead growth on by one step. Call it after each step of the optimiser.

        Args:
            loss: Loss of the step, a mean over its batch.
        """
        self._enter_step()
        self._clock.end_step(loss)
        self.manager.after_step()
        self._needs.after_step(self._clock.batches)
        self.germination.after_step()

    def after_epoch(self, germinate: bool = True) -> Observation:
        """Observe, judge, and germinate if that is allowed. Call it after each epoch."""
        observation = self.observe()
        self._decisions.tell(observation)
        self.decide(observation, germinate)
        return observation

    def observe(self, epochs_left: int = 0) -> Observation:
        """Return what a controller may know of the epoch that has just ended."""
        return self._decisions.observe(epochs_left)

    def decide(self, observation: Observation, germinate: bool = True) -> None:
        """Judge the seeds whose probation is over, and ask for a germination."""
        self._decisions.decide(observation, germinate)

    def cut(self, seed: int, reason: str) -> None:
        """Remove the seed of this id at once, whatever its alpha, so that the output may jump: an emergency.

        Raises:
            IllegalTransition: There is none, or it is gone already.
        """
        if seed not in self.manager.seeds:
            raise IllegalTransition(f"seed {seed} cannot be cut: it takes no part in the forward pass")
        self.manager.cut(self.manager.seeds[seed], reason)

    def detach(self) -> None:
        """End growth; the output stays exactly the same.

        Seeds in training go, for they have no part in it. One that is blending or on probation stays as it is, with its
        alpha where it stands: let a few epochs without germinations (``after_epoch(germinate=False)``) go before.
        """
        self._stop()
        for seed in self.live_seeds:
            if seed.stage is Stage.TRAINING:
                self.manager.cull(seed, "growth has ended")

    def plain(self, x: Tensor) -> nn.Module:
        """Return the grown host as modules of torch's own: a copy in evaluation mode, seeds folded into its layers.

        Args:
            x: Samples (N, *in_shape), N > 2, on which the copy is compared with the host.

        Raises:
            UsageError: The host's forward cannot be written down as a graph.
        """
        return plain_modules(self.host, self.live_seeds, x)

    def state_dict(self) -> dict[str, Any]:
        """Return all that growth is, at any step, but for the host's weights and the state of the optimiser.

        The values are plain ones and tensors.
        """
        return {
            "clock": self._clock.state_dict(),
            "needs": self._needs.state_dict(),
            "germination": self.germination.state_dict(),
            "manager": self.manager.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore growth. Call it before ``optimizer.load_state_dict``, for it brings the seeds' groups.

        Args:
            state: Value of `state_dict`, of growth with the same host, sites and recipe.

        Raises:
            KeyError, RuntimeError, ValueError: The state is of another host or recipe.
        """
        self._stop()
        self.events = []
        self._clock.load_state_dict(state["clock"])
        self.germination.set_pace(self._clock.steps_per_epoch)
        self._needs.load_state_dict(state["needs"])
        resume = partial(self._needs.resume, state["needs"])
        self.manager.load_state_dict(state["manager"], before=resume)
        resume()
        self.germination.load_state_dict(state["germination"])

    def _enter_step(self) -> None:
        if self._clock.enter_step():
            self.manager.begin_epoch(self.epoch)

    def _stop(self) -> None:
        """Stop all recording, and drop the pending germination."""
        self._needs.stop()
        self.germination.stop()

    def _announce(self, seed: Seed, before: Stage, reason: str) -> None:
        event = Event(self.epoch, self.step, self.phase, seed.state, before, reason)
        self.events.append(event)
        self.germination.forget_refusals()
        if seed.nonfinite:
            self.germination.cool_down(event.seed.site)
        self._hooks.on_seed_change(event=event)
