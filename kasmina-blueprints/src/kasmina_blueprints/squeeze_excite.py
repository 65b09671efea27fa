"""A gate on every channel that sees the whole image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import field, validators

from kasmina import Site
from kasmina_blueprints import parts

if TYPE_CHECKING:
    from torch import nn


@attrs.define(eq=False)
class SqueezeExcite:
    """A gate on every channel: x * (2 * sigmoid(z) - 1) is added to x, where z depends on the whole image.

    z is computed from the channels' means by a linear map to a few units, SiLU, and a linear map back that starts at
    zero. So x is scaled by 2 * sigmoid(z), which is 1 at birth and lies between 0 and 2. (The gate of the paper is
    sigmoid(z), which would halve x at birth.)

    Sites: images, with as many channels out as in.
    Parameters: (in + 1) * hidden + hidden * in.
    Source: Hu et al., "Squeeze-and-excitation networks", CVPR 2018; SiLU as in Tan and Le, "EfficientNet", ICML 2019,
    because a few ReLUs could all be dead at birth.
    """

    hidden: int | None = field(
        default=None,
        validator=validators.optional(validators.ge(1)),
        metadata={"help": "units between the two maps; None: a sixteenth of the channels, at least 4"},
    )

    def fits(self, site: Site) -> str | None:
        """Return None for images that keep their shape, channels included, otherwise the reason."""
        if site.kind == "image" and site.in_features != site.out_features:
            return (
                f"squeeze_excite scales the channels that it reads, and the site reads {site.in_features} and adds to "
                f"{site.out_features}"
            )
        return parts.not_the_kind("squeeze_excite", site, "image") or parts.shape_mismatch("squeeze_excite", site)

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape), which is the same."""
        from torch import nn

        from kasmina_blueprints.modules import Scale

        channels, hidden = site.in_features, self.hidden or max(4, site.in_features // 16)
        return Scale(nn.Linear(channels, hidden), parts.zero_init(nn.Linear(hidden, channels, bias=False)))
