"""A birth changes nothing of the host, and only adds to the optimiser."""

from __future__ import annotations

import copy

from kasmina.testing.cases import Case
from kasmina.testing.engine_fixture import EngineFixture, same


def birth_changes_nothing(case: Case) -> None:
    """Assert that germination and the training of a seed keep the host's output and state_dict, bit for bit."""
    engine = EngineFixture(case, training=9)
    engine.train()
    before, keys = engine.outputs(), list(engine.host.state_dict())
    seed = engine.germinate()
    assert same(engine.outputs(), before), "germination changed the output"
    engine.train(2)
    incubating = engine.outputs()
    with seed.muted():
        assert same(engine.outputs(), incubating), "incubation changes the output"
    assert list(engine.host.state_dict()) == keys, "germination changed the keys of the host's state_dict"


def optimizer_survives(case: Case) -> None:
    """Assert that germination adds to the optimiser and changes nothing that was in it."""
    engine = EngineFixture(case)
    engine.train(2)
    groups, kept = list(engine.optimizer.param_groups), copy.deepcopy(engine.optimizer.state_dict())
    seed = engine.germinate()
    for ours, before in zip(engine.optimizer.param_groups, groups, strict=False):
        assert ours is before, "germination replaced a parameter group"
    now = engine.optimizer.state_dict()
    assert same(now["state"], kept["state"]), "germination changed the optimiser's state"
    assert same(now["param_groups"][: len(groups)], kept["param_groups"]), "germination changed a group's settings"
    added = [p for group in engine.optimizer.param_groups[len(groups) :] for p in group["params"]]
    learning = {id(p) for p in seed.parameters() if p.requires_grad}
    assert {*map(id, added)} == learning, "what joined the optimiser is not what the seed has to learn"
    for group in now["param_groups"]:
        named = "param_names" not in group or len(group["param_names"]) == len(group["params"])
        assert named, "the optimiser has parameters without names"
