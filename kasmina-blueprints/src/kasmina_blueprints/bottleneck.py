"""A narrow two-layer network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import field, validators

from kasmina import Site
from kasmina_blueprints import parts
from kasmina_blueprints.parts import Activation

if TYPE_CHECKING:
    from torch import nn


@attrs.define(eq=False)
class Bottleneck:
    """A linear map to a few units, an activation, and a linear map back: the adapter of Houlsby et al.

    Over an image it is a pair of 1 x 1 convolutions. The second map starts at zero, so that the seed begins by changing
    nothing, and its gradient alone decides what it becomes.

    Sites: vectors, sequences, images.
    Parameters: (in + 1) * hidden + hidden * out.
    Source: Houlsby et al., "Parameter-efficient transfer learning for NLP", ICML 2019.
    """

    hidden: int | None = field(
        default=None,
        validator=[validators.optional(validators.ge(1)), parts.enough_units],
        metadata={
            "help": "units between the two maps; None: by the size that is due, or half the input width, from 8 to 64"
        },
    )
    activation: Activation = field(default="relu", metadata={"help": "activation between the two maps"})

    def fits(self, site: Site) -> str | None:
        """Return None where time steps and pixels stay the same, otherwise the reason."""
        return parts.shape_mismatch("bottleneck", site)

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        each = site.in_features + 1 + site.out_features
        pair = 2 if self.activation == "relu" else 1
        hidden = self.hidden or parts.units(site, each, min(max(8, site.in_features // 2), 64), pair)
        down = parts.linear(site, site.in_features, hidden)
        up = parts.linear(site, hidden, site.out_features, bias=False)
        if self.activation == "relu":
            parts.looks_linear_init(down)
        return nn.Sequential(down, parts.activation(self.activation), parts.zero_init(up))
