"""What several blueprints have in common: activations, maps by the kind of site, and why a site does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from kasmina import Site

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["relu", "gelu", "silu", "tanh", "sine"]
MIRRORED_BELOW = 8
"""Hidden units. With as many ReLUs as this or more, all of them are silent in less than one draw in 10^8."""


def not_the_kind(name: str, site: Site, *kinds: str) -> str | None:
    """Why a blueprint for these kinds of site does not fit this one."""
    if site.kind in kinds:
        return None
    return f"{name} needs {' or '.join(map(_a, kinds))}, and the site is {_a(site.kind)}"


def moves(name: str, site: Site) -> str | None:
    """Why a blueprint that keeps time steps and pixels in their places does not fit: the site has others at its end."""
    read, added = positions(site, site.in_shape), positions(site, site.out_shape)
    if read == added:
        return None
    what = "time steps" if site.kind == "sequence" else "pixels"
    return f"{name} keeps the {what} as they are, and the site reads {_times(read)} and adds to {_times(added)}"


def alone(name: str, site: Site) -> str | None:
    """Why a blueprint that looks at neighbours does not fit: there are none."""
    if any(size > 1 for size in positions(site, site.in_shape)):
        return None
    what = "time steps" if site.kind == "sequence" else "pixels"
    return f"{name} needs two {what} at least, and the site has one"


def positions(site: Site, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without its width: (), (T) or (H, W)."""
    return shape[1:] if site.kind == "image" else shape[:-1]


def enough_units(blueprint: Any, attribute: Any, hidden: int | None) -> None:
    """A validator of `hidden`, in a blueprint that has an `activation` too.

    Whether one ReLU is ever above zero depends on data that `build` does not see: behind a layer of ReLUs it is silent,
    and so dead, in 8 % of draws. Of two, one can always be made to speak (`mirror`).

    Raises:
        ValueError: `hidden` is 1 and the activation is ReLU.
    """
    if hidden == 1 and blueprint.activation == "relu":
        raise ValueError("'hidden' must be >= 2 with 'relu': a single one may be dead at birth; or take 'gelu'")


def activation(name: str) -> nn.Module:
    """The module of that name."""
    from torch import nn

    from kasmina_blueprints.modules import Sine

    kinds: dict[str, type[nn.Module]] = {
        "relu": nn.ReLU,
        "leaky_relu": nn.LeakyReLU,
        "elu": nn.ELU,
        "gelu": nn.GELU,
        "silu": nn.SiLU,
        "tanh": nn.Tanh,
        "sigmoid": nn.Sigmoid,
        "sine": Sine,
    }
    return kinds[name]()


def linear(site: Site, read: int, give: int, bias: bool = True, kernel: int = 1) -> nn.Module:
    """A linear map of the width at each position; over an image a convolution that keeps the pixels in place."""
    from torch import nn

    if site.kind == "image":
        return nn.Conv2d(read, give, kernel, padding=kernel // 2, bias=bias)
    return nn.Linear(read, give, bias=bias)


def silent(module: nn.Module, *names: str) -> nn.Module:
    """The module with these parameters (`weight`, if none is named) zero, as the last map of a seed has them.

    So the seed begins by changing nothing.
    """
    from torch import nn

    for name in names or ("weight",):
        nn.init.zeros_(module.get_parameter(name))
    return module


def mirror(module: nn.Module) -> nn.Module:
    """The second of a few units reads the opposite of the first, and both have a bias above zero.

    So one of the two is above zero for every sample, whatever is read, and a ReLU behind them passes a gradient (the
    looks-linear initialisation of Balduzzi et al., 2017, "The shattered gradients problem", for one pair of units).
    """
    import torch

    weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
    if 2 <= len(bias) < MIRRORED_BELOW:
        with torch.no_grad():
            weight[1] = -weight[0]
            bias[:2] = bias[:2].abs()
    return module


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _times(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
