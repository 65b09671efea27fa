"""Parts that several blueprints share: activations, maps by the kind of site, and why a site does not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from kasmina import Site

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["relu", "gelu", "silu", "tanh", "sine"]
ENOUGH_RELUS = 8
"""Number of ReLUs from which on all of them are inactive at birth in less than one draw in 10^8."""


def not_the_kind(name: str, site: Site, *kinds: str) -> str | None:
    """Return why a blueprint for these kinds of site does not fit this one; None if it does."""
    if site.kind in kinds:
        return None
    return f"{name} needs {' or '.join(map(_with_article, kinds))}, and the site is {_with_article(site.kind)}"


def shape_mismatch(name: str, site: Site) -> str | None:
    """Return why a site does not fit a blueprint that keeps time steps and pixels: it adds to others than it reads."""
    read, added = positions(site, site.in_shape), positions(site, site.out_shape)
    if read == added:
        return None
    what = "time steps" if site.kind == "sequence" else "pixels"
    return f"{name} keeps the {what} as they are, and the site reads {_times(read)} and adds to {_times(added)}"


def needs_neighbours(name: str, site: Site) -> str | None:
    """Return why a site does not fit a blueprint that looks at neighbours: it has a single time step or pixel."""
    if any(size > 1 for size in positions(site, site.in_shape)):
        return None
    what = "time steps" if site.kind == "sequence" else "pixels"
    return f"{name} needs two {what} at least, and the site has one"


def positions(site: Site, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape without its width: (), (T) or (H, W)."""
    return shape[1:] if site.kind == "image" else shape[:-1]


def enough_units(blueprint: Any, attribute: Any, hidden: int | None) -> None:
    """Validate `hidden` in a blueprint that has an `activation` too.

    Whether one ReLU is ever above zero depends on data that `build` does not see: behind a layer of ReLUs it is never
    above zero, and so dead, in 8 % of draws. Of two, one is always above zero after `looks_linear_init`.

    Raises:
        ValueError: `hidden` is 1 and the activation is ReLU.
    """
    if hidden == 1 and blueprint.activation == "relu":
        raise ValueError("'hidden' must be >= 2 with 'relu': a single one may be dead at birth; or take 'gelu'")


def units(site: Site, each: int, otherwise: int, at_least: int = 1, fixed: int = 0) -> int:
    """Return the number of units that make a seed no larger than is due at its site, or `otherwise` where nothing is.

    Args:
        each: Number of parameters that a unit has.
        at_least: Smallest number of units.
        fixed: Number of parameters that are no unit's.
    """
    return max(at_least, (site.size - fixed) // each) if site.size else otherwise


def activation(name: str) -> nn.Module:
    """Return a new module of the activation called `name`."""
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
    """Return a linear map from width `read` to width `give` at each position.

    Over an image it is a convolution that keeps the pixels in place, with `kernel` pixels on each side.
    """
    from torch import nn

    if site.kind == "image":
        return nn.Conv2d(read, give, kernel, padding=kernel // 2, bias=bias)
    return nn.Linear(read, give, bias=bias)


def zero_init(module: nn.Module, *names: str) -> nn.Module:
    """Set these parameters of a module to zero (`weight`, if none is named) and return the module.

    A seed whose last map is zero begins by changing nothing.
    """
    from torch import nn

    for name in names or ("weight",):
        nn.init.zeros_(module.get_parameter(name))
    return module


def looks_linear_init(module: nn.Module) -> nn.Module:
    """Give the second of a few units the opposite weights of the first, and both a positive bias; return the module.

    One of the two is then above zero for every sample, so that a ReLU after them passes a gradient. With many units
    nothing is changed.

    Source: the looks-linear initialisation of Balduzzi et al., "The shattered gradients problem", ICML 2017, for one
    pair of units.
    """
    import torch

    weight, bias = module.get_parameter("weight"), module.get_parameter("bias")
    if 2 <= len(bias) < ENOUGH_RELUS:
        with torch.no_grad():
            weight[1] = -weight[0]
            bias[:2] = bias[:2].abs()
    return module


def _with_article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _times(sizes: tuple[int, ...]) -> str:
    return " x ".join(map(str, sizes))
