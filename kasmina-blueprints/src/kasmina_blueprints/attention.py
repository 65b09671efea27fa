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

    Queries, keys and values without biases (one of the keys would never get a gradient: softmax does not feel it), and
    an output map that starts at zero. It knows no order but what the host has put into its features.

    Sites: sequences, of two time steps or more.
    Parameters: (3 * in + out) * heads * size.
    Source: Vaswani et al., "Attention is all you need", NeurIPS 2017, section 3.2.
    """

    heads: int = field(default=2, validator=validators.ge(1), metadata={"help": "how many heads"})
    size: int | None = field(
        default=None,
        validator=validators.optional(validators.ge(1)),
        metadata={"help": "width of each head; None: a quarter of what the seed reads, split among them, 4 at least"},
    )

    def fits(self, site: Site) -> str | None:
        """Sequences of two time steps or more that stay as long as they are."""
        wrong = parts.not_the_kind("attention", site, "sequence")
        return wrong or parts.moves("attention", site) or parts.alone("attention", site)

    def build(self, site: Site) -> nn.Module:
        """A map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        from kasmina_blueprints.modules import SelfAttention

        heads, size = self.heads, self.size or max(4, site.in_features // (4 * self.heads))
        ask = nn.Linear(site.in_features, 3 * heads * size, bias=False)
        return SelfAttention(heads, size, ask, parts.silent(nn.Linear(heads * size, site.out_features, bias=False)))
