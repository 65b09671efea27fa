"""Activations at sites in one forward pass: the tensors that seeds add to, with what they add."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from typing import Any

from torch import Tensor, nn

from kasmina.growth.sites.find import BoundSite
from kasmina.growth.sites.probe import untouched
from kasmina.records import Kind


def activations(host: nn.Module, places: Mapping[str, BoundSite], x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the host's output for samples x (N, *in_shape), and the activations (N, features) by site.

    A sequence or an image is averaged over its positions. Where a module is called several times, its last call counts.
    Host, random numbers and gradients stay as they are.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, place: BoundSite, module: nn.Module, args: Any, output: Any) -> None:
        found[name] = pooled(place.given(output).detach(), place.site.kind)

    with untouched(host), ExitStack() as hooks:
        for name, place in places.items():  # registered last, and so called after the seeds' own
            hooks.enter_context(place.target.register_forward_hook(partial(keep, name, place)))
        return host(x), found


def pooled(h: Tensor, kind: Kind) -> Tensor:
    """Return (N, F) as it is, and (N, T, F) and (N, C, H, W) as their means over positions."""
    if kind == "image":
        return h.mean((2, 3))
    return h.mean(1) if kind == "sequence" else h
