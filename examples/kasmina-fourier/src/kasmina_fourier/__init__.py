"""Seeds of sine features, for Kasmina."""

import math

import attrs
import torch
from attrs import field, validators
from torch import Tensor, nn

from kasmina import Site


class Sines(nn.Module):
    """back(sin(there(x))), at every time step or pixel by itself."""

    def __init__(self, site: Site, features: int, scale: float) -> None:
        super().__init__()
        self.image = site.kind == "image"
        self.there = nn.Linear(site.in_features, features)
        self.back = nn.Linear(features, site.out_features, bias=False)
        nn.init.normal_(self.there.weight, std=scale)
        nn.init.uniform_(self.there.bias, -math.pi, math.pi)
        nn.init.zeros_(self.back.weight)

    def forward(self, x: Tensor) -> Tensor:
        if self.image:  # the width of a linear map comes last
            x = x.movedim(1, -1)
        y: Tensor = self.back(torch.sin(self.there(x)))
        return y.movedim(-1, 1) if self.image else y


@attrs.define(eq=False)
class Fourier:
    """Sine features, then a linear map back that starts at zero.

    Frequencies are drawn from a normal distribution of standard deviation `scale` and learn with all the rest.
    Parameters: (in + 1) * features + features * out.

    Rahimi and Recht, "Random features for large-scale kernel machines", NeurIPS 2007; learned: Sitzmann et al.,
    "Implicit neural representations with periodic activation functions", NeurIPS 2020 (arXiv 2006.09661).
    """

    features: int = field(default=8, validator=validators.ge(1), metadata={"help": "how many sines"})
    scale: float = field(
        default=1.0, validator=validators.gt(0), metadata={"help": "standard deviation of the frequencies"}
    )

    def fits(self, site: Site) -> str | None:
        """Return None for a site whose time steps or pixels stay as they are, otherwise the reason."""
        positions = slice(1, None) if site.kind == "image" else slice(-1)
        if site.in_shape[positions] == site.out_shape[positions]:
            return None
        return "fourier keeps time steps and pixels as they are, and the site changes them"

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        return Sines(site, self.features, self.scale)
