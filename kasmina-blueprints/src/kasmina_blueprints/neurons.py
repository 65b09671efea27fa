"""More neurons in the layers that the host has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs import field, validators

from kasmina import Site
from kasmina_blueprints import parts

if TYPE_CHECKING:
    from torch import nn

Between = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid"]


@attrs.define(eq=False)
class Neurons:
    """A linear map to new neurons, an activation, and a linear map on: across a span, exactly a wider layer.

    The span is over linear, activation, linear, and the activation here is to be the host's own. The new neurons reach
    the next layer by weights of zero, which grow as their gradient tells. Parameters: (in + 1) * hidden + hidden * out.

    Chen et al., "Net2Net: accelerating learning via knowledge transfer", ICLR 2016 (wider layers that change nothing);
    Evci et al., "GradMax: growing neural networks using gradient information", ICLR 2022 (outgoing weights of zero).
    """

    hidden: int = field(
        default=4, validator=[validators.ge(1), parts.enough_units], metadata={"help": "how many new neurons"}
    )
    activation: Between = field(default="relu", metadata={"help": "the activation of the layer that grows wider"})

    def fits(self, site: Site) -> str | None:
        """Spans from one module to another, over vectors and sequences whose time steps stay as they are."""
        first, _, last = site.name.partition(":")
        if not last or first == last:
            return f"neurons needs a span of two layers, such as 'A:B', and the site is {site.name!r} alone"
        return parts.not_the_kind("neurons", site, "vector", "sequence") or parts.moves("neurons", site)

    def build(self, site: Site) -> nn.Module:
        """A map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        into = nn.Linear(site.in_features, self.hidden)
        out = nn.Linear(self.hidden, site.out_features, bias=False)
        if self.activation == "relu":
            parts.mirror(into)
        return nn.Sequential(into, parts.activation(self.activation), parts.silent(out))
