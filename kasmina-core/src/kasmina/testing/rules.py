"""The rules of a seed's life (DESIGN, section 3), each as one check that raises AssertionError where it is broken."""

from __future__ import annotations

import copy
from itertools import pairwise

import torch
from torch import Tensor

from kasmina.growth.seed import Seed
from kasmina.records import Stage
from kasmina.testing.cases import Case
from kasmina.testing.engine_fixture import EngineFixture, attributes, hooks, same, structure, undisturbed

LATE = (Stage.BLENDING, Stage.PROBATION, Stage.ACTIVE)


def birth_changes_nothing(case: Case) -> None:
    world = EngineFixture(case, training=9)
    world.train()
    before, keys = world.outputs(), list(world.host.state_dict())
    seed = world.germinate()
    assert same(world.outputs(), before), "germination changed the output"
    world.train(2)
    incubating = world.outputs()
    with seed.muted():
        assert same(world.outputs(), incubating), "incubation changes the output"
    assert list(world.host.state_dict()) == keys, "germination changed the keys of the host's state_dict"


def isolation_holds(case: Case) -> None:
    with_seed, without = EngineFixture(case, training=9), EngineFixture(case, training=9)
    with_seed.germinate()
    assert same(with_seed.gradients(), without.gradients()), "the host's gradients feel the seed"
    _train(with_seed, 3)
    _train(without, 3)
    assert same(with_seed.losses, without.losses), "losses feel the seed"
    assert same(with_seed.host.state_dict(), without.host.state_dict()), "weights feel the seed"
    for ours, theirs in zip(with_seed.host.parameters(), without.host.parameters(), strict=True):
        assert same(with_seed.optimizer.state[ours], without.optimizer.state[theirs]), "the optimiser feels the seed"


def seeds_learn(case: Case) -> None:
    world = EngineFixture(case, training=9)
    seed = world.germinate()
    learned = set()
    for _ in range(2):
        world.train()
        learned |= {name for name, p in seed.named_parameters() if p.grad is not None and bool(p.grad.any())}
    dead = {name for name, p in seed.named_parameters() if p.requires_grad} - learned
    assert not dead, f"no gradient reached {sorted(dead)} in two steps"


def nothing_jumps(case: Case, culled_in: Stage = Stage.ACTIVE) -> None:
    """From stage to stage with all weights at rest, so that only the seed's own way of blending can move the output."""
    world = EngineFixture(case)
    world.train()
    seed = world.germinate()
    after = _glimpse(world, seed)
    for _ in range(20):
        before = after
        if seed.stage is culled_in and (seed.stage is not Stage.BLENDING or seed.level > 0):
            world.manager.cull(seed)
        elif seed.stage is Stage.PROBATION:
            world.manager.keep(seed)
        else:
            world.manager.after_step()
        after = _glimpse(world, seed)
        assert abs(after.alpha - before.alpha) <= 0.34, "alpha jumps"
        _assert_continuous(before, after)
    assert seed.id not in world.manager.seeds, "the seed is not gone after a cull"


def alpha_is_continuous(case: Case, low: float, high: float) -> None:
    world = EngineFixture(case)
    seed = world.germinate()
    for stage in (Stage.BLENDING, Stage.CULLED):
        if stage is Stage.BLENDING:
            world.grow_to(seed, stage)
        else:
            world.manager.cull(seed)
        glimpses = []
        for level in sorted((0.0, low, high, 1.0)):
            seed.level = level
            glimpses.append(_glimpse(world, seed))
        for before, after in pairwise(glimpses):
            _assert_continuous(before, after)


def poison_never_reaches_the_host(case: Case) -> None:
    world, twin = EngineFixture(case), EngineFixture(case)
    seed = world.germinate()
    _train(world, 4)
    _train(twin, 4)
    assert seed.stage is Stage.CULLED, "a seed that yields inf or NaN was blended in"
    assert same(world.record(), twin.record()), "an inf or NaN reached the host"


def nothing_freezes(case: Case) -> None:
    world = EngineFixture(case)
    world.train()
    had = {name for name, slope in world.gradients().items() if float(slope.abs().max()) > 1e-6}
    seed = world.germinate()
    for stage in (Stage.BLENDING, Stage.PROBATION, Stage.ACTIVE, Stage.CULLED):
        if stage is Stage.CULLED:
            world.manager.cull(seed)
        else:
            world.grow_to(seed, stage)
        has = {name for name, slope in world.gradients().items() if bool(slope.any())}
        assert had <= has, f"{stage}: no gradient reaches {sorted(had - has)}"


def early_cull_leaves_no_trace(case: Case) -> None:
    world = EngineFixture(case, training=9)
    world.train()
    seed = world.germinate()
    world.train(2)
    world.outputs()
    world.manager.cull(seed)
    world.train(2)
    record = world.record()
    twin = EngineFixture(case, training=9)
    twin.train(5)
    assert same(record, twin.record()), "the run is not what it would have been"
    assert hooks(world.host) == hooks(twin.host), "hooks stay on the host"
    assert seed.id not in world.manager.seeds and world.manager.free(case.site), "its site is not free again"


def late_cull_leaves_no_trace(case: Case, stage: Stage) -> None:
    world, bare = EngineFixture(case), EngineFixture(case)
    seed = world.germinate()
    for _ in range(9):
        if seed.stage is stage and seed.level > 0:
            world.manager.cull(seed)
        elif seed.stage is Stage.PROBATION:
            world.manager.keep(seed)
        world.train()
    assert seed.id not in world.manager.seeds, "the fall of alpha has no end"
    assert not hooks(world.host), f"hooks stay on the host: {hooks(world.host)}"
    parameters = set(world.host.parameters())
    alone = len(world.optimizer.param_groups) == 1 and set(world.optimizer.state) <= parameters
    assert alone, "something of the seed stays in the optimiser"
    settings = [list(each.optimizer.state_dict()["param_groups"][0]) for each in (world, bare)]
    assert settings[0] == settings[1], "the settings of the optimiser's group are others"
    bare.host.load_state_dict(world.host.state_dict())
    assert same(world.outputs(), bare.outputs()), "the host does not compute what its weights say"


def cut_leaves_no_trace(case: Case, stage: Stage) -> None:
    """The one change at which the output may jump: the seed is gone at once from wherever it was."""
    world, bare = EngineFixture(case), EngineFixture(case)
    seed = world.germinate()
    if stage is Stage.CULLED:
        world.grow_to(seed, Stage.ACTIVE)
        world.manager.cull(seed)
    elif stage is not Stage.TRAINING:
        world.grow_to(seed, stage)
    world.backward()
    told = len(world.events)
    world.manager.cut(seed, "cut")
    events = [(before, state.stage, state.alpha) for before, state in world.events[told:]]
    assert events == ([] if stage is Stage.CULLED else [(stage, Stage.CULLED, 0.0)]), f"a cut was told as {events}"
    assert seed.id not in world.manager.seeds and world.manager.free(case.site), "its site is not free again"
    assert hooks(world.host) == hooks(bare.host), "hooks stay on the host"
    parameters = {id(p) for p in seed.parameters()}
    enrolled = {id(p) for group in world.optimizer.param_groups for p in group["params"]}
    assert not parameters & (enrolled | set(map(id, world.optimizer.state))), "it stays in the optimiser"
    bare.host.load_state_dict(world.host.state_dict())
    assert same(world.outputs(), bare.outputs()), "the host does not compute what its weights say"
    world.optimizer.step()
    world.train()


def random_numbers_are_apart(case: Case) -> None:
    """In every stage, in training and in evaluation, the host draws what it would draw without the seed."""
    world, twin = EngineFixture(case), EngineFixture(case)
    before = torch.get_rng_state()
    seed = world.germinate()
    assert same(torch.get_rng_state(), before), "building a seed drew from the host's random numbers"
    for moment in range(8):
        if seed.stage is Stage.PROBATION:
            world.manager.keep(seed)
        elif moment == 6:
            world.manager.cull(seed)
        _draw_alike(world, twin)


def optimizer_survives(case: Case) -> None:
    world = EngineFixture(case)
    world.train(2)
    groups, kept = list(world.optimizer.param_groups), copy.deepcopy(world.optimizer.state_dict())
    seed = world.germinate()
    for ours, before in zip(world.optimizer.param_groups, groups, strict=False):
        assert ours is before, "germination replaced a parameter group"
    now = world.optimizer.state_dict()
    assert same(now["state"], kept["state"]), "germination changed the optimiser's state"
    assert same(now["param_groups"][: len(groups)], kept["param_groups"]), "germination changed a group's settings"
    added = [p for group in world.optimizer.param_groups[len(groups) :] for p in group["params"]]
    learning = {id(p) for p in seed.parameters() if p.requires_grad}
    assert {*map(id, added)} == learning, "what joined the optimiser is not what the seed has to learn"
    for group in now["param_groups"]:
        named = "param_names" not in group or len(group["param_names"]) == len(group["params"])
        assert named, "the optimiser has parameters without names"


def dormant_is_free(case: Case) -> None:
    fresh = case.new_host()
    was = structure(fresh), list(fresh.state_dict()), hooks(fresh)
    places = case.places(fresh)
    assert places and (structure(fresh), list(fresh.state_dict()), hooks(fresh)) == was
    world = EngineFixture(case)
    world.train(2)
    assert not hooks(world.host), "a dormant site has a hook"
    assert attributes(world.host) == attributes(fresh), "a dormant site left something on the host"
    before = structure(world.host)
    seed = world.germinate()
    world.manager.cull(seed)
    assert not hooks(world.host), f"hooks stay on the host: {hooks(world.host)}"
    assert structure(world.host) == before, "germination and cull changed what the host is made of"


def probe_touches_nothing(case: Case) -> None:
    host, twin = case.new_host().train(), case.new_host().train()
    list(host.children())[-1].eval(), list(twin.children())[-1].eval()
    was, random = structure(host), torch.get_rng_state()
    case.places(host)
    assert structure(host) == was, "the probe replaced a part"
    assert same(host.state_dict(), twin.state_dict()), "the probe changed a buffer"
    assert [m.training for m in host.modules()] == [m.training for m in twin.modules()], "the probe changed a mode"
    assert same(torch.get_rng_state(), random), "the probe drew random numbers"
    assert not hooks(host)


def every_stage_trains(case: Case) -> None:
    world = EngineFixture(case)
    keys = list(world.host.state_dict())
    seed = world.germinate()
    for _ in range(9):
        world.train()
        assert list(world.host.state_dict()) == keys, "the keys of the host's state_dict changed"
        if seed.stage is Stage.PROBATION:
            world.manager.keep(seed)
        elif seed.stage is Stage.ACTIVE:
            world.manager.cull(seed)
    assert torch.stack(world.losses).isfinite().all(), "a loss is not finite"


def _train(world: EngineFixture, steps: int) -> None:
    torch.manual_seed(3)
    world.train(steps)


def _draw_alike(world: EngineFixture, twin: EngineFixture) -> None:
    drawn = []
    for each in (world, twin):
        torch.manual_seed(11)
        each.train()
        with torch.no_grad():
            each.host.eval()(each.case.batch(0))
            each.host.train()(each.case.batch(0))
        drawn.append(torch.get_rng_state())
    assert same(*drawn), "a seed drew from the host's random numbers"


class _Glimpse:
    """One moment: stage, effective alpha, the tensor at the site, what the body adds, and the host's outputs."""

    def __init__(self, world: EngineFixture, seed: Seed) -> None:
        modes = (False,) if world.case.body.draws else (False, True)
        self.alpha = float(seed.alpha)
        self.outputs = world.outputs(modes)
        self.at_site, self.added = _at_site(world, seed)


def _glimpse(world: EngineFixture, seed: Seed) -> _Glimpse:
    return _Glimpse(world, seed)


def _at_site(world: EngineFixture, seed: Seed) -> tuple[Tensor, Tensor]:
    """What leaves the site in evaluation mode, and what the body makes there of what it reads.

    Of several calls the first, because what later ones read depends on what the first one gave.
    """
    caught: dict[str, Tensor] = {}
    place = seed.place

    def read(module: torch.nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        caught.setdefault("read", place.read(args, kwargs).clone())

    def gave(module: torch.nn.Module, args: tuple[Tensor, ...], output: object) -> None:
        caught.setdefault("gave", place.given(output).clone())

    handles = [place.target.register_forward_hook(gave)]
    if place.source is not None:
        handles.append(place.source.register_forward_pre_hook(read, with_kwargs=True))
    with undisturbed(world.host, world.manager.seeds.values()):
        world.host.eval()(world.case.batch(0))
        left = caught["gave"]
        caught.clear()
        with seed.muted():
            world.host(world.case.batch(0))
        with torch.random.fork_rng():
            added = seed.body.eval()(caught["read" if place.source is not None else "gave"].clone())
        seed.eval()
    for handle in handles:
        handle.remove()
    return left, added


def _assert_continuous(before: _Glimpse, after: _Glimpse) -> None:
    moved = abs(after.alpha - before.alpha)
    if moved == 0:
        for one, other in zip(before.outputs, after.outputs, strict=True):
            assert torch.equal(one, other), "the output jumps where alpha does not move"
    step = (after.at_site.double() - before.at_site.double()).abs()
    grain = 8 * torch.finfo(before.at_site.dtype).eps * (1 + before.at_site.abs() + before.added.abs()).double()
    assert bool((step <= moved * before.added.double().abs() + grain).all()), "the output moves more than alpha does"
