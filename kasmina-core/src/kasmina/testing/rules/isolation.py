"""A seed in training is apart from its host: gradients, random numbers, and numbers that are none."""

from __future__ import annotations

import torch

from kasmina.records import Stage
from kasmina.testing.cases import Case
from kasmina.testing.engine_fixture import EngineFixture, same


def isolation_holds(case: Case) -> None:
    """Assert that a host learns the same with a seed in training as without one."""
    with_seed, without = EngineFixture(case, training=9), EngineFixture(case, training=9)
    with_seed.germinate()
    assert same(with_seed.gradients(), without.gradients()), "the host's gradients depend on the seed"
    _train_from_one_seed(with_seed, 3)
    _train_from_one_seed(without, 3)
    assert same(with_seed.losses, without.losses), "losses depend on the seed"
    assert same(with_seed.host.state_dict(), without.host.state_dict()), "weights depend on the seed"
    for ours, theirs in zip(with_seed.host.parameters(), without.host.parameters(), strict=True):
        assert same(
            with_seed.optimizer.state[ours], without.optimizer.state[theirs]
        ), "the optimiser depends on the seed"


def random_numbers_are_apart(case: Case) -> None:
    """Assert that in every stage, in training and in evaluation, the host draws what it would draw without the seed."""
    engine, twin = EngineFixture(case), EngineFixture(case)
    before = torch.get_rng_state()
    seed = engine.germinate()
    assert same(torch.get_rng_state(), before), "building a seed drew from the host's random numbers"
    for moment in range(8):
        if seed.stage is Stage.PROBATION:
            engine.manager.keep(seed)
        elif moment == 6:
            engine.manager.cull(seed)
        _draw_alike(engine, twin)


def poison_never_reaches_the_host(case: Case) -> None:
    """Assert that a seed whose body yields inf or NaN is culled, and that the host never sees it."""
    engine, twin = EngineFixture(case), EngineFixture(case)
    seed = engine.germinate()
    _train_from_one_seed(engine, 4)
    _train_from_one_seed(twin, 4)
    assert seed.stage is Stage.CULLED, "a seed that yields inf or NaN was blended in"
    assert same(engine.record(), twin.record()), "an inf or NaN reached the host"


def _draw_alike(engine: EngineFixture, twin: EngineFixture) -> None:
    drawn = []
    for each in (engine, twin):
        torch.manual_seed(11)
        each.train()
        with torch.no_grad():
            each.host.eval()(each.case.batch(0))
            each.host.train()(each.case.batch(0))
        drawn.append(torch.get_rng_state())
    assert same(*drawn), "a seed drew from the host's random numbers"


def _train_from_one_seed(engine: EngineFixture, steps: int) -> None:
    torch.manual_seed(3)
    engine.train(steps)
