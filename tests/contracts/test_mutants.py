"""Every rule again, on an engine that is broken on purpose: the same checks must fail.

Each mutant is one of the known ways to get a rule wrong. A check that lets it pass would guard nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import torch
from attrs import evolve, frozen
from cases import Case
from torch import Tensor, nn
from torch.optim import Optimizer

import kasmina.growth.manager as manager_module
import kasmina.growth.sites.probe as probe_module
from kasmina.growth.blend import Incubate
from kasmina.growth.body import BodyRunner
from kasmina.growth.manager import Manager
from kasmina.growth.rng import RngStream
from kasmina.growth.seed import Seed
from kasmina.records import Stage
from kasmina.testing import lifecycle, rules
from kasmina.testing.engine_fixture import EngineFixture

Check = Callable[[Case], None]
Change = tuple[Any, str, Any]
RIGHT_MOVE = Manager._move


@frozen
class Mutant:
    name: str
    check: Check
    changes: tuple[Change, ...]
    case: Case = Case()


def wrapped(owner: type, name: str, after: Callable[..., Any]) -> Change:
    """The method as it is, and then `after`, with the same arguments."""
    original = getattr(owner, name)

    def both(self: Any, *args: Any, **options: Any) -> Any:
        result = original(self, *args, **options)
        after(self, *args, **options)
        return result

    return owner, name, both


def forward(formula: Callable[[Seed, Tensor, Tensor], Tensor]) -> Change:
    """The forward pass at the site by another formula."""

    def on_give(self: Seed, module: nn.Module, args: Any, h: Tensor) -> Tensor | None:
        if self._inactive():
            return None
        f, self._added = (self._run(h) if self._added is None else self._added), None
        return formula(self, h, f)

    return Seed, "_on_give", on_give


def given_in(*stages: Stage, formula: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Change:
    """Another formula in these stages, and the right one in all others."""
    original = Seed._on_give

    def on_give(self: Seed, module: nn.Module, args: Any, h: Tensor) -> Tensor | None:
        if self.stage not in stages or self._inactive():
            y: Tensor | None = original(self, module, args, h)
            return y
        f, self._added = (self._run(h) if self._added is None else self._added), None
        return formula(h, f, self.alpha)

    return Seed, "_on_give", on_give


def reads_attached(self: Seed, x: Tensor) -> Tensor:
    y: Tensor = self.body(x.clone())
    return y


def overwrites_what_it_reads(self: Seed, x: Tensor) -> Tensor:
    y: Tensor = self.body(x.detach() if self.stage is Stage.TRAINING else x)
    return y


@contextmanager
def shared_stream(self: RngStream, keep: bool = True, again: bool = False) -> Iterator[None]:
    yield


def rebuilds_the_optimizer(optimizer: Optimizer, id: int, seed: Seed) -> None:
    optimizer.state.clear()
    optimizer.add_param_group({"params": list(seed.parameters())})


def clears_the_groups(optimizer: Optimizer, id: int, seed: Seed) -> None:
    everything = [p for group in optimizer.param_groups for p in group["params"]] + list(seed.parameters())
    optimizer.param_groups.clear()
    optimizer.add_param_group({"params": everything})


def tells_twice(self: Manager, seed: Seed, stage: Stage, reason: str) -> None:
    self._on_change(seed, Stage.DORMANT, reason)


def moves_in_silence(self: Manager, seed: Seed, stage: Stage, reason: str) -> None:
    told, self._on_change = self._on_change, lambda *_: None
    RIGHT_MOVE(self, seed, stage, reason)
    self._on_change = told


def leaves_hooks(self: Manager, seed: Seed) -> None:
    del self.seeds[seed.id]
    self.past.append(seed.state)


def hooks_on_all_sites(self: Manager, *args: Any, **options: Any) -> None:
    for place in self.places.values():
        place.target.register_forward_hook(lambda module, args, output: None)


def branches_on_all_sites(self: Manager, *args: Any, **options: Any) -> None:
    for place in self.places.values():
        vars(place.target)["seed"] = None


def alpha_beyond_one(self: Manager, seed: Seed) -> None:
    seed.level = seed.level + 0.4
    if seed.level >= 1:
        self._move(seed, Stage.PROBATION, "blended in")


def alpha_back_and_forth(self: Manager, seed: Seed) -> None:
    seed.level = (1.0, 0.5, 0.25)[seed.steps % 3]
    if seed.level == 1:
        self._move(seed, Stage.PROBATION, "blended in")


def accepts_any_ramp(self: Manager, seed: Seed) -> None:
    alpha = self._ramp(seed.state, seed.steps)
    seed.level = seed.steps / 3 if alpha is None else alpha
    if seed.level >= 1:
        self._move(seed, Stage.PROBATION, "blended in")


def cuts_at_once(self: Manager, seed: Seed) -> None:
    seed.level = 0.0
    self._release(seed)


def never_lets_go(self: Manager, seed: Seed) -> None:
    seed.level = max(0.01, seed.level - 0.4)


@contextmanager
def evaluating(host: nn.Module) -> Iterator[None]:
    host.eval()
    with torch.no_grad():
        yield


@contextmanager
def as_it_is(host: nn.Module) -> Iterator[None]:
    with torch.no_grad():
        yield


class Dead(nn.Sequential):
    """A zero map, then ReLU: no gradient ever passes."""

    def __init__(self, site: Any) -> None:
        layer = nn.Linear(site.in_features, site.out_features)
        super().__init__(layer, nn.ReLU())
        nn.init.zeros_(layer.weight)
        nn.init.constant_(layer.bias, -1)


def learns_with(build: Callable[..., nn.Module]) -> Check:
    def germinate(self: EngineFixture, site: str | None = None) -> Seed:
        return self.manager.germinate(self.case.site, build, "dead")

    def check(case: Case) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(EngineFixture, "germinate", germinate)
            rules.seeds_learn(case)

    return check


def legal_everywhere() -> dict[Stage, frozenset[Stage]]:
    return {stage: frozenset(Stage) for stage in Stage}


UNADDED = (manager_module, "add_param_group", lambda *_: None)
UNREMOVED = (manager_module, "remove_param_group", lambda *_: None)
REBUILT = (manager_module, "add_param_group", rebuilds_the_optimizer)
CLEARED = (manager_module, "add_param_group", clears_the_groups)
MLP, DROPOUT = Case(site="2", body="deep"), Case(host="dropout", site="0", body="dropout")
POISONED, SPAN = Case(site="0:2", body="inf"), Case(site="0:2", body="deep")
OPERATIONS: list[lifecycle.Operation] = [
    ("germinate", 0),
    *[("step", None)] * 7,
    ("keep", 0),
    ("keep", 0),
    ("step", None),
]
BACK = [*OPERATIONS, ("cull", 0), ("germinate", 0), ("germinate", 0), *[("step", None)] * 6, ("cull", 0), ("cull", 0)]
RAMPED = [("germinate", 0), ("step", None), ("step", None), ("step", 0.5), ("step", 0.2), ("step", 1.5)]


def lives(*operations: lifecycle.Operation) -> Check:
    return partial(lifecycle.life_is_legal, operations=list(operations))


def late(stage: Stage) -> Check:
    return partial(rules.late_cull_leaves_no_trace, stage=stage)


def cut_in(stage: Stage) -> Check:
    return partial(rules.cut_leaves_no_trace, stage=stage)


def half(case: Case) -> None:
    rules.alpha_is_continuous(case, 0.3, 0.6)


ALWAYS = forward(lambda seed, h, f: h + f)
SUMMED = given_in(Stage.TRAINING, formula=lambda h, f, alpha: h + (f - f.detach()))
TIMES_ZERO = given_in(Stage.TRAINING, formula=lambda h, f, alpha: h + alpha * f)
CONVEX = given_in(Stage.BLENDING, Stage.CULLED, formula=lambda h, f, alpha: (1 - alpha) * h + alpha * f)
CUT_OFF = given_in(*rules.LATE, formula=lambda h, f, alpha: h.detach() + f)
REPLACED = given_in(*rules.LATE, formula=lambda h, f, alpha: (1 - alpha) * h + alpha * f.detach())
SQUARED = given_in(Stage.PROBATION, formula=lambda h, f, alpha: h + 1.01 * f)
STEEP = given_in(Stage.BLENDING, formula=lambda h, f, alpha: h + alpha.mul(9).tanh() * f)
STARVED = (Incubate, "backward", staticmethod(lambda ctx, slope, *rest: (slope, None, None)))
TRIPLED = (Incubate, "backward", staticmethod(lambda ctx, slope, *rest: (slope * 1.0000002, slope, None)))

MUTANTS = [
    Mutant("1: the seed adds from birth on", rules.birth_changes_nothing, (ALWAYS,), MLP),
    Mutant("1: h + (f - f.detach()) and f is inf", rules.birth_changes_nothing, (SUMMED,), POISONED),
    Mutant("1: alpha * f at alpha 0 and f is inf", rules.birth_changes_nothing, (TIMES_ZERO,), POISONED),
    Mutant(
        "1: the body overwrites what the host goes on with",
        rules.birth_changes_nothing,
        ((Seed, "_run", overwrites_what_it_reads),),
        evolve(MLP, body="overwrites_input", site="1"),
    ),
    Mutant("2: the seed reads without detach", rules.isolation_holds, ((Seed, "_run", reads_attached),), MLP),
    Mutant("2: the host's gradient is off by a rounding", rules.isolation_holds, (TRIPLED,), MLP),
    Mutant("2: an inf poisons the host", rules.isolation_holds, (SUMMED,), POISONED),
    Mutant("3: no gradient to the seed", rules.seeds_learn, (STARVED,), evolve(MLP, body="bottleneck_gelu")),
    Mutant("3: a body dead at birth", learns_with(Dead), (), evolve(MLP, site="0")),
    Mutant(
        "3: the seed is not in the optimiser",
        rules.seeds_learn,
        (UNADDED,),
        evolve(MLP, body="bottleneck_gelu"),
    ),
    Mutant("4: (1 - alpha) h + alpha f, then h + f", rules.nothing_jumps, (CONVEX,), MLP),
    Mutant("4: probation adds a little more", rules.nothing_jumps, (SQUARED,), MLP),
    Mutant("4: a late cull cuts at once", rules.nothing_jumps, ((Manager, "_lower_alpha", cuts_at_once),), MLP),
    Mutant("4: the output is steeper than alpha", half, (STEEP,), MLP),
    Mutant("4: (1 - alpha) h + alpha f at any alpha", half, (CONVEX,), MLP),
    Mutant(
        "4: only weights are looked at before blending",
        rules.poison_never_reaches_the_host,
        ((Seed, "finite", property(lambda self: all(bool(p.isfinite().all()) for p in self.parameters()))),),
        POISONED,
    ),
    Mutant("5: h is detached", rules.nothing_freezes, (CUT_OFF, (Seed, "_run", overwrites_what_it_reads)), SPAN),
    Mutant("5: isolated still, with (1 - alpha) h", rules.nothing_freezes, (REPLACED,), MLP),
    Mutant(
        "6: no random numbers of its own",
        rules.early_cull_leaves_no_trace,
        ((RngStream, "own", shared_stream),),
        DROPOUT,
    ),
    Mutant(
        "6: no random numbers of its own, seen at once",
        rules.random_numbers_are_apart,
        ((RngStream, "own", shared_stream),),
        MLP,
    ),
    Mutant(
        "6: random numbers apart in training only",
        rules.random_numbers_are_apart,
        (wrapped(BodyRunner, "try_out", lambda self, body, blueprint: self.draws.discard(False)),),
        evolve(MLP, body="remembers"),
    ),
    Mutant(
        "6: the group stays in the optimiser",
        rules.early_cull_leaves_no_trace,
        (UNREMOVED,),
        MLP,
    ),
    Mutant(
        "6: the group stays after a late cull",
        late(Stage.ACTIVE),
        (UNREMOVED,),
        MLP,
    ),
    Mutant(
        "6: hooks stay after an early cull",
        rules.early_cull_leaves_no_trace,
        ((Manager, "_release", leaves_hooks),),
        MLP,
    ),
    Mutant("6: hooks stay after a late cull", late(Stage.BLENDING), ((Manager, "_release", leaves_hooks),), MLP),
    Mutant("6: alpha never gets to 0", late(Stage.PROBATION), ((Manager, "_lower_alpha", never_lets_go),), MLP),
    Mutant("6: a cut fades", cut_in(Stage.ACTIVE), ((Manager, "cut", Manager.cull),), MLP),
    Mutant(
        "6: a cut leaves the group",
        cut_in(Stage.BLENDING),
        (UNREMOVED,),
        MLP,
    ),
    Mutant("6: a cut leaves hooks", cut_in(Stage.CULLED), ((Manager, "_release", leaves_hooks),), MLP),
    Mutant(
        "7: state is lost",
        rules.optimizer_survives,
        (REBUILT,),
        MLP,
    ),
    Mutant(
        "7: groups are made anew",
        rules.optimizer_survives,
        (CLEARED,),
        MLP,
    ),
    Mutant("8: two events for one change", lives(*OPERATIONS), (wrapped(Manager, "_move", tells_twice),)),
    Mutant("8: no event", lives(*OPERATIONS), ((Manager, "_move", moves_in_silence),)),
    Mutant("8: everything is legal", lives(*BACK), ((manager_module, "LEGAL", legal_everywhere()),)),
    Mutant("8: two seeds at one site", lives(*BACK), ((Manager, "free", lambda self, site: True),)),
    Mutant("8: alpha beyond 1", lives(*OPERATIONS), ((Manager, "_raise_alpha", alpha_beyond_one),)),
    Mutant("8: alpha back and forth", lives(*OPERATIONS), ((Manager, "_raise_alpha", alpha_back_and_forth),)),
    Mutant("8: any ramp is taken", lives(*RAMPED), ((Manager, "_raise_alpha", accepts_any_ramp),)),
    Mutant(
        "8: one step too many",
        partial(lifecycle.stages_last, training=2, blending=3, probation=1),
        ((Manager, "_lower_alpha", never_lets_go),),
        evolve(MLP, body="bare"),
    ),
    Mutant(
        "9: the probe leaves the host in evaluation mode",
        rules.probe_touches_nothing,
        ((probe_module, "untouched", evaluating),),
        DROPOUT,
    ),
    Mutant(
        "9: the probe runs in training mode",
        rules.probe_touches_nothing,
        ((probe_module, "untouched", as_it_is),),
        evolve(MLP, host="batch_norm"),
    ),
    Mutant("9: the probe draws", rules.probe_touches_nothing, ((probe_module, "untouched", as_it_is),), DROPOUT),
    Mutant(
        "9: idle hooks on dormant sites", rules.dormant_is_free, (wrapped(Manager, "__init__", hooks_on_all_sites),)
    ),
    Mutant(
        "9: idle attributes on dormant sites",
        rules.dormant_is_free,
        (wrapped(Manager, "__init__", branches_on_all_sites),),
    ),
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_check_passes_without_the_mutant(mutant: Mutant) -> None:
    if mutant.changes:
        mutant.check(mutant.case)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_check_catches_the_mutant(mutant: Mutant, monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name, value in mutant.changes:
        monkeypatch.setattr(owner, name, value)
    with pytest.raises(AssertionError):
        mutant.check(mutant.case)
