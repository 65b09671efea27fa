"""A convolution of each channel by itself, then a mixture of the channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
from attrs import field

from kasmina import Site
from kasmina_blueprints import parts

if TYPE_CHECKING:
    from torch import nn

Smooth = Literal["gelu", "silu", "tanh", "sine"]


@attrs.define(eq=False)
class Depthwise:
    """A 3 x 3 convolution of each channel by itself, an activation, and a 1 x 1 convolution that mixes the channels.

    It is a depthwise-separable convolution, with about a ninth of the weights of a full one. ReLU is not offered: it
    would be dead at birth in some channels, and in all of them where there are few. The second convolution starts at
    zero, and borders are padded with zeros.

    Sites: images, of two pixels or more.
    Parameters: 10 * in + in * out.
    Source: Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017.
    """

    activation: Smooth = field(default="gelu", metadata={"help": "activation between the two convolutions"})

    def fits(self, site: Site) -> str | None:
        """Return None for images of two pixels or more that keep their height and width, otherwise the reason."""
        wrong = parts.not_the_kind("depthwise", site, "image")
        return wrong or parts.shape_mismatch("depthwise", site) or parts.needs_neighbours("depthwise", site)

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        each = nn.Conv2d(site.in_features, site.in_features, 3, padding=1, groups=site.in_features)
        mix = nn.Conv2d(site.in_features, site.out_features, 1, bias=False)
        return nn.Sequential(each, parts.activation(self.activation), parts.zero_init(mix))
