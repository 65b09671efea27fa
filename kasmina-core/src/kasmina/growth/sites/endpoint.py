"""Endpoints of a site: the tensor that is read and the one that is added to, as two probe forwards show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from attrs import frozen
from torch import Tensor, nn

from kasmina.errors import UsageError
from kasmina.growth.sites.key_path import KeyPath, Keys, described, spelled
from kasmina.growth.sites.pattern import split
from kasmina.growth.sites.probe import Call, HostInput, Passage, Seen, longer, probe


class UnusableSite(Exception):
    """Reason why a module cannot be a site."""


@frozen(eq=False)
class Probes:
    """Passages of two probe forwards, the second with one sample more in the batch."""

    host: nn.Module
    first: Mapping[str, Passage]
    second: Mapping[str, Passage]

    def order(self, name: str) -> int:
        """Return the position of a module's first call among all; those that are never called come first."""
        return self.first[name].order if name in self.first else -1


@frozen(eq=False)
class Endpoint:
    """One end of a site: a tensor that a module reads or gives, at its first call."""

    part: KeyPath
    shape: tuple[int, ...]
    """Shape of one sample."""
    seen: list[Seen]
    """Tensor of every call."""

    @property
    def tensor(self) -> Tensor:
        """Tensor of the first call."""
        return self.seen[0].tensor


def probe_twice(host: nn.Module, sample: HostInput) -> Probes:
    """Run the probe on the sample, and on a copy with its first row repeated, which tells the batch dimension apart.

    Raises:
        UsageError: There is no tensor in the sample, or the host takes no other batch than that one.
    """
    first, more = probe(host, sample), longer(sample)
    try:
        return Probes(host, first, probe(host, more))
    except Exception as error:
        raise UsageError(
            f"the host takes the sample, and fails with its first row once more in the end ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}); in a sample only the batch may have the size of the batch"
        ) from error


def find_endpoint(end: str, probes: Probes, *, read: bool, span: bool) -> Endpoint:
    """Return the endpoint of this name, such as "lstm[0]".

    Args:
        end: Name of a module, and of a tensor behind it.
        probes: Passages of two probe forwards.
        read: Whether the endpoint is read, and not added to.
        span: Whether the site spans two modules.

    Raises:
        UnusableSite: It cannot be an endpoint, for the reason that is given.
    """
    name, tensor = split(end)
    if name not in probes.first:
        raise UnusableSite("is never called by the host's forward")
    if name not in probes.second:
        raise UnusableSite("is called for one batch and not for another")
    calls = probes.first[name].calls
    if span and len(calls) != 1:
        raise UnusableSite(f"is called {len(calls)} times in one forward: a seed may stand after it, and not span it")
    path = _path(name, tensor, calls[0], read)
    seen, others = ([_at(path, call, read) for call in probed[name].calls] for probed in (probes.first, probes.second))
    found = {_one_sample(one.tensor, other.tensor, read) for one, other in zip(seen, others, strict=False)}
    if len(found) > 1:
        raise UnusableSite(f"is called {len(calls)} times in one forward and gives other shapes or types each time")
    batch, shape, _ = found.pop()
    return Endpoint(KeyPath(path, batch), shape, seen)


def _path(name: str, tensor: str, call: Call, read: bool) -> Keys:
    """Return the path to the tensor that was named, or to the one that is meant where none was."""
    whole, seen = (call.arguments, call.read) if read else (call.output, call.gave)
    ways = {spelled(path): path for path in seen}
    path = ways.get(tensor) if tensor else _first_argument(whole, seen) if read else _first_tensor(whole, seen)
    if path is not None:
        return path
    choice = " or ".join(repr(name + way) for way in list(ways)[:3])
    hint = f"say which, as in {choice}" if choice else "there is no tensor in it"
    if tensor:
        raise UnusableSite(f"does not name a tensor that it {'reads' if read else 'gives'}; {hint}")
    raise UnusableSite(
        f"{'does not read a tensor as its first argument' if read else f'gives {described(whole)}'}; {hint}"
    )


def _first_argument(whole: Mapping[int | str, Any], seen: Mapping[Keys, Seen]) -> Keys | None:
    return next(((key,) for key in list(whole)[:1] if (key,) in seen), None)


def _first_tensor(whole: Any, seen: Mapping[Keys, Seen]) -> Keys | None:
    """Return the path to the tensor itself, the first of a tuple, or the only one of a mapping."""
    outer = [path for path in seen if len(path) < 2]
    return outer[0] if len(outer) == 1 or (outer and isinstance(whole, tuple | list)) else None


def _at(path: Keys, call: Call, read: bool) -> Seen:
    seen = (call.read if read else call.gave).get(path)
    if seen is None or seen.tensor.is_nested:
        why = "not at every call" if seen is None else "as a nested tensor, which has no one shape"
        raise UnusableSite(f"{'reads' if read else 'gives'} this tensor {why}")
    return seen


def _one_sample(one: Tensor, other: Tensor, read: bool) -> tuple[int, tuple[int, ...], torch.dtype]:
    """Return the batch dimension, the shape of one sample and the type, by the tensors of two batches.

    A first dimension that differs is the batch's even if it is not as long, for samples may be rows of many kinds:
    windows of an image, words of all sentences in a row.
    """
    shapes = tuple(one.shape), tuple(other.shape)
    verb = "reads" if read else "gives"
    if len(shapes[0]) != len(shapes[1]):
        raise UnusableSite(f"{verb} {shapes[0]} for one batch and {shapes[1]} for another, of other dimensions")
    differ = [dim for dim, sizes in enumerate(zip(*shapes, strict=True)) if sizes[0] != sizes[1]]
    if not differ:
        raise UnusableSite(f"{verb} {shapes[0]} for any batch: a seed must see samples, and these are none")
    if len(differ) > 1:
        raise UnusableSite(f"{verb} {shapes[0]} for one batch and {shapes[1]} for another: more than the batch differs")
    batch = differ[0]
    return batch, shapes[0][:batch] + shapes[0][batch + 1 :], one.dtype
