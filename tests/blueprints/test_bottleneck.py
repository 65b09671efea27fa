"""The bottleneck: its shapes, its size, and that it begins by changing nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from kasmina import Site
from kasmina.errors import UsageError
from kasmina.plugins.catalog import find
from kasmina.plugins.drivers import make
from kasmina.records.observation import Kind
from kasmina_blueprints.bottleneck import Bottleneck
from kasmina_blueprints.parts import Activation

WIDTHS = st.integers(1, 9)
LENGTHS = st.integers(1, 6)


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """A site of any kind; time steps and pixels stay, widths change."""
    read, give = draw(WIDTHS), draw(WIDTHS)
    kinds: list[Kind] = ["vector", "sequence", "image"]
    kind = draw(st.sampled_from(kinds))
    if kind == "vector":
        return Site("m", kind, (read,), (give,))
    if kind == "sequence":
        length = draw(LENGTHS)
        return Site("m", kind, (length, read), (length, give))
    height, width = draw(LENGTHS), draw(LENGTHS)
    return Site("m", kind, (read, height, width), (give, height, width))


OPTIONS = st.fixed_dictionaries(
    {"hidden": st.integers(1, 12), "activation": st.sampled_from(["relu", "gelu", "silu", "tanh", "sine"])}
).filter(lambda options: options != {"hidden": 1, "activation": "relu"})


def woken(module: nn.Module) -> nn.Module:
    """The same module with weights that are all different, as they are after a while of training."""
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


@given(sites(), OPTIONS)
@settings(deadline=None)
def test_treats_every_time_step_and_pixel_alike(site: Site, options: dict[str, Any]) -> None:
    """What it gives at one position depends on that position alone, and not on where it is."""
    module = woken(Bottleneck(**options).build(site)).double()
    x = torch.randn(2, *site.in_shape, dtype=torch.double)
    positions: list[int] = {"vector": [], "sequence": [1], "image": [2, 3]}[site.kind]
    assert torch.allclose(module(x).flip(positions), module(x.flip(positions)))


@given(sites(), st.integers(2, 12))
@settings(deadline=None)
def test_the_activation_chosen_stands_between_the_maps(site: Site, hidden: int) -> None:
    x = torch.randn(4, *site.in_shape, dtype=torch.double)
    functions: dict[Activation, Callable[[Tensor], Tensor]] = {
        "relu": torch.relu,
        "gelu": nn.functional.gelu,
        "silu": nn.functional.silu,
        "tanh": torch.tanh,
        "sine": torch.sin,
    }
    for word, function in functions.items():
        module = woken(Bottleneck(hidden=hidden, activation=word).build(site)).double()
        first, *_, last = module.children()
        assert torch.allclose(module(x), last(function(first(x))))


@pytest.mark.parametrize(
    "options",
    [
        {"hidden": 0},
        {"hidden": 1},
        {"hidden": -3},
        {"hidden": 2.5},
        {"hidden": True},
        {"activation": "cosine"},
        {"units": 3},
    ],
    ids=str,
)
def test_options_are_validated_in_one_sentence_that_names_the_place(options: dict[str, Any]) -> None:
    entry = find("blueprint", "bottleneck")
    with pytest.raises(UsageError) as caught:
        make(entry, options)
    (word,) = options
    assert "blueprint" in str(caught.value) and word in str(caught.value) and "\n" not in str(caught.value)
