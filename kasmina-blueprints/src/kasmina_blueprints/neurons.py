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


def _is_odd(blueprint: Any, attribute: Any, kernel: int) -> None:
    if kernel % 2 == 0:
        raise ValueError(f"'kernel' must be odd, so that pixels stay where they are, and not {kernel}")


@attrs.define(eq=False)
class Neurons:
    """New neurons in a layer of the host: across a span, these two maps are exactly a wider layer.

    The span goes over linear, activation, linear, or over convolution, activation, convolution; `activation` and
    `kernel` have to be those of the host. The new neurons begin with outgoing weights of zero.

    Sites: vectors, sequences, images; spans only.
    Parameters: (k * in + 1) * hidden + k * hidden * out, with k = kernel**2 over an image and 1 elsewhere.
    Source: Chen et al., "Net2Net: accelerating learning via knowledge transfer", ICLR 2016 (wider layers that change
    nothing); Evci et al., "GradMax: growing neural networks using gradient information", ICLR 2022 (outgoing zeros).
    """

    hidden: int | None = field(
        default=None,
        validator=[validators.optional(validators.ge(1)), parts.enough_units],
        metadata={"help": "number of new neurons; None: by the size that is due, or 4"},
    )
    activation: Between = field(default="relu", metadata={"help": "the activation of the layer that grows wider"})
    kernel: int = field(
        default=3,
        validator=[validators.ge(1), _is_odd],
        metadata={"help": "kernel size over images"},
    )

    def fits(self, site: Site) -> str | None:
        """Return None for spans over two modules that keep time steps and pixels, otherwise the reason."""
        first, _, last = site.name.partition(":")
        if not last or first == last:
            return f"neurons needs a span of two layers, such as 'A:B', and the site is {site.name!r} alone"
        single = parts.needs_neighbours("neurons", site) if site.kind == "image" and self.kernel > 1 else None
        return single or parts.shape_mismatch("neurons", site)

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape)."""
        from torch import nn

        taps = self.kernel**2 if site.kind == "image" else 1
        each = taps * (site.in_features + site.out_features) + 1
        hidden = self.hidden or parts.units(site, each, 4, at_least=2 if self.activation == "relu" else 1)
        into = parts.linear(site, site.in_features, hidden, kernel=self.kernel)
        out = parts.linear(site, hidden, site.out_features, bias=False, kernel=self.kernel)
        if self.activation == "relu":
            parts.looks_linear_init(into)
        return nn.Sequential(into, parts.activation(self.activation), parts.zero_init(out))
