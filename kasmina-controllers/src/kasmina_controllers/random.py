"""Growth by chance, as a baseline for other controllers."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import attrs
from attrs import field, validators

from kasmina import Observation, Proposal, hookimpl


@attrs.define(eq=False)
class Random:
    """Germinates in each epoch with a fixed probability, at a free site drawn at random."""

    probability: float = field(
        default=0.1,
        validator=[validators.ge(0), validators.le(1)],
        metadata={"help": "probability of a germination in each epoch"},
    )
    seed: int = field(default=0, metadata={"help": "seed of the draws"})
    seeds: int = field(default=8, validator=validators.ge(0), metadata={"help": "maximum number of seeds"})
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
        """Return the state of the random generator."""
        version, words, spare = self._draw.getstate()
        return {"version": version, "words": list(words), "spare": spare}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._draw.setstate((state["version"], tuple(state["words"]), state["spare"]))
