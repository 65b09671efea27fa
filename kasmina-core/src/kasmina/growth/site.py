"""Sites: places in a host where a seed can grow, found by name patterns and one probe forward.

A pattern names modules as ``named_modules`` does, with ``*`` and ``?`` as wildcards:

- ``"M"``: after M. A seed reads the output of M and adds to it.
- ``"A:B"``: a span. A seed reads the input of A and adds to the output of B. ``"M:M"`` is around M; the span over
  linear, activation, linear is how a layer grows wider.

Where a module gives a tuple, as ``nn.LSTM`` and ``nn.MultiheadAttention`` do, a seed adds to the first tensor in it.
After a module that is called several times in one forward pass a seed runs at every call, with the same weights.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn

from kasmina.errors import UsageError
from kasmina.growth.probe import Passage, probe
from kasmina.records import Kind, Site

KINDS: dict[int, Kind] = {1: "vector", 2: "sequence", 3: "image"}


class Unfit(Exception):
    """Why a place cannot be a site."""


@frozen(eq=False)
class Place:
    """A site together with the modules that it stands at."""

    site: Site
    host: nn.Module
    """The whole, whose mode (training or not) the seed shares, even where a part is kept in evaluation mode."""
    source: nn.Module | None
    """The module whose input a seed reads; None if it reads the output of `target`."""
    target: nn.Module
    """The module to whose output a seed adds."""
    device: torch.device
    dtype: torch.dtype
    copies: bool
    """The host overwrites a tensor of this site in place, so that a seed must work on copies."""
    slot: int | None = None
    """Where the tensor that a seed adds to stands in a tuple that `target` gives; None if it gives the tensor alone."""
    calls: int = 1
    """How often one forward pass calls `target`."""

    def given(self, output: Any) -> Tensor:
        """The tensor to add to, in what `target` gives."""
        return output if self.slot is None else output[self.slot]  # type: ignore[no-any-return]

    def replaced(self, output: Any, tensor: Tensor) -> Any:
        """What `target` gives, with another tensor to go on with; the rest of a tuple is passed through."""
        if self.slot is None:
            return tensor
        parts = [tensor if slot == self.slot else part for slot, part in enumerate(output)]
        # A named tuple is made of arguments, and every other one of its parts.
        return type(output)._make(parts) if hasattr(output, "_make") else type(output)(parts)


def find_places(host: nn.Module, patterns: Sequence[str], sample: Tensor) -> dict[str, Place]:
    """Places by site name, in the order of the patterns.

    Raises:
        UsageError: a pattern matches no module, or only modules that cannot be sites.
    """
    passages = probe(host, sample)
    modules = dict(host.named_modules())
    places: dict[str, Place] = {}
    for pattern in patterns:
        refusals = []
        found = 0
        for name in _matches(pattern, modules, passages):
            try:
                places.setdefault(name, _place(name, modules, passages))
                found += 1
            except Unfit as reason:
                refusals.append(f"{name} {reason}")
        if not found:
            raise UsageError(f"site {pattern!r} cannot be used: {'; '.join(refusals[:3]) or 'no pair in that order'}")
    return places


def _matches(pattern: str, modules: Mapping[str, nn.Module], passages: Mapping[str, Passage]) -> Iterator[str]:
    """Names of the sites that a pattern asks for, in the order in which the host calls their modules."""

    def called(part: str) -> list[str]:
        names = [name for name in modules if name and fnmatchcase(name, part)]
        if not names:
            near = difflib.get_close_matches(part, [name for name in modules if name], n=3, cutoff=0.3)
            raise UsageError(
                f"site {pattern!r}: the host has no module {part!r}; the nearest: {', '.join(near) or 'none'}"
            )
        return sorted(names, key=lambda name: passages[name].order if name in passages else -1)

    source, colon, target = pattern.partition(":")
    if not colon:
        yield from called(source)
        return
    for first in called(source):
        for last in called(target):
            if first not in passages or last not in passages or passages[first].order <= passages[last].order:
                yield f"{first}:{last}"


def _place(name: str, modules: Mapping[str, nn.Module], passages: Mapping[str, Passage]) -> Place:
    source, colon, last = name.partition(":")
    last = last if colon else source
    ends = [_called(end, passages, bool(colon)) for end in (source, last)]
    read, gave = (ends[0].read if colon else ends[0].gave), ends[1].gave
    if ends[1].odd or gave is None:
        raise Unfit(f"gives {ends[1].odd}, and a seed adds to a tensor, or to the first tensor of a tuple")
    if read is None:
        raise Unfit("does not read a tensor as its first argument")
    if not read.is_floating_point():
        raise Unfit(f"reads {read.dtype}, and a seed needs floating point")
    if read.dtype != gave.dtype:
        raise Unfit(f"reads {read.dtype} and gives {gave.dtype}")
    if read.dim() != gave.dim() or read.dim() - 1 not in KINDS:
        raise Unfit(
            f"has shapes {tuple(read.shape[1:])} and {tuple(gave.shape[1:])}: not both vectors, sequences or images"
        )
    return Place(
        site=Site(name, KINDS[read.dim() - 1], tuple(read.shape[1:]), tuple(gave.shape[1:])),
        host=modules[""],
        source=modules[source] if colon else None,
        target=modules[last],
        device=gave.device,
        dtype=gave.dtype,
        copies=any(end.overwritten for end in ends),
        slot=ends[1].slot,
        calls=ends[1].calls,
    )


def _called(name: str, passages: Mapping[str, Passage], span: bool) -> Passage:
    if name not in passages:
        raise Unfit("is never called by the host's forward")
    passage = passages[name]
    if span and passage.calls != 1:
        raise Unfit(f"is called {passage.calls} times in one forward: a seed may stand after it, and not span it")
    if len(passage.shapes) > 1:
        raise Unfit(f"is called {passage.calls} times in one forward and gives other shapes or types each time")
    return passage
