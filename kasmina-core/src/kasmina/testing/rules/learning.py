"""Seeds and hosts learn in every stage."""

from __future__ import annotations

import torch

from kasmina.records import Stage
from kasmina.testing.cases import Case
from kasmina.testing.engine_fixture import EngineFixture


def seeds_learn(case: Case) -> None:
    """Assert that every parameter of a seed gets a gradient within two steps."""
    engine = EngineFixture(case, training=9)
    seed = engine.germinate()
    learned = set()
    for _ in range(2):
        engine.train()
        learned |= {name for name, p in seed.named_parameters() if p.grad is not None and bool(p.grad.any())}
    dead = {name for name, p in seed.named_parameters() if p.requires_grad} - learned
    assert not dead, f"no gradient reached {sorted(dead)} in two steps"


def nothing_freezes(case: Case) -> None:
    """Assert that the host's parameters get gradients in every stage in which the seed adds to the output."""
    engine = EngineFixture(case)
    engine.train()
    had = {name for name, slope in engine.gradients().items() if float(slope.abs().max()) > 1e-6}
    seed = engine.germinate()
    for stage in (Stage.BLENDING, Stage.PROBATION, Stage.ACTIVE, Stage.CULLED):
        if stage is Stage.CULLED:
            engine.manager.cull(seed)
        else:
            engine.grow_to(seed, stage)
        has = {name for name, slope in engine.gradients().items() if bool(slope.any())}
        assert had <= has, f"{stage}: no gradient reaches {sorted(had - has)}"


def every_stage_trains(case: Case) -> None:
    """Assert that losses are finite, and the keys of the host's state_dict the same, from birth to cull."""
    engine = EngineFixture(case)
    keys = list(engine.host.state_dict())
    seed = engine.germinate()
    for _ in range(9):
        engine.train()
        assert list(engine.host.state_dict()) == keys, "the keys of the host's state_dict changed"
        if seed.stage is Stage.PROBATION:
            engine.manager.keep(seed)
        elif seed.stage is Stage.ACTIVE:
            engine.manager.cull(seed)
    assert torch.stack(engine.losses).isfinite().all(), "a loss is not finite"
