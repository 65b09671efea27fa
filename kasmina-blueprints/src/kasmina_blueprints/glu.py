"""A gated linear unit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs import field, validators

from kasmina import Site
from kasmina_blueprints import parts

if TYPE_CHECKING:
    from torch import nn

Gate = Literal["sigmoid", "gelu", "silu"]


@attrs.define(eq=False)
class GLU:
    """A linear map times a gate, then a linear map back: GLU, GEGLU or SwiGLU.

    Over an image the maps are 1 x 1 convolutions. The last map starts at zero.

    Sites: vectors, sequences, images.
    Parameters: 2 * (in + 1) * hidden + hidden * out.
    Source: Dauphin et al., "Language modeling with gated convolutional networks", ICML 2017 (the unit, with biases);
    Shazeer, "GLU variants improve transformer", 2020 (arXiv 2002.05202; the gates, and the last map).
    """

    hidden: int | None = field(
        default=None,
        validator=validators.optional(validators.ge(1)),
        metadata={"help": "gated units; None: by the size that is due, or a sixth of the input width, at least 4"},
    )
    gate: Gate = field(default="silu", metadata={"help": "activation of the gate; silu makes it SwiGLU"})

    def fits(self, site: Site) -> str | None:
        """Return None where time steps and pixels stay the same, otherwise the reason."""
        return parts.shape_mismatch("glu", site)

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        from kasmina_blueprints.modules import Gated

        each = 2 * (site.in_features + 1) + site.out_features
        hidden = self.hidden or parts.units(site, each, max(4, site.in_features // 6))
        gate = nn.Sequential(parts.linear(site, site.in_features, hidden), parts.activation(self.gate))
        value = parts.linear(site, site.in_features, hidden)
        return Gated(gate, value, parts.zero_init(parts.linear(site, hidden, site.out_features, bias=False)))
