"""A convolutional network for images, small enough to have a reason to grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import field, validators

from kasmina.errors import UsageError

if TYPE_CHECKING:
    from torch import nn


@attrs.define(eq=False)
class CNN:
    """A residual network for images (C, H, W): a convolution, `depth` residual blocks, pooling, a linear head.

    Every block after the first reads at half the resolution, until an image is one pixel high or wide. The blocks are
    those of He et al., "Deep Residual Learning for Image Recognition" (2016), at one width throughout.
    """

    width: int = field(
        default=4,
        validator=[validators.ge(1), validators.le(1 << 20)],
        metadata={"help": "number of channels of every block"},
    )
    depth: int = field(
        default=2, validator=[validators.ge(1), validators.le(64)], metadata={"help": "number of residual blocks"}
    )

    @property
    def default_sites(self) -> tuple[str, ...]:
        """Patterns of the sites after every block."""
        return tuple(f"blocks.{number}" for number in range(self.depth))

    def build(self, in_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return a network from (batch, C, H, W) to (batch, outputs).

        Raises:
            UsageError: The samples are not images.
        """
        from kasmina.hosts.residual import Residual

        if len(in_shape) != 3:
            raise UsageError(f"the host 'cnn' takes images (C, H, W), not samples of shape {in_shape}; try --host mlp")
        return Residual(in_shape[0], self.width, self.depth, outputs)
