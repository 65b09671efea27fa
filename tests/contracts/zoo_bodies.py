"""Blueprints of many kinds: the built-in ones with options, and strange ones that a plugin may bring along."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from kasmina import Site
from kasmina.growth.sites.find import Build
from kasmina.testing.engine_fixture import anywhere
from kasmina_blueprints.attention import Attention
from kasmina_blueprints.bottleneck import Bottleneck
from kasmina_blueprints.conv import Conv
from kasmina_blueprints.depthwise import Depthwise
from kasmina_blueprints.glu import GLU
from kasmina_blueprints.lora import Lora
from kasmina_blueprints.mixture import Mixture
from kasmina_blueprints.neurons import Neurons
from kasmina_blueprints.norm_mlp import NormMLP
from kasmina_blueprints.squeeze_excite import SqueezeExcite

HIDDEN = 5


def linear(site: Site, width_in: int, width_out: int) -> nn.Module:
    return nn.Conv2d(width_in, width_out, 1) if site.kind == "image" else nn.Linear(width_in, width_out)


def around(*inner: nn.Module, before: tuple[nn.Module, ...] = ()) -> Build:
    """A map in, what is given, a map out."""

    def build(site: Site) -> nn.Module:
        ends = linear(site, site.in_features, HIDDEN), linear(site, HIDDEN, site.out_features)
        return nn.Sequential(*before, ends[0], *inner, ends[1])

    return build


def norm(site: Site) -> nn.Module:
    if site.kind == "image":
        return nn.Sequential(nn.BatchNorm2d(site.in_features), linear(site, site.in_features, site.out_features))
    flat = nn.Sequential(
        nn.Flatten(0, -2), nn.BatchNorm1d(site.in_features), nn.Unflatten(0, (-1, *site.in_shape[:-1]))
    )
    return nn.Sequential(flat, linear(site, site.in_features, site.out_features), nn.Tanh())


class Yields(nn.Module):
    """Adds one value to every number of a linear map."""

    def __init__(self, site: Site, value: float) -> None:
        super().__init__()
        self.map = linear(site, site.in_features, site.out_features)
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.map(x) + self.value
        return y


class Bare(nn.Module):
    """Has no parameters: the mean of what it reads, at every output."""

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.axis = 1 if site.kind == "image" else -1
        self.width = site.out_features

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.tanh().mean(self.axis, keepdim=True)] * self.width, self.axis)


class Remembers(nn.Module):
    """Keeps a running number in a buffer, and draws noise in evaluation mode too."""

    seen: Tensor

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.map = linear(site, site.in_features, site.out_features)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.seen += 1
        y: Tensor = self.map(x) + 0.01 * torch.randn_like(self.map(x))
        return y


BLUEPRINTS: dict[str, Any] = {
    **{f"bottleneck_{act}": Bottleneck(hidden=8, activation=act) for act in ("relu", "gelu", "silu", "tanh", "sine")},
    "bottleneck_1": Bottleneck(hidden=1, activation="gelu"),
    "bottleneck_2": Bottleneck(hidden=2, activation="relu"),
    "neurons": Neurons(hidden=2),
    "lora": Lora(rank=1),
    "glu": GLU(hidden=1),
    "norm_mlp": NormMLP(hidden=3),
    "conv": Conv(hidden=2),
    "depthwise": Depthwise(),
    "squeeze_excite": SqueezeExcite(hidden=1),
    "attention": Attention(heads=2, size=2),
    "mixture": Mixture(members=("lora", "conv", "bottleneck")),
}
"""The built-in ones, with few units, where a seed that is dead at birth would show."""
BODIES: dict[str, Build] = {
    **{name: blueprint.build for name, blueprint in BLUEPRINTS.items()},
    "dropout": around(nn.Dropout(0.4), nn.Tanh()),
    "norm": norm,
    "overwrites_input": around(nn.Tanh(), before=(nn.LeakyReLU(0.2, inplace=True),)),
    "deep": around(nn.Tanh(), nn.Identity(), nn.SiLU(), nn.GELU()),
    "fits_anything": anywhere,
    "bare": Bare,
    "remembers": Remembers,
    "inf": lambda site: Yields(site, math.inf),
    "nan": lambda site: Yields(site, math.nan),
}
POISON = frozenset({"inf", "nan"})
DRAWS = frozenset({"dropout", "remembers"})
BUILT_IN = tuple(BLUEPRINTS)
SOUND = tuple(name for name in BODIES if name not in POISON)
STEADY = tuple(name for name in SOUND if name != "remembers")
"""Yield the same for the same input, in evaluation mode."""
