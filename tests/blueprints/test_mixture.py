"""The mixture: what each member's share is, who is left out, and who is refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from torch import nn

from kasmina import Site
from kasmina.errors import UsageError
from kasmina.plugins.catalog import find
from kasmina.plugins.drivers import make
from kasmina.plugins.plugin_state import has_state, load_state, state_of
from kasmina.records.observation import Kind
from kasmina_blueprints.bottleneck import Bottleneck
from kasmina_blueprints.lora import Lora
from kasmina_blueprints.mixture import Mixture
from kasmina_blueprints.modules import Mixed

VECTOR, SEQUENCE = Site("m", "vector", (4,), (4,)), Site("m", "sequence", (3, 4), (3, 4))
IMAGE = Site("m", "image", (4, 5, 6), (4, 5, 6))
ALL: dict[Kind, Site] = {"vector": VECTOR, "sequence": SEQUENCE, "image": IMAGE}


def built(members: tuple[str, ...], site: Site) -> Mixed:
    module = Mixture(members).build(site)
    assert isinstance(module, Mixed)
    return module


def wake(module: nn.Module) -> None:
    for parameter in module.parameters():
        nn.init.normal_(parameter)


def reached(module: nn.Module) -> bool:
    """Whether each of its parameters has a gradient that is not all zeros."""
    return all(parameter.grad is not None and bool(parameter.grad.any()) for parameter in module.parameters())


@pytest.mark.parametrize("kind", ALL)
def test_each_member_has_its_share_at_every_position(kind: Kind) -> None:
    site, x = ALL[kind], torch.randn(7, *ALL[kind].in_shape)
    module = built(("bottleneck", "glu", "lora"), site)
    wake(module)
    axis = 1 if kind == "image" else -1
    shares = module.gate(x).exp() / module.gate(x).exp().sum(axis, keepdim=True)
    parts = [shares.select(axis, i).unsqueeze(axis) * member(x) for i, member in enumerate(module.members)]
    assert torch.allclose(module(x), torch.stack(parts).sum(0), atol=1e-5)


def test_shares_are_equal_at_birth() -> None:
    module = built(Mixture().members, VECTOR)
    assert not any(parameter.any() for parameter in module.gate.parameters())


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("members", [("bottleneck", "glu"), ("lora", "lora"), ("lora", "bottleneck", "conv")])
def test_the_gate_learns_though_all_members_give_nothing_at_birth(
    kind: Kind, seed: int, members: tuple[str, ...]
) -> None:
    torch.manual_seed(seed)
    site = ALL[kind]
    module = built(members, site)
    x, wished = torch.randn(8, *site.in_shape), torch.randn(8, *site.out_shape)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    for _ in range(2):
        optimizer.zero_grad()
        (module(x) - wished).square().mean().backward()
        optimizer.step()
    assert reached(module)


def test_members_that_do_not_fit_are_left_out_and_one_alone_has_no_gate() -> None:
    some = ("attention", "lora", "conv")
    over_time = [type(member).__name__ for member in built(some, SEQUENCE).members]
    assert over_time == ["SelfAttention", "Sequential", "OverTime"]
    assert len(built(some, IMAGE).members) == 2
    alone = Mixture(some).build(VECTOR)
    assert [p.shape for p in alone.parameters()] == [p.shape for p in Lora().build(VECTOR).parameters()]


def test_where_no_member_fits_it_says_of_each_why() -> None:
    blueprint = Mixture(("attention", "conv", "attention"))
    assert blueprint.fits(VECTOR) == (
        "mixture has no member that fits: attention needs a sequence, and the site is a vector and conv needs an image "
        "or a sequence, and the site is a vector"
    )
    with pytest.raises(ValueError, match="no member that fits"):
        blueprint.build(VECTOR)


@pytest.mark.parametrize(
    ("members", "what"),
    [
        (["mixture", "lora"], "'members' must be other blueprints, and a mixture is no part of itself"),
        (["kasmina-blueprints:mixture"], "'members' must be other blueprints"),
        (["lora", "gluu"], "no blueprint is called 'gluu'; did you mean glu?"),
        ([], "'members'"),
        ("lora", "blueprint.members: takes a tuple of str, not 'lora'"),
        ([3], "blueprint.members[0]: takes str, not 3"),
    ],
    ids=str,
)
def test_members_are_checked_in_one_sentence(members: Any, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        make(find("blueprint", "mixture"), {"members": members})
    assert what in str(caught.value) and "\n" not in str(caught.value)


STRANGERS = """
import attrs
from torch import nn

@attrs.define(eq=False)
class Greedy:
    'Overwrites what it reads, and fits everything.'
    def build(self, site):
        return nn.Sequential(nn.LeakyReLU(inplace=True), nn.Linear(site.in_features, site.out_features))

@attrs.define(eq=False)
class Short:
    'Gives one number, which a sum would spread over all.'
    def build(self, site):
        return nn.Linear(site.in_features, 1)
"""


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with two blueprints, on the module path as an installed one is."""
    (tmp_path / "strangers.py").write_text(STRANGERS)
    info = tmp_path / "strangers-0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[kasmina.blueprints]\ngreedy = strangers:Greedy\nshort = strangers:Short\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("strangers", None)


def test_a_strangers_module_that_overwrites_what_it_reads_takes_nothing_from_the_others(strangers: None) -> None:
    module, x = built(("greedy", "strangers:greedy", "lora"), VECTOR), torch.randn(5, 4)
    wake(module)
    before = x.clone()
    shares = module.gate(x).softmax(-1)
    first, second, lora = (member(x.clone()) for member in module.members)
    given = module(x)
    assert torch.equal(x, before)
    assert torch.allclose(given, shares[:, :1] * first + shares[:, 1:2] * second + shares[:, 2:] * lora)
    given.sum().backward()
    assert reached(module)


def test_a_strangers_module_that_gives_another_shape_is_named(strangers: None) -> None:
    with pytest.raises(ValueError, match=r"its member 'short' gives \(2, 1\), due is \(2, 4\)"):
        Mixture(("lora", "short")).build(VECTOR)


def test_it_remembers_what_its_members_remember() -> None:
    """The installed ones remember nothing, so a run with a mixture can be resumed."""

    @attrs.define(eq=False)
    class Counting(Bottleneck):
        _built: int = attrs.field(init=False, default=0)

    one, other = Mixture(), Mixture()
    assert has_state("blueprint", one) and state_of(one) == {}
    for mixture in (one, other):
        mixture._made = (Counting(), mixture._made[1])
    one._made[0]._built = 3
    load_state(other, state_of(one))
    assert other._made[0]._built == 3
