"""Zero-out init: random incoming weights, outgoing weights of zero."""

from __future__ import annotations

import torch
from torch import nn

from kasmina.growth.inits.two_layer import found
from kasmina.growth.recorder import SiteSample


def apply(body: nn.Module, sample: SiteSample | None, generator: torch.Generator) -> None:
    """Keep the incoming weights as the blueprint drew them, and set outgoing weights (out, hidden) and biases to 0.

    The gradient alone decides what the outgoing weights become; nothing is measured.
    Hu et al., "LoRA: low-rank adaptation of large language models", ICLR 2022, section 4.1, begins so.
    """
    last = found(body).last
    nn.init.zeros_(last.weight)
    if last.bias is not None:
        nn.init.zeros_(last.bias)
