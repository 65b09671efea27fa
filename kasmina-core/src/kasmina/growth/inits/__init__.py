"""Initial weights of seeds: one file for each init, a function that sets the weights of a seed's module in place.

All of them leave the host's output as it is, whatever they make of the body: a seed that trains adds nothing, and
one that blends begins at alpha 0.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from kasmina.growth.inits import aligned, gradmax, orthogonal, tiny, zero_out
from kasmina.growth.inits.two_layer import TwoLayerBody, ends
from kasmina.growth.recorder import SiteSample

Init = Callable[[nn.Module, SiteSample | None, torch.Generator], None]
"""Function that sets the weights of a body from a site's sample, with the seed's own random numbers."""

INITS: dict[str, Init] = {
    "zero_out": zero_out.apply,
    "orthogonal": orthogonal.apply,
    "gradmax": gradmax.apply,
    "tiny": tiny.apply,
    "aligned": aligned.apply,
}
NEEDS_SAMPLE = frozenset({"gradmax", "tiny", "aligned"})
"""Names of inits that read a sample of the site; the others accept None."""

BUILT = "built"
"""Name of no init: the weights stay as the blueprint drew them."""
BEST = "aligned"
"""Name of the init that is taken where no name is given and the body is of its form."""

_ASKS: dict[str, Callable[[TwoLayerBody], str | None]] = {
    "gradmax": gradmax.unfit,
    "tiny": tiny.unfit,
    "aligned": aligned.unfit,
}


def unfit(name: str, body: nn.Module) -> str | None:
    """Return why the init of this name cannot be applied to this body; None if it can."""
    found = ends(body)
    if isinstance(found, str):
        return f"{name} {found}"
    why = _ASKS[name](found) if name in _ASKS else None
    return why and f"{name} {why}"


def needs_sample(name: str | None) -> bool:
    """Return whether the init that a recipe names looks at what passed at the site."""
    return (name or BEST) in NEEDS_SAMPLE


def initialise(name: str | None, body: nn.Module, sample: SiteSample | None, generator: torch.Generator) -> None:
    """Set the first weights of a body, in place; a body that the init does not fit stays as it is built.

    Args:
        name: Name of the init, as the recipe gives it.
        body: Module of a seed.
        sample: Sample of what passed at its site, if there is one.
        generator: Random numbers of the seed's own.
    """
    name = name or BEST
    if name == BUILT or unfit(name, body) or (sample is None and name in NEEDS_SAMPLE):
        return
    INITS[name](body, sample, generator)
