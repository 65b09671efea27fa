"""Every time step reads from every other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import field, validators

from kasmina import Site
from kasmina_blueprints import parts

if TYPE_CHECKING:
    from torch import nn


@attrs.define(eq=False)
class Attention:
    """Multi-head self-attention over the time steps of a sequence; every one sees every other.

    Queries, keys and values have no biases: that of the keys would never get a gradient, because softmax does not
    depend on it. The output map starts at zero. The order of the time steps is known only from the host's features.

    Sites: sequences, of two time steps or more.
    Parameters: (3 * in + out) * heads * size.
    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.2.
    """

    heads: int = field(default=2, validator=validators.ge(1), metadata={"help": "number of heads"})
    size: int | None = field(
        default=None,
        validator=validators.optional(validators.ge(1)),
        metadata={"help": "width of each head; None: a quarter of the input width, split among the heads, at least 4"},
    )

    def fits(self, site: Site) -> str | None:
        """Return None for sequences that keep their length of two time steps or more, otherwise the reason."""
        wrong = parts.not_the_kind("attention", site, "sequence")
        return wrong or parts.shape_mismatch("attention", site) or parts.needs_neighbours("attention", site)

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        from kasmina_blueprints.modules import SelfAttention

        heads, size = self.heads, self.size or max(4, site.in_features // (4 * self.heads))
        qkv = nn.Linear(site.in_features, 3 * heads * size, bias=False)
        return SelfAttention(heads, size, qkv, parts.zero_init(nn.Linear(heads * size, site.out_features, bias=False)))
