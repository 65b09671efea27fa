"""A site without a seed costs nothing, and finding sites changes nothing."""

from __future__ import annotations

import torch

from kasmina.testing.cases import Case
from kasmina.testing.engine_fixture import EngineFixture, attributes, hooks, same, structure


def dormant_is_free(case: Case) -> None:
    """Assert that neither a dormant site nor a seed that is gone leaves anything on the host."""
    fresh = case.new_host()
    was = structure(fresh), list(fresh.state_dict()), hooks(fresh)
    places = case.places(fresh)
    assert places and (structure(fresh), list(fresh.state_dict()), hooks(fresh)) == was
    engine = EngineFixture(case)
    engine.train(2)
    assert not hooks(engine.host), "a dormant site has a hook"
    assert attributes(engine.host) == attributes(fresh), "a dormant site left something on the host"
    before = structure(engine.host)
    seed = engine.germinate()
    engine.manager.cull(seed)
    assert not hooks(engine.host), f"hooks stay on the host: {hooks(engine.host)}"
    assert structure(engine.host) == before, "germination and cull changed what the host is made of"


def probe_touches_nothing(case: Case) -> None:
    """Assert that finding sites changes neither the host nor the random numbers."""
    host, twin = case.new_host().train(), case.new_host().train()
    list(host.children())[-1].eval(), list(twin.children())[-1].eval()
    was, random = structure(host), torch.get_rng_state()
    case.places(host)
    assert structure(host) == was, "the probe replaced a part"
    assert same(host.state_dict(), twin.state_dict()), "the probe changed a buffer"
    assert [m.training for m in host.modules()] == [m.training for m in twin.modules()], "the probe changed a mode"
    assert same(torch.get_rng_state(), random), "the probe drew random numbers"
    assert not hooks(host)
