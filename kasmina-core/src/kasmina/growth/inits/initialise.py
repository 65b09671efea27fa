"""How a seed's weights begin, by the name that the recipe gives."""

from __future__ import annotations

import torch
from torch import nn

from kasmina.growth.inits import INITS, NEEDS_SAMPLE, unfit
from kasmina.growth.recorder import SiteSample

BUILT = "built"
"""The name of no init: the weights stay as the blueprint drew them."""
BEST = "aligned"
"""What is taken where no name is given and the body is of its form."""


def needs_sample(name: str | None) -> bool:
    """Whether an init looks at what passed at the site."""
    return (name or BEST) in NEEDS_SAMPLE


def initialise(name: str | None, body: nn.Module, sample: SiteSample | None, generator: torch.Generator) -> None:
    """Sets the first weights of a body, in place; a body that the init does not fit stays as it is built."""
    name = name or BEST
    if name == BUILT or unfit(name, body) or (sample is None and name in NEEDS_SAMPLE):
        return
    INITS[name](body, sample, generator)
