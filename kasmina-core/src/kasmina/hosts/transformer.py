"""A transformer for sequences, small enough to have a reason to grow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from attrs import field, validators

from kasmina.errors import UsageError

if TYPE_CHECKING:
    from torch import nn


@attrs.define(eq=False)
class Transformer:
    """A transformer encoder over sequences (T, F); an image (C, H, W) is read as H rows of C * W numbers.

    Each token is mapped to `width` numbers and gets a learned position; `depth` layers with norm first (Xiong et al.,
    "On Layer Normalization in the Transformer Architecture", 2020), the mean over all tokens, a linear head.
    """

    width: int = field(
        default=8,
        validator=[validators.ge(1), validators.le(1 << 20)],
        metadata={"help": "width of a token, a multiple of heads"},
    )
    depth: int = field(
        default=1, validator=[validators.ge(1), validators.le(64)], metadata={"help": "number of layers"}
    )
    heads: int = field(
        default=2,
        validator=[validators.ge(1), validators.le(1 << 20)],
        metadata={"help": "number of attention heads in each layer"},
    )
    hidden: int = field(
        default=8,
        validator=[validators.ge(1), validators.le(1 << 20)],
        metadata={"help": "number of units between the linear maps of a layer"},
    )
    dropout: float = field(
        default=0.0,
        validator=[validators.ge(0), validators.lt(1)],
        metadata={"help": "probability of dropout within a layer"},
    )

    def __attrs_post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"'width' must be a multiple of 'heads': {self.width} is not a multiple of {self.heads}")

    @property
    def default_sites(self) -> tuple[str, ...]:
        """Patterns of the sites after every layer."""
        return tuple(f"encoder.layers.{number}" for number in range(self.depth))

    def build(self, in_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return a network from (batch, T, F) or (batch, C, H, W) to (batch, outputs).

        Raises:
            UsageError: The samples are neither sequences nor images.
        """
        from kasmina.hosts.encoder import Encoder

        if len(in_shape) not in (2, 3):
            raise UsageError(
                f"the host 'transformer' takes sequences (T, F) or images (C, H, W), not samples of shape {in_shape}; "
                "try --host mlp"
            )
        tokens, features = in_shape if len(in_shape) == 2 else (in_shape[1], in_shape[0] * in_shape[2])
        layers = {"heads": self.heads, "hidden": self.hidden, "depth": self.depth}
        return Encoder(tokens, features, outputs, width=self.width, dropout=self.dropout, **layers)
