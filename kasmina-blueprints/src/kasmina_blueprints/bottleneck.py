"""A narrow two-layer network beside what the host has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs import field, validators

from kasmina import Site

if TYPE_CHECKING:
    from torch import nn

Activation = Literal["relu", "gelu", "silu", "tanh"]


@attrs.define(eq=False)
class Bottleneck:
    """A linear map to a few units, an activation, and a linear map back: the adapter of Houlsby et al. (2019).

    Over an image it is a pair of 1 x 1 convolutions. The way back starts at zero, so that the seed begins by changing
    nothing and the gradient alone decides what it becomes. Parameters: (in + 1) * hidden + hidden * out.
    """

    hidden: int | None = field(
        default=None,
        validator=validators.optional(validators.ge(1)),
        metadata={"help": "units between the two maps; None: half of what the seed reads, 8 at least"},
    )
    activation: Activation = field(default="relu", metadata={"help": "what stands between the two maps"})

    def build(self, site: Site) -> nn.Module:
        """A map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        hidden = self.hidden or max(8, site.in_features // 2)
        act = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}[self.activation]()
        if site.kind == "image":
            down: nn.Module = nn.Conv2d(site.in_features, hidden, 1)
            up: nn.Module = nn.Conv2d(hidden, site.out_features, 1, bias=False)
        else:
            down = nn.Linear(site.in_features, hidden)
            up = nn.Linear(hidden, site.out_features, bias=False)
        nn.init.zeros_(up.get_parameter("weight"))
        return nn.Sequential(down, act, up)
