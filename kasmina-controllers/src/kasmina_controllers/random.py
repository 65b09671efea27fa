"""Growth by chance, to compare a clever controller with."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import attrs
from attrs import field, validators

from kasmina import Observation, Proposal, hookimpl


@attrs.define(eq=False)
class Random:
    """Germinates with a fixed probability an epoch, at a free site drawn at random."""

    probability: float = field(
        default=0.1, validator=[validators.ge(0), validators.le(1)], metadata={"help": "of a germination, each epoch"}
    )
    seed: int = field(default=0, metadata={"help": "of the draws"})
    seeds: int = field(default=8, validator=validators.ge(0), metadata={"help": "how many seeds at most"})
    _draw: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._draw = random.Random(self.seed)

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        wished = self._draw.random() < self.probability
        free = [state.site.name for state in observation.sites if state.free]
        if not wished or not free or len(observation.seeds) >= self.seeds:
            return None
        return Proposal(self._draw.choice(free), "drawn at random")

    def state_dict(self) -> dict[str, Any]:
        version, words, spare = self._draw.getstate()
        return {"version": version, "words": list(words), "spare": spare}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._draw.setstate((state["version"], tuple(state["words"]), state["spare"]))
