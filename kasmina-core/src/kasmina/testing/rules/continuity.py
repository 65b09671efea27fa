"""The output moves with alpha, and no more than alpha."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from kasmina.growth.seed import Seed
from kasmina.records import Stage
from kasmina.testing.cases import Case
from kasmina.testing.engine_fixture import EngineFixture, undisturbed


def nothing_jumps(case: Case, culled_in: Stage = Stage.ACTIVE) -> None:
    """Assert that the output moves no more than alpha does, from stage to stage.

    The weights rest, so that only the blending can move the output.
    """
    engine = EngineFixture(case)
    engine.train()
    seed = engine.germinate()
    after = Moment(engine, seed)
    for _ in range(20):
        before = after
        if seed.stage is culled_in and (seed.stage is not Stage.BLENDING or seed.level > 0):
            engine.manager.cull(seed)
        elif seed.stage is Stage.PROBATION:
            engine.manager.keep(seed)
        else:
            engine.manager.after_step()
        after = Moment(engine, seed)
        assert abs(after.alpha - before.alpha) <= 0.34, "alpha jumps"
        _assert_continuous(before, after)
    assert seed.id not in engine.manager.seeds, "the seed is not gone after a cull"


def alpha_is_continuous(case: Case, low: float, high: float) -> None:
    """Assert that the output moves no more than alpha does, between 0, `low`, `high` and 1."""
    engine = EngineFixture(case)
    seed = engine.germinate()
    for stage in (Stage.BLENDING, Stage.CULLED):
        if stage is Stage.BLENDING:
            engine.grow_to(seed, stage)
        else:
            engine.manager.cull(seed)
        moments = []
        for level in sorted((0.0, low, high, 1.0)):
            seed.level = level
            moments.append(Moment(engine, seed))
        for before, after in pairwise(moments):
            _assert_continuous(before, after)


class Moment:
    """One moment of a host with a seed: alpha, the tensor at the site, what the body adds, and the host's outputs."""

    def __init__(self, engine: EngineFixture, seed: Seed) -> None:
        modes = (False,) if engine.case.body.draws else (False, True)
        self.alpha = float(seed.alpha)
        self.outputs = engine.outputs(modes)
        self.at_site, self.added = _at_site(engine, seed)


def _at_site(engine: EngineFixture, seed: Seed) -> tuple[Tensor, Tensor]:
    """Return the tensor that leaves the site in evaluation mode, and what the body makes of its input there.

    Of several calls the first counts, because what later ones read depends on what the first one gave.
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
    with undisturbed(engine.host, engine.manager.seeds.values()):
        engine.host.eval()(engine.case.batch(0))
        left = caught["gave"]
        caught.clear()
        with seed.muted():
            engine.host(engine.case.batch(0))
        with torch.random.fork_rng():
            added = seed.body.eval()(caught["read" if place.source is not None else "gave"].clone())
        seed.eval()
    for handle in handles:
        handle.remove()
    return left, added


def _assert_continuous(before: Moment, after: Moment) -> None:
    moved = abs(after.alpha - before.alpha)
    if moved == 0:
        for one, other in zip(before.outputs, after.outputs, strict=True):
            assert torch.equal(one, other), "the output jumps where alpha does not move"
    step = (after.at_site.double() - before.at_site.double()).abs()
    grain = 8 * torch.finfo(before.at_site.dtype).eps * (1 + before.at_site.abs() + before.added.abs()).double()
    assert bool((step <= moved * before.added.double().abs() + grain).all()), "the output moves more than alpha does"
