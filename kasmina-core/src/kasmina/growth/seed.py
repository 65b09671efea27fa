"""A seed: one module that grows at one site, with its stage, its alpha and its candidates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from attrs import evolve
from torch import Tensor, nn

from kasmina.growth.candidates import Candidates
from kasmina.growth.health import gradient_finite
from kasmina.growth.rng import RngStream
from kasmina.growth.site_module import SiteModule
from kasmina.growth.sites.find import BoundSite
from kasmina.records import SeedState, Stage


class Seed(SiteModule):
    """One module that grows at one place.

    Args:
        id: Number of the seed, from 1.
        place: Site at which it grows.
        body: Module that it adds.
        blueprint: Name of the blueprint that built the module.
        epoch: Epoch in which it germinates.
        stream: Random numbers of its own.
        alternatives: Blueprints and modules of further candidates, which train side by side with the first.

    Raises:
        PluginError: A module fails on the site's shape, or does not fit it.
    """

    def __init__(
        self,
        id: int,
        place: BoundSite,
        body: nn.Module,
        blueprint: str,
        epoch: int,
        stream: RngStream,
        alternatives: Sequence[tuple[str, nn.Module]] = (),
    ) -> None:
        state = SeedState(id, place.site.name, blueprint, Stage.DORMANT, 0.0, 0, epoch)
        super().__init__(place, body, state, stream)
        self.steps = 0
        """Training steps spent in the present stage."""
        self.nonfinite = False
        """Whether the seed is culled because something of it is not finite."""
        self.train()
        self._runner.try_out(self.body, blueprint)
        if alternatives:
            self._add_candidates(alternatives)
        self.change(parameters=_size(self.body))

    @property
    def id(self) -> int:
        """Number of the seed, from 1."""
        return self.state.id

    @property
    def blueprint(self) -> str:
        """Name of its blueprint; names with "or" between them while candidates of several train."""
        return self.state.blueprint

    @property
    def stage(self) -> Stage:
        """Stage of its life."""
        return self.state.stage

    @property
    def level(self) -> float:
        """Alpha as a plain number, so that reading it never waits for the device."""
        return self.state.alpha

    @level.setter
    def level(self, value: float) -> None:
        self.change(alpha=value)
        self.alpha.fill_(value)

    def change(self, **fields: Any) -> None:
        """Replace the record of the seed by one with these fields of `SeedState` changed."""
        self.state = evolve(self.state, **fields)

    def get_extra_state(self) -> dict[str, Any]:
        """Return what the seed is apart from its weights: with them it is enough to make it again (`revive`)."""
        state = self.state
        return {
            "id": state.id,
            "site": state.site,
            "size": self.place.site.size,
            "blueprints": self.body.names if isinstance(self.body, Candidates) else [state.blueprint],
            "stage": state.stage.value,
            "steps": self.steps,
            "level": state.alpha,
            "germinated_at": state.germinated_at,
            "active_at": state.active_at,
            "contribution": state.contribution,
            # Only of a body that draws random numbers: those of building it are drawn again when it is built again.
            "stream": self._runner.stream.state_dict() if self._runner.draws else None,
            # Of one call a forward pass, the next pass replaces it before anybody looks.
            "last_output": self._last_output if self.place.calls > 1 else None,
            "buffers": dict(_unsaved_buffers(self.body)),
        }

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take over what `get_extra_state` gave, but for id, site and blueprints, with which the seed was made."""
        kept = {name: state[name] for name in ("active_at", "contribution")}
        self.change(stage=Stage(state["stage"]), **kept)
        self.steps, self.level = state["steps"], state["level"]
        self._last_output = state["last_output"]
        if state["stream"]:
            self._runner.stream.load_state_dict(state["stream"])
        for name, buffer in state["buffers"].items():
            self.body.get_buffer(name).copy_(buffer)

    @property
    def finite(self) -> bool:
        """Whether its weights are finite, and its last output in training. Waits for the device."""
        return _finite(self) and (self._last_output is None or bool(self._last_output.isfinite().all()))

    @property
    def gradients_finite(self) -> bool:
        """Whether weights and gradients are finite, of one candidate if there are several. Waits for the device."""
        if isinstance(self.body, Candidates):
            return any(self.body.finite())
        return all(map(gradient_finite, self.parameters()))

    @property
    def undecided(self) -> bool:
        """Whether several candidates learn side by side, and one of them will be the seed."""
        return isinstance(self.body, Candidates)

    @property
    def candidates(self) -> list[tuple[str, nn.Module]]:
        """Blueprints and modules of those candidates of which all is finite, as `finite` has it."""
        assert isinstance(self.body, Candidates)
        members = zip(self.body.names, self.body.as_modules(), strict=True)
        outputs = [True] * len(self.body.names)
        if self._last_output is not None:
            outputs = self._last_output.flatten(1).isfinite().all(1).tolist()
        return [(name, body) for (name, body), fine in zip(members, outputs, strict=True) if fine and _finite(body)]

    @contextmanager
    def substituted(self, body: nn.Module) -> Iterator[None]:
        """Run the host within it as if the seed were this module, and wholly blended in."""
        kept = self.body, self.state
        self.body = body.train(self.training)
        self.change(stage=Stage.PROBATION)
        try:
            yield
        finally:
            self.body, self.state = kept

    def choose(self, blueprint: str, body: nn.Module) -> None:
        """Make the seed one of its candidates from now on."""
        self.body = body.train(self.training)
        self.change(blueprint=blueprint, parameters=_size(body))
        self._last_output = None
        self._runner.forget()  # what was tried was all of them
        self._runner.try_out(self.body, blueprint)

    def _add_candidates(self, alternatives: Sequence[tuple[str, nn.Module]]) -> None:
        """Put candidates side by side in the place of the body."""
        members = [(self.blueprint, self.body)]
        for name, alternative in alternatives:
            members.append((name, alternative.to(self.place.device, self.place.dtype).train()))
            self._runner.try_out(alternative, name)
        self.change(blueprint=" or ".join(dict.fromkeys(name for name, _ in members)))
        with self._runner.stream.own(keep=False):
            self.body = Candidates(members, self._runner.zeros())


def revive(state: Mapping[str, Any], places: Mapping[str, BoundSite]) -> Seed:
    """Return the seed of which this is the `state_dict`, built anew; it is not yet in the host's forward pass.

    Args:
        state: Value of `Seed.state_dict`.
        places: Sites by name, with the builders of the seed's module, or of its candidates.

    Raises:
        KeyError, RuntimeError: The state is of another module than the blueprint builds now.
    """
    facts = state["_extra_state"]
    place = places[facts["site"]].sized(facts["size"])
    stream = RngStream(place.device, 0)
    with stream.own():
        first, *alternatives = [(name, place.builders[name](place.site)) for name in facts["blueprints"]]
    seed = Seed(facts["id"], place, first[1], first[0], facts["germinated_at"], stream, alternatives)
    seed.load_state_dict(state)
    return seed


def _unsaved_buffers(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield the buffers that are in no `state_dict`, by name; a module may have drawn them when it was built."""
    for path, part in module.named_modules():
        for name in sorted(part._non_persistent_buffers_set):
            if (buffer := part._buffers[name]) is not None:
                yield f"{path}.{name}".lstrip("."), buffer


def _finite(module: nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in module.parameters())


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
