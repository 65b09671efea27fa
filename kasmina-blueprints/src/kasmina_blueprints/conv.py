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
    """A convolution with a kernel of 3, an activation, and a linear map of the width, as a ResNet's branch has them.

    Over an image 3 x 3 and then 1 x 1; over a sequence 3 time steps, centred, and then each by itself. The borders are
    padded with zeros. The second map starts at zero.

    Sites: images, sequences, of two pixels or time steps or more.
    Parameters: (k * in + 1) * hidden + hidden * out, with k = 9 over an image and 3 over a sequence.
    Source: He et al., "Deep residual learning for image recognition", CVPR 2016; for sequences Bai et al., "An
    empirical evaluation of generic convolutional and recurrent networks for sequence modeling", 2018 (1803.01271).
    """

    hidden: int | None = field(
        default=None,
        validator=[validators.optional(validators.ge(1)), parts.enough_units],
        metadata={"help": "channels between the two maps; None: a quarter of what the seed reads, 8 at least"},
    )
    activation: Activation = field(default="relu", metadata={"help": "what stands between the two maps"})

    def fits(self, site: Site) -> str | None:
        """Images and sequences that have neighbours and stay as long, or as high and wide, as they are."""
        wrong = parts.not_the_kind("conv", site, "image", "sequence")
        return wrong or parts.moves("conv", site) or parts.alone("conv", site)

    def build(self, site: Site) -> nn.Module:
        """A map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        from kasmina_blueprints.modules import OverTime

        hidden = self.hidden or max(8, site.in_features // 4)
        kind = nn.Conv2d if site.kind == "image" else nn.Conv1d
        look, map = kind(site.in_features, hidden, 3, padding=1), kind(hidden, site.out_features, 1, bias=False)
        if self.activation == "relu":
            parts.mirror(look)
        inner = nn.Sequential(look, parts.activation(self.activation), parts.silent(map))
        return inner if site.kind == "image" else OverTime(inner)
