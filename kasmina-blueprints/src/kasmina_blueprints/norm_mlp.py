"""The two-layer network of a transformer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import field, validators

from kasmina import Site
from kasmina_blueprints import parts

if TYPE_CHECKING:
    from torch import nn


@attrs.define(eq=False)
class NormMLP:
    """LayerNorm, a linear map, GELU, and a linear map back: the feed-forward block of a pre-norm transformer.

    The last map starts at zero.

    Sites: vectors, sequences, of two features or more.
    Parameters: 2 * in + (in + 1) * hidden + hidden * out.
    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.3; the norm in front as in Xiong et
    al., "On layer normalization in the transformer architecture", ICML 2020.
    """

    hidden: int | None = field(
        default=None,
        validator=validators.optional(validators.ge(1)),
        metadata={"help": "units between the two maps; None: by the size that is due, or the input width, at least 16"},
    )

    def fits(self, site: Site) -> str | None:
        """Return None for vectors and sequences of two features or more that keep their length, else the reason."""
        if site.in_features < 2:
            return "norm_mlp needs two features at least, and the site has one, which a norm makes constant"
        return parts.not_the_kind("norm_mlp", site, "vector", "sequence") or parts.shape_mismatch("norm_mlp", site)

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        each = site.in_features + 1 + site.out_features
        hidden = self.hidden or parts.units(site, each, max(16, site.in_features), fixed=2 * site.in_features)
        back = nn.Linear(hidden, site.out_features, bias=False)
        into = nn.Linear(site.in_features, hidden)
        return nn.Sequential(nn.LayerNorm(site.in_features), into, nn.GELU(), parts.zero_init(back))
