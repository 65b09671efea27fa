"""A grown host, exported: the same numbers, from torch's own modules alone, with seeds folded where that is exact."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, Literal

import pytest
import torch
from attrs import frozen
from cases import Case, cases, fits, sites
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from zoo_bodies import BODIES, BUILT_IN, STEADY
from zoo_hosts import HOSTS

from kasmina.growth.export import fold as fold_module
from kasmina.growth.export import graph, linear, normalize, plain, tracer
from kasmina.growth.export.plain import Plain, distance
from kasmina.growth.manager import Manager
from kasmina.growth.recipe import Durations
from kasmina.growth.seed import Seed
from kasmina.growth.sites.find import find_sites
from kasmina.records import Stage
from kasmina.testing.engine_fixture import hooks, same, structure
from kasmina_blueprints.bottleneck import Bottleneck
from kasmina_blueprints.conv import Conv
from kasmina_blueprints.lora import Lora
from kasmina_blueprints.neurons import Neurons

EXPORTED = (Stage.TRAINING, Stage.BLENDING, Stage.PROBATION, Stage.ACTIVE)


def grown(host: nn.Module, x: Tensor, seeds: Sequence[tuple[str, Any, Stage]], random: int) -> list[Seed]:
    """The host with these seeds (site, build, stage), with weights that make them heard."""
    optimizer = torch.optim.SGD(host.parameters(), 0.01)
    sites = dict.fromkeys(site for site, _, _ in seeds)
    manager = Manager(find_sites(host, list(sites), x[:2]), optimizer, Durations(1, 3, 1), seed=random)
    torch.manual_seed(random)
    for site, build, stage in seeds:
        if manager.free(site):
            seed = manager.germinate(site, build, "body")
            for parameter in seed.parameters():
                nn.init.normal_(parameter, 0, 0.3)
            while seed.stage is not stage or (stage is Stage.BLENDING and seed.level == 0):
                manager.keep(seed) if seed.stage is Stage.PROBATION else manager.after_step()
    host.eval()
    return list(manager.seeds.values())


def check(host: nn.Module, seeds: list[Seed], x: Tensor) -> Plain:
    """What holds of every export; gives the folded one."""
    was = structure(host), hooks(host), [tensor.clone() for tensor in host.state_dict().values()]
    exact, folded = (plain.plain(host, seeds, x, folding) for folding in (False, True))
    assert structure(host) == was[0] and hooks(host) == was[1], "the export changed the host"
    assert same(list(host.state_dict().values()), was[2]), "the export changed the host's weights"
    # What is folded in a coarse type is off by more than the fine type of the rest allows: then it stays as it grew.
    coarse = len({parameter.dtype for parameter in host.parameters()}) > 1 and "would be off" in folded.unfolded_because
    for result in (exact, folded):
        assert not result.live and (coarse or not result.unfolded_because), result.unfolded_because
        assert {type(part).__module__.partition(".")[0] for part in result.module.modules()} == {"torch"}
        torch.save(result.module, file := io.BytesIO())
        assert b"kasmina" not in file.getvalue(), "something of Kasmina's is in the file"
    for rows in (x, x[:1], torch.cat([x, x])):
        for learning in (False, True):
            with torch.set_grad_enabled(learning):
                assert torch.equal(exact.module(rows.clone()), host(rows.clone())), "not equal to the bit"
        assert distance(folded.module, host, rows) <= plain.tolerance(x.dtype), "folding changes the function"
    return folded


@given(cases(STEADY, elders=True), st.sampled_from(EXPORTED))
def test_every_host_with_every_seed_in_every_stage(case: Case, stage: Stage) -> None:
    host, x = case.new_host(), case.batch(0)
    elder = [(case.elder, BODIES["fits_anything"], Stage.ACTIVE)] if case.elder else []
    check(host, grown(host, x, [*elder, (case.site, case.body.build, stage)], case.seed), x)


@pytest.mark.parametrize("body", BUILT_IN)
@pytest.mark.parametrize("name", HOSTS)
def test_every_host_with_every_built_in(name: str, body: str) -> None:
    """At two of the sites that the blueprint fits, both at once."""
    places = [site for site, place in sites(name).items() if fits(place, body)]
    chosen = places[:: max(1, len(places) // 2)][:2]
    case = Case(host=name, dtype="float64")
    host, x = case.new_host(), case.batch(0)
    check(host, grown(host, x, [(site, BODIES[body], Stage.ACTIVE) for site in chosen], 1), x)


# -- folding -----------------------------------------------------------------------------------------------------------

Activation = Literal["relu", "gelu", "silu", "tanh"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


@st.composite
def hosts(draw: st.DrawFn) -> tuple[nn.Module, Tensor, Activation]:
    """Chains of layers, of one activation, over vectors, sequences or images."""
    activation = draw(st.sampled_from(list(ACTIVATIONS)))
    width = st.integers(1, 5)
    image = draw(st.booleans())
    read = first = draw(width)
    parts: list[nn.Module] = []
    for _ in range(draw(st.integers(1, 4))):
        give, bias = draw(width), draw(st.booleans())
        parts.append(nn.Conv2d(read, give, 3, 1, 1, bias=bias) if image else nn.Linear(read, give, bias))
        kind = draw(st.sampled_from([ACTIVATIONS[activation], ACTIVATIONS[activation], nn.Identity, nn.Dropout]))
        inplace = {"inplace": True} if kind in (nn.ReLU, nn.SiLU, nn.Dropout) and draw(st.booleans()) else {}
        parts.append(kind(**inplace))
        read = give
    shape = (first, 3, 3) if image else draw(st.sampled_from([(first,), (2, first)]))
    host = nn.Sequential(*parts).to(draw(st.sampled_from([torch.float32, torch.float64])))
    for parameter in host.parameters():
        nn.init.normal_(parameter)
    return host, torch.randn(6, *shape).to(next(host.parameters()).dtype), activation


@given(st.data(), st.integers(0, 99))
def test_folding_keeps_the_function(data: st.DataObject, random: int) -> None:
    torch.manual_seed(random)
    host, x, activation = data.draw(hosts())
    bodies: dict[str, Any] = {
        "neurons": Neurons(hidden=2, activation=activation),
        "bottleneck": Bottleneck(hidden=3, activation=activation),
        "conv": Conv(hidden=2, activation=activation),
        "lora": Lora(rank=1),
    }
    found = find_sites(host, ["*", "*:*"], x[:2])
    seeds = []
    for _ in range(data.draw(st.integers(1, 4))):
        body = data.draw(st.sampled_from(list(bodies)))
        fitting = [name for name, place in found.items() if bodies[body].fits(place.site) is None]
        if fitting:
            stage = data.draw(st.sampled_from(EXPORTED[1:]))
            seeds.append((data.draw(st.sampled_from(fitting)), bodies[body].build, stage))
    check(host, grown(host, x, seeds, random), x)


def mlp(activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), activation(), nn.Linear(6, 5), nn.Dropout(), activation(), nn.Linear(5, 3))


def cnn() -> nn.Module:
    inner = nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 1, bias=False)
    return nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), *inner, nn.Flatten(), nn.Linear(27, 2))


def linear_seed(site: Any) -> nn.Module:
    if site.kind == "image":
        return nn.Conv2d(site.in_features, site.out_features, 1)
    return nn.Linear(site.in_features, site.out_features)


@frozen
class Folds:
    """A host and seeds of which nothing must be left but layers of these shapes."""

    host: Callable[[], nn.Module]
    seeds: tuple[tuple[str, Any], ...]
    widths: Sequence[tuple[int, ...]]
    in_shape: tuple[int, ...] = (4,)


RELU, TANH = Neurons(hidden=3).build, Neurons(hidden=3, activation="tanh").build
PLAIN = [(6, 4), (5, 6), (3, 5)]
FOLDS = {
    "neurons make a layer wider": Folds(mlp, (("0:2", RELU),), [(9, 4), (5, 9), (3, 5)]),
    "of two layers": Folds(mlp, (("0:2", RELU), ("2:5", RELU)), [(9, 4), (8, 9), (3, 8)]),
    "several at one place": Folds(mlp, (("0:2", RELU), ("0:2", RELU), ("0:2", RELU)), [(15, 4), (5, 15), (3, 5)]),
    "of tokens": Folds(mlp, (("0:2", RELU),), [(9, 4), (5, 9), (3, 5)], (7, 4)),
    "in place": Folds(lambda: mlp(lambda: nn.ReLU(inplace=True)), (("0:2", RELU),), [(9, 4), (5, 9), (3, 5)]),
    "of tanh": Folds(lambda: mlp(nn.Tanh), (("2:5", TANH),), [(6, 4), (8, 6), (3, 8)]),
    "a low rank after a layer": Folds(mlp, (("0", Lora(rank=2).build),), PLAIN),
    "around a layer": Folds(mlp, (("2:2", Lora(rank=2).build),), PLAIN),
    "both, and again": Folds(mlp, (("2:2", Lora().build), ("2", Lora().build), ("2", Lora().build)), PLAIN),
    "before the layer behind": Folds(mlp, (("2:3", Lora().build),), PLAIN),
    "a linear map": Folds(mlp, (("5", linear_seed),), PLAIN),
    "a low rank within a wider layer": Folds(mlp, (("2:2", Lora().build), ("0:2", RELU)), [(9, 4), (5, 9), (3, 5)]),
    "channels": Folds(
        cnn,
        (("1:3", Conv(hidden=2, activation="tanh").build),),
        [(3, 2, 3, 3), (6, 3, 3, 3), (3, 6, 1, 1), (2, 27)],
        (2, 3, 3),
    ),
    "a linear map of channels after a convolution": Folds(
        cnn, (("0", Lora().build), ("1:1", linear_seed)), [(3, 2, 3, 3), (4, 3, 3, 3), (3, 4, 1, 1), (2, 27)], (2, 3, 3)
    ),
}


@pytest.mark.parametrize("name", FOLDS)
def test_what_folds_leaves_the_layers_of_a_plain_network(name: str) -> None:
    case = FOLDS[name]
    torch.manual_seed(1)
    host = case.host()
    x = torch.randn(8, *case.in_shape)
    seeds = grown(host, x, [(site, build, Stage.ACTIVE) for site, build in case.seeds], 1)
    assert len(seeds) == len(case.seeds)
    result = check(host, seeds, x)
    shapes = [tuple(p.shape) for name, p in result.module.named_parameters() if name.endswith("weight")]
    assert shapes == case.widths
    assert result.folded == {seed.id for seed in seeds}
    assert isinstance(result.module, nn.Sequential), "a chain of layers is to be one"


def test_a_branch_of_two_seeds_past_the_host_becomes_one() -> None:
    host, x = mlp(), torch.randn(8, 4)
    result = check(host, grown(host, x, [("0:5", RELU, Stage.ACTIVE)] * 2, 1), x)
    shapes = sorted(tuple(p.shape) for p in result.module.parameters() if p.dim() > 1)
    assert shapes == sorted([*PLAIN, (6, 4), (3, 6)])


def test_weights_that_are_tied_stay_tied() -> None:
    host, x = HOSTS["tied"].make(), torch.randn(8, 6)
    result = check(host, grown(host, x, [("decode", linear_seed, Stage.ACTIVE)], 1), x)
    assert not result.folded
    assert len({id(parameter) for parameter in result.module.parameters()}) == len(list(host.parameters())) + 2


# -- what a broken copy does -------------------------------------------------------------------------------------------


def forgets_the_bias(layers: Sequence[Any]) -> Any:
    return linear.made(layers[0], torch.cat([layer.weight for layer in layers], 1), layers[0].bias)


def shuffles(layers: Sequence[Any]) -> Any:
    return linear.made(layers[0], torch.cat([layer.weight for layer in layers[::-1]]), None)


def any_layer(node: Any) -> Any:
    module = graph.module_of(node)
    return module if module is not None and linear.is_layer(module) else None


class TwiceCalled(nn.Module):
    """A layer that is called twice, around one of which a seed stands."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.act = nn.Linear(4, 4), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.map(self.act(self.map(x)))
        return y


class ReadLater(nn.Module):
    """Reads what is overwritten, after it was overwritten."""

    def __init__(self) -> None:
        super().__init__()
        self.map, self.back = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = self.map(x)
        torch.relu_(h)
        y: Tensor = self.back(h) + h
        return y


def wide(site: Any) -> nn.Module:
    """Like `neurons`, with a bias at its end too."""
    return nn.Sequential(nn.Linear(site.in_features, 3), nn.ReLU(), nn.Linear(3, site.out_features))


Change = tuple[Any, str, Any]
MUTANTS: dict[str, tuple[list[Change], Callable[[], nn.Module], str, Any]] = {
    "a bias is lost": ([(linear, "abreast", forgets_the_bias)], mlp, "0:2", wide),
    "rows in another order": ([(linear, "stacked", shuffles)], mlp, "0:2", RELU),
    "any two activations are one": ([(fold_module, "activation", lambda node: "any")], mlp, "0:2", TANH),
    "a layer that is called twice is changed": (
        [(fold_module, "own_layer", any_layer)],
        TwiceCalled,
        "map",
        Lora().build,
    ),
    "what is read later is read before": (
        [(normalize, "_rewired", lambda *_: None)],
        ReadLater,
        "map:map",
        Lora().build,
    ),
    "alpha is taken for 1": ([(linear, "scaled", lambda layer, factor: layer)], mlp, "0:2", wide),
    "seeds are left out": ([(tracer.Tracer, "own_hooks", lambda self, hooks: [])], mlp, "0:2", wide),
}


def check_mutant(host: nn.Module, site: str, build: Any) -> None:
    x = torch.randn(8, 4)
    check(host, grown(host, x, [(site, build, Stage.BLENDING)], 1), x)


@pytest.mark.parametrize("name", MUTANTS)
def test_the_checks_catch_a_broken_copy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, host, site, build = MUTANTS[name]
    check_mutant(host(), site, build)
    for owner, attribute, value in changes:
        monkeypatch.setattr(owner, attribute, value)
    with pytest.raises(AssertionError):
        check_mutant(host(), site, build)
