"""A convolution over neighbouring pixels or time steps."""

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
class Conv:
    """A convolution with a kernel of 3, an activation, and a linear map of the channels, as in a branch of a ResNet.

    Over an image the kernels are 3 x 3 and 1 x 1; over a sequence they are three centred time steps and one. Borders
    are padded with zeros. The second map starts at zero.

    Sites: images, sequences, of two pixels or time steps or more.
    Parameters: (k * in + 1) * hidden + hidden * out, with k = 9 over an image and 3 over a sequence.
    Source: He et al., "Deep residual learning for image recognition", CVPR 2016; for sequences Bai et al., "An
    empirical evaluation of generic convolutional and recurrent networks for sequence modeling", 2018 (1803.01271).
    """

    hidden: int | None = field(
        default=None,
        validator=[validators.optional(validators.ge(1)), parts.enough_units],
        metadata={
            "help": "channels between; None: by the size that is due, or a quarter of the input width, at least 8"
        },
    )
    activation: Activation = field(default="relu", metadata={"help": "activation between the two maps"})

    def fits(self, site: Site) -> str | None:
        """Return None for images and sequences of two positions or more that keep their size, otherwise the reason."""
        wrong = parts.not_the_kind("conv", site, "image", "sequence")
        return wrong or parts.shape_mismatch("conv", site) or parts.needs_neighbours("conv", site)

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        from kasmina_blueprints.modules import OverTime

        each = (9 if site.kind == "image" else 3) * site.in_features + 1 + site.out_features
        pair = 2 if self.activation == "relu" else 1
        hidden = self.hidden or parts.units(site, each, max(8, site.in_features // 4), pair)
        kind = nn.Conv2d if site.kind == "image" else nn.Conv1d
        spatial, mix = kind(site.in_features, hidden, 3, padding=1), kind(hidden, site.out_features, 1, bias=False)
        if self.activation == "relu":
            parts.looks_linear_init(spatial)
        inner = nn.Sequential(spatial, parts.activation(self.activation), parts.zero_init(mix))
        return inner if site.kind == "image" else OverTime(inner)
