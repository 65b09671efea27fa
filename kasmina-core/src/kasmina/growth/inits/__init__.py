"""How a seed's weights begin: one file an init, each a function of the seed's body, in place.

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
"""Sets the weights of a body, from a sample of what passed at its site, with random numbers of the seed's own."""

INITS: dict[str, Init] = {
    "zero_out": zero_out.apply,
    "orthogonal": orthogonal.apply,
    "gradmax": gradmax.apply,
    "tiny": tiny.apply,
    "aligned": aligned.apply,
}
NEEDS_SAMPLE = frozenset({"gradmax", "tiny", "aligned"})
"""Inits that look at what passed at the site; to the others a sample may be None."""

_ASKS: dict[str, Callable[[TwoLayerBody], str | None]] = {
    "gradmax": gradmax.unfit,
    "tiny": tiny.unfit,
    "aligned": aligned.unfit,
}


def unfit(name: str, body: nn.Module) -> str | None:
    """Why the init of this name cannot be applied to this body; None if it can."""
    found = ends(body)
    if isinstance(found, str):
        return f"{name} {found}"
    why = _ASKS[name](found) if name in _ASKS else None
    return why and f"{name} {why}"
