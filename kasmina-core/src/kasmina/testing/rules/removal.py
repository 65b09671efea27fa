"""A seed that is culled or cut leaves no trace."""

from __future__ import annotations

from kasmina.records import Stage
from kasmina.testing.cases import Case
from kasmina.testing.engine_fixture import EngineFixture, hooks, same


def early_cull_leaves_no_trace(case: Case) -> None:
    """Assert that a run whose seed was culled in training equals a run without that seed."""
    engine = EngineFixture(case, training=9)
    engine.train()
    seed = engine.germinate()
    engine.train(2)
    engine.outputs()
    engine.manager.cull(seed)
    engine.train(2)
    record = engine.record()
    twin = EngineFixture(case, training=9)
    twin.train(5)
    assert same(record, twin.record()), "the run is not what it would have been"
    assert hooks(engine.host) == hooks(twin.host), "hooks stay on the host"
    assert seed.id not in engine.manager.seeds and engine.manager.free(case.site), "its site is not free again"


def late_cull_leaves_no_trace(case: Case, stage: Stage) -> None:
    """Assert that a seed culled in this stage leaves neither hooks, parameters nor output behind."""
    engine, bare = EngineFixture(case), EngineFixture(case)
    seed = engine.germinate()
    for _ in range(9):
        if seed.stage is stage and seed.level > 0:
            engine.manager.cull(seed)
        elif seed.stage is Stage.PROBATION:
            engine.manager.keep(seed)
        engine.train()
    assert seed.id not in engine.manager.seeds, "the fall of alpha has no end"
    assert not hooks(engine.host), f"hooks stay on the host: {hooks(engine.host)}"
    parameters = set(engine.host.parameters())
    alone = len(engine.optimizer.param_groups) == 1 and set(engine.optimizer.state) <= parameters
    assert alone, "something of the seed stays in the optimiser"
    settings = [list(each.optimizer.state_dict()["param_groups"][0]) for each in (engine, bare)]
    assert settings[0] == settings[1], "the settings of the optimiser's group are others"
    bare.host.load_state_dict(engine.host.state_dict())
    assert same(engine.outputs(), bare.outputs()), "the host does not compute what its weights say"


def cut_leaves_no_trace(case: Case, stage: Stage) -> None:
    """Assert that a seed that is cut in this stage is gone at once.

    A cut is the only change at which the output may jump.
    """
    engine, bare = EngineFixture(case), EngineFixture(case)
    seed = engine.germinate()
    if stage is Stage.CULLED:
        engine.grow_to(seed, Stage.ACTIVE)
        engine.manager.cull(seed)
    elif stage is not Stage.TRAINING:
        engine.grow_to(seed, stage)
    engine.backward()
    told = len(engine.events)
    engine.manager.cut(seed, "cut")
    events = [(before, state.stage, state.alpha) for before, state in engine.events[told:]]
    assert events == ([] if stage is Stage.CULLED else [(stage, Stage.CULLED, 0.0)]), f"a cut was told as {events}"
    assert seed.id not in engine.manager.seeds and engine.manager.free(case.site), "its site is not free again"
    assert hooks(engine.host) == hooks(bare.host), "hooks stay on the host"
    parameters = {id(p) for p in seed.parameters()}
    enrolled = {id(p) for group in engine.optimizer.param_groups for p in group["params"]}
    assert not parameters & (enrolled | set(map(id, engine.optimizer.state))), "it stays in the optimiser"
    bare.host.load_state_dict(engine.host.state_dict())
    assert same(engine.outputs(), bare.outputs()), "the host does not compute what its weights say"
    engine.optimizer.step()
    engine.train()
