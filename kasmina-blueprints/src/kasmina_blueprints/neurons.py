"""More neurons in the layers that the host has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs
from attrs import field, validators

from kasmina import Site
from kasmina_blueprints import parts

if TYPE_CHECKING:
    from torch import nn

Between = Literal["relu", "leaky_relu", "elu", "gelu", "silu", "tanh", "sigmoid", "sine"]


def _odd(blueprint: Any, attribute: Any, kernel: int) -> None:
    if kernel % 2 == 0:
        raise ValueError(f"'kernel' must be odd, so that pixels stay where they are, and not {kernel}")


@attrs.define(eq=False)
class Neurons:
    """A linear map to new neurons, an activation, and a linear map on: across a span, exactly a wider layer.

    The span is over linear, activation, linear, or over an image convolution, activation, convolution; the activation
    and the kernel here are to be the host's own. The new neurons reach the next layer by weights of zero, which grow as
    their gradient tells.

    Sites: vectors, sequences, images; spans only.
    Parameters: (k * in + 1) * hidden + k * hidden * out, with k = kernel**2 over an image and 1 elsewhere.
    Source: Chen et al., "Net2Net: accelerating learning via knowledge transfer", ICLR 2016 (wider layers that change
    nothing); Evci et al., "GradMax: growing neural networks using gradient information", ICLR 2022 (outgoing zeros).
    """

    hidden: int = field(
        default=4, validator=[validators.ge(1), parts.enough_units], metadata={"help": "how many new neurons"}
    )
    activation: Between = field(default="relu", metadata={"help": "the activation of the layer that grows wider"})
    kernel: int = field(
        default=3, validator=[validators.ge(1), _odd], metadata={"help": "of both convolutions, over an image"}
    )

    def fits(self, site: Site) -> str | None:
        """Spans from one module to another, over which time steps and pixels stay as they are."""
        first, _, last = site.name.partition(":")
        if not last or first == last:
            return f"neurons needs a span of two layers, such as 'A:B', and the site is {site.name!r} alone"
        blind = parts.alone("neurons", site) if site.kind == "image" and self.kernel > 1 else None
        return blind or parts.moves("neurons", site)

    def build(self, site: Site) -> nn.Module:
        """A map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        into = parts.linear(site, site.in_features, self.hidden, kernel=self.kernel)
        out = parts.linear(site, self.hidden, site.out_features, bias=False, kernel=self.kernel)
        if self.activation == "relu":
            parts.mirror(into)
        return nn.Sequential(into, parts.activation(self.activation), parts.silent(out))
