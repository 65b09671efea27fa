"""Growth in a loop of the user's own: nothing changes but by what a controller decides."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import kasmina
from kasmina import Event, Observation, Proposal, Site, Stage, hookimpl
from kasmina.errors import PluginError, UsageError
from kasmina.growth.germination import INIT_ROWS
from kasmina.growth.recorder import ROWS, ActivationRecorder

BATCHES, BATCH = 4, 8


@attrs.define(eq=False)
class Script:
    """Germinates after the epochs that it was told."""

    germinates: dict[int, str] = attrs.field(factory=dict)
    asks: bool = False
    seen: list[Observation] = attrs.field(factory=list)
    told: list[Event] = attrs.field(factory=list)

    @hookimpl
    def on_epoch_end(self, observation: Observation) -> None:
        self.seen.append(observation)

    @hookimpl
    def on_seed_change(self, event: Event) -> None:
        self.told.append(event)

    @hookimpl
    def wants_statistics(self) -> bool:
        return self.asks

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        site = self.germinates.get(observation.epoch)
        return Proposal(site) if site else None


@attrs.define(eq=False)
class Hidden:
    """One hidden layer."""

    units: int = 4

    def build(self, site: Site) -> nn.Module:
        return nn.Sequential(
            nn.Linear(site.in_features, self.units), nn.Tanh(), nn.Linear(self.units, site.out_features)
        )


class Loop:
    """A plain loop; `growth` is what is attached to it, if anything is."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.host = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.2), nn.Linear(4, 1))
        self.optimizer = torch.optim.Adam(self.host.parameters(), 0.02)
        self.x, self.x_validation = torch.randn(BATCHES * BATCH, 3), torch.randn(16, 3)
        self.growth: Any = None

    def attach(self, script: Script, **options: Any) -> Loop:
        named: dict[str, Any] = {"sites": "0:3", "blueprint": Hidden(), "probation": 1} | options
        self.growth = kasmina.attach(
            self.host, self.optimizer, self.x[:BATCH], self.validation, controller=script, **named
        )
        return self

    def loss(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = (self.host(x) - x.prod(1, keepdim=True)).square().mean()
        return y

    def validation(self) -> torch.Tensor:
        assert not self.host.training and not torch.is_grad_enabled()
        return self.loss(self.x_validation)

    def train(self, epochs: int) -> Loop:
        for _ in range(epochs):
            for x in self.x.split(BATCH):
                self.optimizer.zero_grad()
                loss = self.loss(x)
                loss.backward()
                self.optimizer.step()
                if self.growth:
                    self.growth.after_step(loss)
            if self.growth:
                self.growth.after_epoch()
        return self


def outputs(host: nn.Module) -> list[torch.Tensor]:
    return [host.eval()(torch.ones(2, 3)).detach(), *(tensor.clone() for tensor in host.state_dict().values())]


@given(st.booleans(), st.integers(1, 4))
@settings(deadline=None, max_examples=10)
def test_a_loop_without_a_germination_ends_with_the_same_bits(asks: bool, epochs: int) -> None:
    bare, watched = Loop().train(epochs), Loop().attach(Script(asks=asks)).train(epochs)
    watched.growth.detach()
    assert all(map(torch.equal, outputs(bare.host), outputs(watched.host)))


@pytest.mark.parametrize("epochs", range(6))
def test_a_loop_that_was_saved_goes_on_with_the_same_bits(epochs: int, tmp_path: Path) -> None:
    def parts(loop: Loop) -> list[Any]:
        return [loop.host, loop.growth, loop.optimizer]

    germinates = {1: "0:3", 4: "0:3"}
    whole = Loop().attach(Script(germinates), init="aligned").train(6)
    first = Loop().attach(Script(germinates), init="aligned").train(epochs)
    torch.save([*[part.state_dict() for part in parts(first)], torch.get_rng_state()], tmp_path / "saved.pt")
    *states, random = torch.load(tmp_path / "saved.pt")  # plain values and tensors: it would refuse anything else
    again = Loop().attach(Script(germinates), init="aligned")
    for part, state in zip(parts(again), states, strict=True):
        part.load_state_dict(state)
    torch.set_rng_state(random)
    again.train(6 - epochs)
    assert again.growth.seeds == whole.growth.seeds
    assert all(map(torch.equal, outputs(again.host), outputs(whole.host)))


def test_a_seed_lives_its_life_and_the_host_keeps_its_names() -> None:
    script = Script({1: "0:3"})
    loop = Loop().attach(script).train(8)
    assert list(loop.host.state_dict()) == list(Loop().host.state_dict())
    assert [event.seed.stage for event in script.told][:3] == [Stage.TRAINING, Stage.BLENDING, Stage.PROBATION]
    assert script.told[-1].seed.stage in (Stage.ACTIVE, Stage.CULLED)
    durations = [after.step - before.step for before, after in zip(script.told, script.told[1:], strict=False)]
    assert durations[:2] == [BATCHES // 2, BATCHES]
    assert loop.growth.parameters == script.seen[-1].parameters


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_detaching_moves_the_output_in_no_stage_and_ends_growth(epochs: int) -> None:
    loop = Loop().attach(Script({1: "0:3"})).train(epochs)
    before = outputs(loop.host)
    loop.growth.detach()
    assert all(map(torch.equal, before, outputs(loop.host)))
    assert all(seed.stage is not Stage.TRAINING for seed in loop.growth.live_seeds)


def test_the_grown_host_is_to_be_had_without_kasmina() -> None:
    loop = Loop().attach(Script({1: "0:3"})).train(3)
    loop.growth.detach()
    plain = loop.growth.plain(loop.x)
    assert loop.host.training
    torch.testing.assert_close(plain(loop.x), loop.host.eval()(loop.x), rtol=1e-5, atol=1e-6)
    assert not any("kasmina" in type(module).__module__ for module in plain.modules())
    assert sum(weights.numel() for weights in plain.parameters()) >= 4 * 3 + 4 + 4 * 1 + 1


def test_observations_count_and_measure_what_the_loop_did() -> None:
    script = Script(asks=True)
    loop = Loop().attach(script).train(3)
    assert [(seen.epoch, seen.step) for seen in script.seen] == [(1, 4), (2, 8), (3, 12)]
    assert [seen.sites[0].need is None for seen in script.seen] == [True, False, False]
    assert all(seen.constant_loss is None for seen in script.seen), "the loop did not say what it learns from"
    loop.host.eval()
    with torch.no_grad():
        assert script.seen[-1].validation_loss == loop.validation().item() == -script.seen[-1].validation_metric


@pytest.mark.parametrize("init", ["built", "zero_out", "orthogonal"])
def test_a_seed_that_needs_no_statistics_is_there_at_once(init: str | None) -> None:
    script = Script({2: "0:3"})
    loop = Loop().attach(script, init=init).train(2)
    assert [(event.epoch, event.step) for event in script.told] == [(2, 2 * BATCHES)]
    assert bool(loop.growth.manager.seeds[1].body[2].weight.any()) == (init == "built")


@given(st.sampled_from([None, "gradmax", "tiny", "aligned"]), st.integers(1, 2 * INIT_ROWS // BATCH))
@settings(deadline=None, max_examples=12)
def test_a_seed_of_an_init_that_measures_comes_with_the_last_row_that_it_needs(init: str | None, batches: int) -> None:
    """Or at the end of the epoch if that is sooner; of what it measured with, nothing stays on the host."""
    loop, script = Loop(), Script({1: "0:3"})
    loop.x = torch.randn(batches * BATCH, 3)
    loop.attach(script, init=init, training=99).train(2)
    steps = min(batches, INIT_ROWS // BATCH)
    assert [(event.epoch, event.step) for event in script.told] == [(2, batches + steps)]
    hooks = [(*module._forward_pre_hooks.values(), *module._forward_hooks.values()) for module in loop.host]
    assert [len(found) for found in hooks] == [1, 0, 0, 1]


def test_aligned_weights_are_those_of_the_init_on_what_passed() -> None:
    loop = Loop().attach(Script({1: "0:3"}), init="aligned", training=99).train(1)
    watch = ActivationRecorder(loop.growth.manager.places, INIT_ROWS)
    watch.start()
    with pytest.MonkeyPatch.context() as patch:
        given_samples = []
        patch.setattr(
            "kasmina.growth.germination.initialise", lambda name, body, sample, generator: given_samples.append(sample)
        )
        loop.train(1)
    (ours,), (theirs,) = given_samples, watch.samples().values()
    assert all(
        torch.equal(getattr(ours, part), getattr(theirs, part)) for part in ("input", "target_input", "output_grad")
    )


def test_an_init_that_was_asked_for_and_does_not_fit_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(UsageError, match="growth.init=tiny .*'Narrow'.*Linear"):
        Loop().attach(Script(), blueprint=Narrow(), init="tiny")
    Loop().attach(Script({1: "0:3"}), blueprint=Narrow()).train(3)


@attrs.define(eq=False)
class Narrow:
    """One map, which no init but its own fits."""

    def build(self, site: Site) -> nn.Module:
        return nn.Linear(site.in_features, site.out_features)


def test_a_target_needs_a_metric() -> None:
    loop = Loop().attach(Script(), target=0.9)
    with pytest.raises(UsageError, match="target.*metric"):
        loop.train(1)


def test_what_happened_is_to_be_read() -> None:
    loop = Loop().attach(script := Script({1: "0:3"})).train(8)
    assert loop.growth.events == script.told
    assert [(seed.id, seed.stage) for seed in loop.growth.seeds] == [(1, script.told[-1].seed.stage)]
    assert "Hidden at 0:3" in repr(loop.growth) and "epoch 8" in repr(loop.growth)


def test_several_blueprints_compete() -> None:
    script = Script({1: "0:3"})
    Loop().attach(script, blueprint=[Hidden(2), Wide(9)], candidates=2).train(3)
    assert "best of 4" in script.told[1].reason and script.told[1].seed.blueprint in ("Hidden", "Wide")


class Wide(Hidden):
    """Of another name."""


@pytest.mark.parametrize(
    ("options", "error", "part"),
    [
        ({"sites": "9"}, UsageError, "no module '9'"),
        ({"blueprint": "fouriers"}, UsageError, "fouriers"),
        ({"controller": "nobody"}, UsageError, "nobody"),
        ({"sites": []}, UsageError, "site"),
        ({"training": -1}, UsageError, "training"),
        ({"sites": ""}, UsageError, "sites: name"),
        ({"init": "gradmx"}, UsageError, "init.*gradmax"),
        ({"candidates": "four"}, UsageError, "candidates"),
        ({"controler": "never"}, UsageError, "controler"),
    ],
)
def test_what_does_not_fit_is_said_at_once(options: dict[str, Any], error: type[Exception], part: str) -> None:
    loop = Loop()
    with pytest.raises(error, match=part):
        named: dict[str, Any] = {"sites": "0:3", "blueprint": Hidden(), "controller": Script()} | options
        kasmina.attach(loop.host, loop.optimizer, loop.x[:BATCH], loop.validation, **named)


def test_a_controller_that_names_another_site_breaks_the_contract() -> None:
    with pytest.raises(PluginError, match="'5'.*0:3"):
        Loop().attach(Script({1: "5"})).train(1)


def test_importing_kasmina_loads_no_torch_until_attach_is_asked_for() -> None:
    import subprocess
    import sys

    program = "import sys, kasmina; a = 'torch' in sys.modules; kasmina.attach; print(a, 'torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == ["False", "True"]


class Text(nn.Module):
    """Called by name, and gives a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.map, self.head = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, *, ids: torch.Tensor, mask: torch.Tensor) -> dict[str, torch.Tensor]:
        h = self.map(self.embed(ids)) * mask[..., None]
        return {"logits": self.head(h.sum(1) / mask.sum(1, keepdim=True))}


def test_a_host_may_be_called_by_name_with_texts_of_any_length() -> None:
    host = Text()
    optimizer = torch.optim.SGD(host.parameters(), 0.1)

    def loss(length: int) -> torch.Tensor:
        y: torch.Tensor = (
            host(ids=torch.randint(9, (BATCH, length)), mask=torch.ones(BATCH, length))["logits"].square().mean()
        )
        return y

    sample = {"ids": torch.randint(9, (BATCH, 7)), "mask": torch.ones(BATCH, 7)}
    script = Script({1: "map"}, asks=True)
    growth = kasmina.attach(
        host, optimizer, sample, lambda: loss(5), sites="*@Linear", blueprint=Hidden(), controller=script
    )
    for _ in range(2):
        for length in (3, 7, 7, 4):
            optimizer.zero_grad()
            step = loss(length)
            step.backward()
            optimizer.step()
            growth.after_step(step)
        growth.after_epoch()
    assert [site.site.name for site in script.seen[0].sites] == ["map", "head"]
    assert [event.seed.site for event in script.told][:1] == ["map"]
    assert growth._needs.steps == math.ceil(ROWS / BATCH), "the batch is of samples, and not of arguments"


def test_an_epoch_without_steps_is_a_sentence() -> None:
    loop = Loop().attach(Script())
    with pytest.raises(UsageError, match=r"call growth\.after_step\(loss\) after each step"):
        loop.growth.after_epoch()
