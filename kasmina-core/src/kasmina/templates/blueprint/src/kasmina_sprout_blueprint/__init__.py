"""What the seeds called `sprout` are made of."""

import attrs
import torch
from torch import Tensor, nn

from kasmina import Site

ACTIVATION = torch.tanh  # EDIT THIS LINE: any function of a tensor, such as torch.sin


class Module(nn.Module):
    """One seed: a linear map to hidden units, the function above, and a linear map back."""

    def __init__(self, site: Site, hidden: int) -> None:
        super().__init__()
        self.image = site.kind == "image"
        self.there = nn.Linear(site.in_features, hidden)
        self.back = nn.Linear(hidden, site.out_features)
        nn.init.zeros_(self.back.weight)  # so a seed begins by adding nothing
        nn.init.zeros_(self.back.bias)

    def forward(self, x: Tensor) -> Tensor:
        if self.image:  # (batch, channels, height, width): the width of a linear map comes last
            return self.give(x.movedim(1, -1)).movedim(-1, 1)
        return self.give(x)

    def give(self, x: Tensor) -> Tensor:
        y: Tensor = self.back(ACTIVATION(self.there(x)))
        return y


@attrs.define(eq=False)
class Sprout:
    """A layer of hidden units at every time step or pixel by itself."""

    hidden: int = attrs.field(
        default=8, validator=attrs.validators.ge(1), metadata={"help": "units between the two maps"}
    )

    def fits(self, site: Site) -> str | None:
        """Return None where `build` can build, otherwise the reason."""
        positions = slice(1, None) if site.kind == "image" else slice(-1)
        same = site.in_shape[positions] == site.out_shape[positions]
        return None if same else "sprout keeps time steps and pixels as they are, and the site changes them"

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        return Module(site, self.hidden)
