"""The forward pass at a site in each stage of its seed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kasmina.records import Stage


class Incubate(torch.autograd.Function):
    """Identity of `h` that hands its gradient to `h` and to `f` alike.

    Written as ``h + (f - f.detach())`` an inf in `f` would poison the host.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(h: Tensor, f: Tensor, copies: bool) -> Tensor:
        """Return `h`: a copy if the host overwrites it later, and otherwise a view."""
        return h.clone() if copies else h.view_as(h)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, bool], output: Tensor) -> None:
        """Keep the shape of `f`: that of `h`, with one dimension before it for several candidates."""
        ctx.shape = inputs[1].shape

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Return the gradient for `h` and, expanded over candidates, for `f`."""
        return gradients[0], gradients[0].expand(ctx.shape), None


def combine(stage: Stage, alpha: Tensor, h: Tensor, f: Tensor, copies: bool = False) -> Tensor:
    """Return what the host goes on with at a site.

    ============================ ============================================================
    stage                        forward
    ============================ ============================================================
    training                     exactly `h`; `f` gets the gradient as if alpha were 1
    blending, culled and fading  ``h + alpha * f``
    probation, active            ``h + f``
    ============================ ============================================================

    Args:
        stage: Stage of the seed.
        alpha: Weight of the seed, a scalar tensor.
        h: Tensor that the seed adds to, (B, ...).
        f: Output of the seed, of the shape of `h`; in training with one dimension before it for several candidates.
        copies: Whether the host overwrites `h` later, so that it must go on with a copy.
    """
    if stage is Stage.TRAINING:
        return Incubate.apply(h, f, copies)  # type: ignore[no-any-return, no-untyped-call]
    if stage in (Stage.PROBATION, Stage.ACTIVE):
        return h + f
    return h + alpha * f
