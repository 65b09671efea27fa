"""A linear map of low rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import field, validators

from kasmina import Site
from kasmina_blueprints import parts

if TYPE_CHECKING:
    from torch import nn


@attrs.define(eq=False)
class Lora:
    """A linear map down to a few dimensions and one back up, with nothing between them: a low-rank change of weights.

    Over an image it is a pair of 1 x 1 convolutions. The first map starts at random and the second at zero, as in
    the paper; its factor alpha / r is left to the learning rate.

    Sites: vectors, sequences, images.
    Parameters: rank * (in + out).
    Source: Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022 (arXiv 2106.09685), section 4.1.
    """

    rank: int = field(default=4, validator=validators.ge(1), metadata={"help": "dimensions between the two maps"})

    def fits(self, site: Site) -> str | None:
        """Return None where time steps and pixels stay the same, otherwise the reason."""
        return parts.shape_mismatch("lora", site)

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        down = parts.linear(site, site.in_features, self.rank, bias=False)
        up = parts.linear(site, self.rank, site.out_features, bias=False)
        return nn.Sequential(down, parts.zero_init(up))
