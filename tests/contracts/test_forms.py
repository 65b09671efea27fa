"""The rules once more where a module is called or answers in some other way than tensor to tensor."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from cases import Case, fits, sites
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from zoo_bodies import BODIES, POISON, SOUND, STEADY

from kasmina.errors import UsageError
from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.recorder import ActivationRecorder, need
from kasmina.growth.sites.find import find_sites
from kasmina.growth.sites.probe import probe
from kasmina.records import Stage
from kasmina.testing import rules
from kasmina.testing.engine_fixture import EngineFixture, same

TUPLES = {"recurrent": "lstm", "cell": "cell", "attending": "attend"}
OFTEN = {"cell": "norm", "shared": "block"}
HOSTS = ("recurrent", "cell", "attending", "shared", "time_first", "by_name", "mixed", "recomputing")
Pair = namedtuple("Pair", ["count", "values"])


@cache
def places_of(body: str) -> list[tuple[str, str]]:
    """Every host and site of it that a blueprint fits."""
    return [(host, name) for host in HOSTS for name, site in sites(host).items() if fits(site, body)]


@st.composite
def forms(draw: st.DrawFn, bodies: tuple[str, ...]) -> Case:
    body = draw(st.sampled_from([body for body in bodies if places_of(body)]))
    host, site = draw(st.sampled_from(places_of(body)))
    dtype = draw(st.sampled_from(["float32", "float64", "bfloat16"]))
    return Case(host=host, site=site, body=body, dtype=dtype, seed=draw(st.integers(0, 99)))


@given(forms(tuple(BODIES)))
def test_birth_changes_nothing(case: Case) -> None:
    rules.birth_changes_nothing(case)


@given(forms(tuple(BODIES)))
def test_isolation_holds(case: Case) -> None:
    rules.isolation_holds(case)


@given(forms(STEADY), st.sampled_from([Stage.TRAINING, *rules.LATE]))
def test_nothing_jumps(case: Case, culled_in: Stage) -> None:
    rules.nothing_jumps(case, culled_in)


@given(forms(tuple(POISON)))
def test_poison_never_reaches_the_host(case: Case) -> None:
    rules.poison_never_reaches_the_host(case)


@given(forms(SOUND))
def test_nothing_freezes(case: Case) -> None:
    rules.nothing_freezes(case)


@given(forms(tuple(BODIES)))
def test_an_early_cull_leaves_no_trace(case: Case) -> None:
    rules.early_cull_leaves_no_trace(case)


@given(forms(SOUND), st.sampled_from(rules.LATE))
def test_a_late_cull_leaves_no_trace(case: Case, stage: Stage) -> None:
    rules.late_cull_leaves_no_trace(case, stage)


@pytest.mark.parametrize(("host", "site"), [*TUPLES.items(), *OFTEN.items()])
def test_an_active_seed_adds_what_its_body_gives_at_every_call(host: str, site: str) -> None:
    world = EngineFixture(Case(host=host, site=site, body="deep"))
    module, seed = world.host.get_submodule(site), world.germinate()
    world.grow_to(seed, Stage.ACTIVE)
    seen: list[tuple[Any, Any]] = []
    with torch.no_grad():
        given_bare: list[Any] = []
        first = module.register_forward_hook(lambda m, a, output: given_bare.append(output), prepend=True)
        last = module.register_forward_hook(lambda m, a, output: seen.append((given_bare[-1], output)))
        world.host.eval()(world.case.batch(0))
        first.remove()
        last.remove()
        assert len(seen) == (3 if host in OFTEN else 1) == world.places[site].calls
        for bare, grown in seen:
            whole = isinstance(bare, Tensor)
            h, *rest = [bare] if whole else bare
            sum_, *passed = [grown] if whole else grown
            assert torch.equal(sum_, h + seed.body(h)) and type(bare) is type(grown)
            assert all(one is other for one, other in zip(rest, passed, strict=True))


class Gives(nn.Module):
    """A linear map, in a wrapping that is given."""

    def __init__(self, wrap: Callable[[Tensor], Any], unwrap: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.inner = Wrapped(wrap)
        self.last = nn.Linear(6, 3)
        self.unwrap = unwrap

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.unwrap(self.inner(x)))
        return y


class Wrapped(nn.Module):
    def __init__(self, wrap: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.map = nn.Linear(6, 6)
        self.wrap = wrap

    def forward(self, x: Tensor) -> Any:
        return self.wrap(self.map(x))


WRAPPINGS: dict[str, tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]] = {
    "tuple": (lambda h: (None, "x", h, 2 * h), lambda out: out[2] + out[3]),
    "named tuple": (lambda h: Pair(3, h), lambda out: out.values * out.count),
    "torch's own": (lambda h: torch.sort(h), lambda out: out.values + out.indices),
}


@pytest.mark.parametrize("name", WRAPPINGS)
def test_tuples_of_any_sort_keep_their_sort(name: str) -> None:
    host, x = Gives(*WRAPPINGS[name]), torch.randn(5, 6)
    before, was = host(x), host.inner(x)
    places = find_sites(host, ["inner"], x[:2])
    manager = Manager(places, torch.optim.SGD(host.parameters(), 0.1), Durations(1, 1, 1))
    seed = manager.germinate("inner", BODIES["deep"], "deep")
    assert same(host(x), before)
    for _ in range(2):
        manager.after_step()
    assert seed.stage is Stage.PROBATION
    assert not torch.equal(host(x), before) and type(host.inner(x)) is type(was)


@pytest.mark.parametrize(
    ("wrap", "unwrap", "parts"),
    [
        (
            lambda h: {"logits": h, "state": h},
            lambda out: out["logits"],
            ["a dict", "'logits', 'state'", "'inner[logits]' or 'inner[state]'"],
        ),
        (lambda h: ([h], 3), lambda out: out[0][0], ["a tuple", "'inner[0][0]'"]),
        (lambda h: lambda: h, lambda out: out(), ["a function", "no tensor"]),
    ],
)
def test_other_outputs_are_refused_with_what_they_are_and_what_to_say(
    wrap: Callable[[Tensor], Any], unwrap: Callable[[Any], Tensor], parts: list[str]
) -> None:
    with pytest.raises(UsageError) as caught:
        find_sites(Gives(wrap, unwrap), ["inner"], torch.randn(2, 6))
    assert [part for part in [*parts, "inner"] if part not in str(caught.value)] == []


@pytest.mark.parametrize(("host", "site"), [*OFTEN.items()])
def test_spans_over_what_is_called_often_are_refused(host: str, site: str) -> None:
    case = Case(host=host)
    with pytest.raises(UsageError, match="is called 3 times in one forward"):
        find_sites(case.new_host(), [f"{site}:{site}"], case.batch(0)[:2])


class Pooling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool1d(2)
        self.last = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.pool(self.pool(x)))
        return y


def test_calls_of_different_shapes_are_refused() -> None:
    with pytest.raises(UsageError, match="pool is called 2 times .* other shapes"):
        find_sites(Pooling(), ["pool"], torch.randn(2, 3, 8))


@pytest.mark.parametrize(("host", "site"), [*TUPLES.items(), *OFTEN.items()])
def test_needs_are_measured_with_each_gradient_beside_its_own_call(host: str, site: str) -> None:
    case = Case(host=host, site=site, dtype="float64")
    net, x = case.new_host(), case.batch(0)
    place = case.places(net)[site]
    watch = ActivationRecorder({site: place})
    watch.start()
    kept: list[Tensor] = []
    handle = place.target.register_forward_hook(lambda m, a, output: kept.append(place.given(output)))
    inputs: list[Tensor] = []
    reading = place.target.register_forward_pre_hook(lambda m, args: inputs.append(args[0].detach()))
    loss = (net(x) - 1).square().mean()
    slopes = torch.autograd.grad(loss, kept, retain_graph=True)
    watch._samples[site].output_grad.clear()
    loss.backward()
    handle.remove()
    reading.remove()

    def rows(parts: list[Tensor]) -> Tensor:
        return torch.cat([part.detach().flatten(0, -2) for part in parts])

    expected = need(rows(kept), rows(inputs), rows([slope * len(slope) for slope in slopes]))
    assert watch.needs() == {site: pytest.approx(expected, rel=1e-9)}
    assert expected > 0


def test_the_probe_sees_every_call() -> None:
    case = Case(host="cell")
    passages = probe(case.new_host(), case.batch(0))
    assert [list(call.gave) for call in passages["cell"].calls] == [[(0,), (1,)]] * 3
