"""Sites: places in a host where a seed can grow, found by name patterns and two probe forwards.

A pattern names modules as ``named_modules`` does, with ``*`` and ``?`` as wildcards:

- ``"M"``: after M. A seed reads the output of M and adds to it.
- ``"A:B"``: a span. A seed reads the input of A and adds to the output of B. ``"M:M"`` is around M; the span over
  linear, activation, linear is how a layer grows wider.

Behind a name, ``@TYPE`` leaves only modules of that class or made from it: ``"encoder.*@Linear"``, ``"@LSTM"``. In the
end ``[PART]`` says which tensor, where a module gives or reads several: by place in a tuple, by key in a mapping, by
field in a dataclass (``"lstm[1][0]"``, ``"encoder[last_hidden_state]"``), and by place or name of the argument for what
is read (``"layer[hidden_states]:layer"``). Where nothing is said it is the first tensor of a tuple, the only one of a
mapping, and the first argument.

Two batches of different sizes show which dimension is the batch's. Where it is not the first, as after ``nn.LSTM`` and
``nn.TransformerEncoderLayer`` without ``batch_first``, a seed sees the tensor turned and its answer is turned back.
After a module that is called several times in one forward pass a seed runs at every call, with the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from attrs import evolve, field, frozen
from torch import Tensor, nn

from kasmina.errors import PluginError, UsageError
from kasmina.growth.sites.endpoint import Probes, UnusableSite, find_endpoint, probe_twice
from kasmina.growth.sites.key_path import KeyPath
from kasmina.growth.sites.pattern import ends, split
from kasmina.growth.sites.probe import HostInput, arguments
from kasmina.records import Kind, Site

KINDS: dict[int, Kind] = {1: "vector", 2: "sequence", 3: "image"}

Build = Callable[[Site], nn.Module]
"""Function that builds a seed's module for a site."""
Builders = Mapping[str, Build]
"""Functions that build a seed's module, by blueprint."""


@frozen(eq=False)
class BoundSite:
    """A site together with the modules that it stands at."""

    site: Site
    host: nn.Module
    """Whole host. The seed shares its mode (training or not), even where a part is kept in evaluation mode."""
    source: nn.Module | None
    """Module whose input a seed reads; None if it reads the output of `target`."""
    target: nn.Module
    """Module to whose output a seed adds."""
    device: torch.device
    dtype: torch.dtype
    copies: bool
    """Whether the host overwrites a tensor of this site in place, so that a seed must work on copies."""
    reads: KeyPath
    """Path to the tensor that a seed reads, in the arguments of `source`."""
    gives: KeyPath
    """Path to the tensor that a seed adds to, in the output of `target`."""
    calls: int = 1
    """Number of times that one forward pass calls `target`."""
    parameters: int = 0
    """Number of parameters of the host's modules from `source` to `target`."""
    builders: Builders = field(factory=dict)
    """Builders of the blueprints that fit the site. If there are several, their seeds compete."""

    def sized(self, size: int) -> BoundSite:
        """Return the same site for a seed that should have so many parameters."""
        return evolve(self, site=evolve(self.site, size=size))

    def proposed(self, blueprint: str | None) -> Builders:
        """Return the builders that a proposal of this blueprint means; None means all of them.

        Raises:
            PluginError: The blueprint is not one of the site's.
        """
        if blueprint is None:
            return self.builders
        if blueprint not in self.builders:
            names = ", ".join(self.builders)
            raise PluginError(f"propose_germination names {blueprint!r}; {self.site.name!r} has {names}")
        return {blueprint: self.builders[blueprint]}

    def read(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """Return the tensor to read, batch first, in the arguments of `source`."""
        return self.reads.of(arguments(args, kwargs))

    def given(self, output: Any) -> Tensor:
        """Return the tensor to add to, batch first, in the output of `target`."""
        return self.gives.of(output)

    def replaced(self, output: Any, tensor: Tensor) -> Any:
        """Return the output of `target` with another tensor (batch first) in the place of the one to add to."""
        return self.gives.replaced(output, tensor)


def find_sites(host: nn.Module, patterns: Sequence[str], sample: HostInput) -> dict[str, BoundSite]:
    """Return the sites that patterns name, by their names, in the order of the patterns.

    Args:
        host: Network with the modules that are named.
        patterns: Patterns of module names, as this file describes them.
        sample: Input of the host: a tensor, a tuple of arguments, or a mapping of arguments by name. The first
            dimension of its first tensor is the batch's, and two samples are enough.

    Raises:
        UsageError: A pattern is empty, or matches no module or only modules that cannot be sites; `sample`
            cannot be made longer.
    """
    if not all(patterns):
        raise UsageError("sites: name some modules of the host, such as 'layers.*'")
    probes = probe_twice(host, sample)
    modules = dict(host.named_modules())
    places: dict[str, BoundSite] = {}
    for pattern in patterns:
        refusals = []
        found = 0
        for name in _names(pattern, probes):
            try:
                if name not in places:
                    places[name] = _place(name, modules, probes)
                found += 1
            except UnusableSite as reason:
                refusals.append(f"{name} {reason}")
        if not found:
            reasons = "; ".join(refusals[:3]) or "no pair in that order"
            raise UsageError(f"site {pattern!r} cannot be used: {reasons}")
    return places


def _names(pattern: str, probes: Probes) -> Iterator[str]:
    """Yield the names of the sites that a pattern asks for, in the order in which the host calls their modules."""

    def called(word: str) -> list[str]:
        return sorted(ends(probes.host, pattern, word), key=lambda end: probes.order(split(end)[0]))

    source, colon, target = pattern.partition(":")
    if not colon:
        yield from called(source)
        return
    for first in called(source):
        for last in called(target):
            orders = [probes.order(split(end)[0]) for end in (first, last)]
            if -1 in orders or orders[0] <= orders[1]:
                yield f"{first}:{last}"


def _place(name: str, modules: Mapping[str, nn.Module], probes: Probes) -> BoundSite:
    source, colon, last = name.partition(":")
    gives = find_endpoint(last if colon else source, probes, read=False, span=bool(colon))
    reads = find_endpoint(source, probes, read=True, span=True) if colon else gives
    read, gave = reads.tensor, gives.tensor
    for verb, tensor in (("gives", gave), ("reads", read)):
        if not tensor.is_floating_point():
            raise UnusableSite(f"{verb} {tensor.dtype}, and a seed needs floating point")
    if read.dtype != gave.dtype:
        raise UnusableSite(f"reads {read.dtype} and gives {gave.dtype}")
    if len(reads.shape) != len(gives.shape) or len(gives.shape) not in KINDS:
        raise UnusableSite(f"has shapes {reads.shape} and {gives.shape}: not both vectors, sequences or images")
    target = split(last if colon else source)[0]
    return BoundSite(
        site=Site(name, KINDS[len(gives.shape)], reads.shape, gives.shape),
        host=probes.host,
        source=modules[split(source)[0]] if colon else None,
        target=modules[target],
        device=gave.device,
        dtype=gave.dtype,
        copies=any(seen.overwritten for end in (reads, gives) for seen in end.seen),
        reads=reads.part,
        gives=gives.part,
        calls=len(probes.first[target].calls),
        parameters=_parameters_between(split(source)[0] if colon else target, target, modules, probes),
    )


def _parameters_between(first: str, last: str, modules: Mapping[str, nn.Module], probes: Probes) -> int:
    """Return the number of parameters of the modules that the host calls from `first` to `last`, both included."""
    called = (name for name in probes.first if probes.order(first) <= probes.order(name) <= probes.order(last))
    inner = {id(p): p.numel() for name in [*called, last] for p in modules[name].parameters()}
    return sum(inner.values())
