"""Several blueprints in one seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field, validators

from kasmina import Site
from kasmina.plugins.catalog import find
from kasmina.plugins.drivers import make
from kasmina.plugins.messages import row
from kasmina.plugins.plugin_state import has_state, load_state, state_of
from kasmina_blueprints import parts

if TYPE_CHECKING:
    from torch import nn


@attrs.define(eq=False)
class Mixture:
    """A mixture of experts: modules of several blueprints, and a gate that weighs their outputs at every position.

    The gate is a linear map of the input, then softmax over the members; it begins with equal shares. It depends on
    the sample, unlike the one learned weight for each member in DARTS (Liu et al., ICLR 2019): a constant weight adds
    nothing to a member's own last map and serves only to choose one member in the end. All members run for every
    sample. Members that do not fit a site are left out there; a single remaining member has no gate.

    Sites: those that one of its members fits.
    Parameters: theirs + (in + 1) * members, for two or more members that fit.
    Source: Jacobs et al., "Adaptive mixtures of local experts", Neural Computation 1991; at every position as in
    Shazeer et al., "Outrageously large neural networks: the sparsely-gated mixture-of-experts layer", ICLR 2017.
    """

    members: tuple[str, ...] = field(
        default=("bottleneck", "glu"),
        validator=validators.min_len(1),
        metadata={"help": "installed blueprints, NAME or DIST:NAME, each with its own defaults"},
    )
    _made: tuple[Any, ...] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._made = tuple(make(find("blueprint", word), {}) for word in self.members)
        if any(isinstance(member, Mixture) for member in self._made):
            raise ValueError("'members' must be other blueprints, and a mixture is no part of itself")

    def state_dict(self) -> dict[str, Any]:
        """Return the states of the members that have one, by their names."""
        members = zip(self.members, self._made, strict=True)
        return {word: state_of(member) for word, member in members if has_state("blueprint", member)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Give the members back the states that `state_dict` returned."""
        for word, member in zip(self.members, self._made, strict=True):
            if word in state:
                load_state(member, state[word])

    def fits(self, site: Site) -> str | None:
        """Return None where at least one member fits, otherwise the reasons of all."""
        reasons = [_reason(member, site) for member in self._made]
        if None in reasons:
            return None
        return f"mixture has no member that fits: {row(dict.fromkeys(filter(None, reasons)))}"

    def build(self, site: Site) -> nn.Module:
        """Return a map from (batch, *site.in_shape) to (batch, *site.out_shape).

        Raises:
            ValueError: no member fits, or a member's output has the wrong shape.
        """
        from kasmina_blueprints.modules import Mixed

        fitting = [(w, m) for w, m in zip(self.members, self._made, strict=True) if _reason(m, site) is None]
        if not fitting:
            raise ValueError(self.fits(site))
        built = [_tried(word, member.build(site), site) for word, member in fitting]
        if len(built) == 1:
            return built[0]
        gate = parts.linear(site, site.in_features, len(built))
        return Mixed(parts.zero_init(gate, "weight", "bias"), built, 1 if site.kind == "image" else -1)


def _reason(member: Any, site: Site) -> str | None:
    """Return why a member does not fit; a blueprint without `fits` fits everywhere."""
    reason: str | None = getattr(member, "fits", lambda site: None)(site)
    return reason


def _tried(word: str, module: nn.Module, site: Site) -> nn.Module:
    """Return the member's module after a trial on a copy: the sum of all members could hide a wrong shape.

    Raises:
        ValueError: the output has the wrong shape.
    """
    from copy import deepcopy

    import torch

    from kasmina_blueprints.modules import OnCopy

    x = torch.zeros(2, *site.in_shape)
    with torch.no_grad():
        came = tuple(deepcopy(module)(x).shape)
    if came != (2, *site.out_shape):
        raise ValueError(f"its member {word!r} gives {came}, due is {(2, *site.out_shape)}")
    # `_version` counts changes in place: a module that overwrites its input gets a copy, for other members read it too.
    return OnCopy(module) if x._version else module
