"""Host, optimiser and manager of one case, without anything else of a run."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.seed import Seed
from kasmina.records import SeedState, Site, Stage
from kasmina.testing.cases import Case

HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


def anywhere(site: Site) -> nn.Module:
    """Return a module for any site, which mixes all positions."""
    sizes = math.prod(site.in_shape), math.prod(site.out_shape)
    return nn.Sequential(nn.Flatten(), nn.Linear(*sizes), nn.Tanh(), nn.Unflatten(1, site.out_shape))


class EngineFixture:
    """Host, optimiser and manager of a case, trained step by step."""

    def __init__(self, case: Case, training: int = 2, blending: int = 3, probation: int = 1) -> None:
        self.case = case
        self.host = case.new_host()
        self.optimizer = case.new_optimizer(self.host)
        self.places = case.places(self.host)
        self.events: list[tuple[Stage, SeedState]] = []
        self.losses: list[Tensor] = []
        self.ramp: Any = lambda seed, step: None
        self.manager = Manager(
            self.places,
            self.optimizer,
            Durations(training, blending, probation),
            seed=case.seed,
            ramp=lambda seed, step: self.ramp(seed, step),
            validation=self.validation,
            on_change=lambda seed, before, reason: self.events.append((before, seed.state)),
        )
        if case.elder:
            self.grow_to(self.manager.germinate(case.elder, anywhere, "anywhere"), Stage.ACTIVE)
        torch.manual_seed(case.seed + 1)

    def germinate(self, site: str | None = None) -> Seed:
        """Germinate a seed, at the site of the case if none is named."""
        body = self.case.body
        alternatives = [(body.name, body.build)] * self.case.alternatives
        return self.manager.germinate(site or self.case.site, body.build, body.name, alternatives=alternatives)

    def validation(self) -> float:
        """Return the loss in evaluation mode, without any side effect."""
        with undisturbed(self.host, self.manager.seeds.values()), torch.no_grad():
            return float((self.host.eval()(self.case.batch(0)) - 1).square().mean())

    def loss(self) -> Tensor:
        """Return the loss of the next batch in training mode."""
        self.host.train()
        output: Tensor = self.host(self.case.batch(len(self.losses)))
        return (output - 1).square().mean()

    def backward(self) -> Tensor:
        """Compute the gradients of the next batch and return its loss, detached."""
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        return loss.detach()

    def train(self, steps: int = 1) -> None:
        """Train for some steps."""
        for _ in range(steps):
            loss = self.backward()
            self.losses.append(loss)
            self.optimizer.step()
            self.manager.after_step()

    def grow_to(self, seed: Seed, stage: Stage) -> None:
        """Advance a seed to this stage without a change of weights; in blending until alpha is above 0."""
        while seed.stage is not stage or (stage is Stage.BLENDING and seed.level == 0):
            if seed.stage is Stage.PROBATION:
                self.manager.keep(seed)
            else:
                self.manager.after_step()

    def outputs(self, modes: tuple[bool, ...] = (False, True)) -> list[Tensor]:
        """Return the outputs of one batch in these modes and without gradients, without any side effect."""
        given = []
        with undisturbed(self.host, self.manager.seeds.values()):
            for mode in modes:
                torch.manual_seed(7)
                given.append(self.host.train(mode)(self.case.batch(0)).detach().clone())
            with torch.no_grad():
                given.append(self.host.eval()(self.case.batch(0)).clone())
        return given

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradients of the host's parameters for the next batch, without any side effect."""
        with undisturbed(self.host, self.manager.seeds.values()):
            torch.manual_seed(7)
            self.optimizer.zero_grad()
            self.loss().backward()
        return {name: p.grad.clone() for name, p in self.host.named_parameters() if p.grad is not None}

    def record(self) -> dict[str, Any]:
        """Return everything by which two runs can be compared later."""
        return {
            "losses": self.losses,
            "weights": self.host.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
        }


@contextmanager
def undisturbed(host: nn.Module, seeds: Iterable[Seed]) -> Iterator[None]:
    """Restore the states of host and seeds and the random numbers afterwards."""
    kept = [(module, copy.deepcopy(module.state_dict())) for module in (host, *seeds)]
    with torch.random.fork_rng():
        yield
    for module, state in kept:
        module.load_state_dict(state)
    host.train()


def same(one: Any, other: Any) -> bool:
    """Return whether two values are bitwise equal, with all that dicts and lists hold."""
    if isinstance(one, Tensor):
        alike = isinstance(other, Tensor) and one.shape == other.shape and one.dtype == other.dtype
        return alike and torch.equal(_bits(one), _bits(other))
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return isinstance(other, list | tuple) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and bool(one == other)


def _bits(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous().flatten().view(torch.uint8)


def hooks(host: nn.Module) -> list[str]:
    """Return the names of all hooks on the host, of any kind."""
    modules = [
        f"{name}.{kind}" for name, module in host.named_modules() for kind in HOOKS if getattr(module, kind, None)
    ]
    kinds = ("_backward_hooks", "_post_accumulate_grad_hooks")
    tensors = [f"{name}.{kind}" for name, p in host.named_parameters() for kind in kinds if getattr(p, kind, None)]
    everywhere = [kind for kind, found in vars(nn.modules.module).items() if kind.startswith("_global_") and found]
    return modules + tensors + [kind for kind in everywhere if "hooks" in kind]


def attributes(host: nn.Module) -> dict[str, list[str]]:
    """Return the names of the attributes of every module."""
    return {name: sorted(vars(module)) for name, module in host.named_modules()}


def structure(host: nn.Module) -> dict[str, Any]:
    """Return classes, attributes, parameters, buffers and children of every module, with the identity of tensors."""
    return {
        name: (
            type(module),
            {key: id(value) for key, value in vars(module).items() if not key.startswith("_")},
            sorted(vars(module)),
            {key: id(value) for key, value in module._parameters.items()},
            {key: id(value) for key, value in module._buffers.items()},
            {key: id(value) for key, value in module._modules.items()},
        )
        for name, module in host.named_modules()
    }
