"""The network that the host `transformer` builds."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Encoder(nn.Module):
    """A linear map of every token, learned positions, the layers of a transformer encoder, the mean, a linear map."""

    def __init__(
        self,
        tokens: int,
        features: int,
        outputs: int,
        *,
        width: int,
        heads: int,
        hidden: int,
        depth: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(features, width)
        # A run first builds its host on the device 'meta', where a product that is not in place imports torch.compile.
        self.position = nn.Parameter(torch.randn(tokens, width).mul_(0.02))
        layer = nn.TransformerEncoderLayer(width, heads, hidden, dropout, batch_first=True, norm_first=True)
        # Nested tensors are for padded batches, and no hook sees a plain tensor within them.
        self.encoder = nn.TransformerEncoder(layer, depth, nn.LayerNorm(width), enable_nested_tensor=False)
        # All layers are copies of one: each needs weights of its own.
        for parameter in self.encoder.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute outputs (batch, outputs) from (batch, T, F) or (batch, C, H, W); tokens are the rows of an image."""
        if x.dim() == 4:
            x = x.transpose(1, 2).flatten(2)
        x = self.encoder(self.embed(x) + self.position)
        return self.head(x.mean(1))  # type: ignore[no-any-return]
