"""The checks for authors: sound plugins pass, and each fault is caught by the check that is named for it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from kasmina import Event, Metrics, Observation, Proposal, RunInfo, SeedState, Site, Verdict, hookimpl
from kasmina.testing import blueprint_checks, controller_checks, logger_checks


class Map(nn.Module):
    """A linear map of the width, from zero; `tamper` is what a stranger does wrong around it."""

    def __init__(self, site: Site, tamper: Callable[[Map, Tensor, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self.map = nn.Linear(site.in_features, site.out_features)
        nn.init.zeros_(self.map.weight)
        self.image, self.tamper, self.calls = site.kind == "image", tamper, 0

    def forward(self, x: Tensor) -> Tensor:
        y = self.map(x.movedim(1, -1)).movedim(-1, 1) if self.image else self.map(x)
        return y if self.tamper is None else self.tamper(self, x, y)


@attrs.define(eq=False)
class Sound:
    """Nothing is wrong with it."""

    width: int = 3

    def fits(self, site: Site) -> str | None:
        positions = slice(1, None) if site.kind == "image" else slice(-1)
        return None if site.in_shape[positions] == site.out_shape[positions] else "positions change"

    def build(self, site: Site) -> nn.Module:
        return Map(site)


def tampered(tamper: Callable[[Map, Tensor, Tensor], Tensor]) -> type:
    return attrs.define(eq=False)(type("Tampered", (Sound,), {"build": lambda self, site: Map(site, tamper)}))


def counting(module: Map, x: Tensor, y: Tensor) -> Tensor:
    module.calls += module.training
    return y * (1 + module.calls)


def noisy(module: Map, x: Tensor, y: Tensor) -> Tensor:
    return y + torch.randn_like(y)


def wide(module: Map, x: Tensor, y: Tensor) -> Tensor:
    return torch.cat([y, y], 1)


def infinite(module: Map, x: Tensor, y: Tensor) -> Tensor:
    return y + torch.inf


def reseeds(module: Map, x: Tensor, y: Tensor) -> Tensor:
    torch.manual_seed(0)
    return y + 0.1 * torch.randn_like(y)


def in_double(module: Map, x: Tensor, y: Tensor) -> Tensor:
    return y.float()


def writes_up(module: Map, x: Tensor, y: Tensor) -> Tensor:
    return y.detach() * module.map.weight.sum()


@attrs.define(eq=False)
class Dead(Sound):
    def build(self, site: Site) -> nn.Module:
        module = Map(site, lambda module, x, y: y.relu())
        nn.init.constant_(module.map.bias, -1)
        return module


@attrs.define(eq=False)
class Lazy(Sound):
    def fits(self, site: Site) -> str | None:
        return "no vector" if site.kind != "vector" else None

    def build(self, site: Site) -> nn.Module:
        return nn.LazyLinear(site.out_features)


@attrs.define(eq=False)
class SiteBlind(Sound):
    def fits(self, site: Site) -> str | None:
        return None


@attrs.define(eq=False)
class Picky(Sound):
    def fits(self, site: Site) -> str | None:
        return "it is never right"


@attrs.define(eq=False)
class Yes(Sound):
    def fits(self, site: Site) -> Any:
        return True


@attrs.define(eq=False)
class Hooked(Sound):
    """Leaves a hook on every module there is."""

    def build(self, site: Site) -> nn.Module:
        nn.modules.module.register_module_forward_hook(lambda module, args, output: None)
        return Map(site)


@attrs.define(eq=False)
class Varying(Sound):
    def build(self, site: Site) -> nn.Module:
        size = int(torch.randint(1, 99, ()))
        return nn.Sequential(Map(site), nn.ParameterList([torch.ones(size)]))


@attrs.define(eq=False)
class Needs(Sound):
    size: int = attrs.field(kw_only=True)


@attrs.define(eq=False)
class Forgets(Sound):
    """Its option is another once it is made."""

    def __attrs_post_init__(self) -> None:
        self.width += 1


@attrs.define
class Equal(Sound):
    pass


class Plain:
    def build(self, site: Site) -> nn.Module:
        return Map(site)


@attrs.define(eq=False)
class Typo(Sound):
    @hookimpl
    def on_epoch_ends(self, observation: Any) -> None: ...


BLUEPRINTS = {
    "is an attrs class": (Equal, Plain),
    "defaults make it": (Needs,),
    "options come back": (Forgets,),
    "implements hooks rightly": (Typo,),
    "fits tells the truth": (SiteBlind, Yes, tampered(wide)),
    "parameters are settled": (Lazy, Varying),
    "evaluation repeats itself": (tampered(noisy),),
    "gives numbers": (tampered(infinite),),
    "leaves the seed alone": (tampered(reseeds),),
    "copies and saves": (tampered(counting),),
    "fits a small task": (tampered(writes_up),),
    "birth changes nothing": (Picky, tampered(in_double)),
    "seeds learn": (Dead,),
    "nothing jumps": (tampered(infinite),),
    "dormant is free": (Hooked,),
}


def failed(checks: list[Any], *names: str) -> dict[str, str]:
    """The sentences of the checks that fail, of those that are named or of all."""
    sentences = {}
    for check in checks:
        if not names or check.name in names:
            try:
                check()
            except AssertionError as error:
                sentences[check.name] = str(error)
    return sentences


def one_sentence(sentence: str) -> bool:
    return "; but " in sentence and "\n" not in sentence


@pytest.fixture(autouse=True)
def no_hooks_stay() -> Iterator[None]:
    yield
    nn.modules.module._global_forward_hooks.clear()


@pytest.mark.parametrize("check", blueprint_checks(Sound, width=4))
def test_a_sound_blueprint_passes(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(("name", "cls"), [(name, cls) for name, many in BLUEPRINTS.items() for cls in many])
def test_a_fault_of_a_blueprint_is_caught(name: str, cls: type) -> None:
    sentence = failed(blueprint_checks(cls), name)[name]
    assert one_sentence(sentence)


def test_a_fault_is_told_with_its_place() -> None:
    sentence = failed(blueprint_checks(Dead), "seeds learn")["seeds learn"]
    assert sentence.startswith("every parameter of a seed gets a gradient within two steps; but no gradient reached")
    assert sentence.endswith("of a small host, vector of 6 to 6, float32)")


# -- controllers -------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class First:
    """Germinates at the first free site, every tenth epoch."""

    every: int = 10

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        free = [state.site.name for state in observation.sites if state.free]
        return Proposal(free[0], "it is time") if free and observation.epoch % self.every == 0 else None


@attrs.define(eq=False)
class Anywhere(First):
    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        return Proposal(observation.sites[0].site.name)


@attrs.define(eq=False)
class Word(First):
    @hookimpl
    def propose_germination(self, observation: Observation) -> Any:
        return observation.sites[0].site.name


@attrs.define(eq=False)
class Elsewhere(First):
    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        return Proposal("nowhere")


@attrs.define(eq=False)
class Dice(First):
    @hookimpl
    def judge_seed(self) -> Verdict:
        return Verdict(random.random() < 0.5)


@attrs.define(eq=False)
class Target(First):
    @hookimpl
    def wants_statistics(self, observation: Observation) -> bool:
        return observation.validation_metric < observation.target  # type: ignore[operator]


@attrs.define(eq=False)
class Second(First):
    @hookimpl
    def wants_statistics(self, observation: Observation) -> bool:
        return observation.sites[1].free


@attrs.define(eq=False)
class Backwards(First):
    @hookimpl
    def blend_step(self, seed: SeedState) -> float:
        return seed.alpha - 0.1


@attrs.define(eq=False)
class Fills(First):
    """Has room for a thousand epochs."""

    left: list[int] = attrs.field(factory=lambda: list(range(1000)), init=False)

    @hookimpl
    def on_epoch_end(self) -> None:
        self.left.pop()


REMEMBERED: list[int] = []


@attrs.define(eq=False)
class Remembers(First):
    """What one learned, all others know."""

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        REMEMBERED.append(observation.epoch)
        free = [state.site.name for state in observation.sites if state.free]
        return Proposal(free[0]) if free and len(REMEMBERED) % 7 == 0 else None


@attrs.define(eq=False)
class Counts(First):
    """Every seventh time that it is asked, from a field as it should be."""

    _asked: int = attrs.field(default=0, init=False)

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        self._asked += 1
        free = [state.site.name for state in observation.sites if state.free]
        return Proposal(free[0]) if free and self._asked % 7 == 0 else None


@attrs.define(eq=False)
class Streams(Counts):
    """Cannot be saved."""

    stream: random.Random = attrs.field(factory=lambda: random.Random(0), init=False)


@attrs.define(eq=False)
class Denies(Counts):
    """Says that it remembers nothing."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@attrs.define(eq=False)
class OnlyEver(Counts):
    """Right for a new instance, and wrong for one that goes back."""

    def state_dict(self) -> dict[str, Any]:
        return {"asked": self._asked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._asked = max(self._asked, state["asked"])


@attrs.define(eq=False, slots=False)
class Beside(First):
    """Remembers in something that is no field."""

    def __attrs_post_init__(self) -> None:
        self.asked = 0

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        self.asked += 1
        free = [state.site.name for state in observation.sites if state.free]
        return Proposal(free[0]) if free and self.asked % 7 == 0 else None


@attrs.define(eq=False)
class Option(First):
    """Remembers in an option."""

    @hookimpl
    def propose_germination(self, observation: Observation) -> Proposal | None:
        self.every += 1
        free = [state.site.name for state in observation.sites if state.free]
        return Proposal(free[0]) if free and self.every % 7 == 0 else None


CONTROLLERS = {
    "answers many runs": (Word, Elsewhere, Backwards),
    "survives a long run": (Fills,),
    "needs no target": (Target,),
    "waits for a free site": (Anywhere,),
    "survives a single site": (Second,),
    "same observations, same answers": (Dice, Remembers),
    "random numbers are apart": (Dice,),
    "goes on as if never stopped": (Streams, Denies, OnlyEver, Beside, Option),
}


def test_a_sound_controller_passes() -> None:
    assert failed(controller_checks(First, every=5)) == {} == failed(controller_checks(Counts))


@pytest.mark.parametrize(("name", "cls"), [(name, cls) for name, many in CONTROLLERS.items() for cls in many])
def test_a_fault_of_a_controller_is_caught(name: str, cls: type) -> None:
    assert one_sentence(failed(controller_checks(cls), name)[name])


# -- loggers -----------------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Notes:
    """Writes down what it is told."""

    file: str = "notes.txt"
    path: Path | None = attrs.field(default=None, init=False)

    @hookimpl
    def on_run_start(self, run: RunInfo) -> None:
        self.path = run.folder / self.file

    @hookimpl
    def log_metrics(self, metrics: Metrics, step: int) -> None:
        if self.path:
            with self.path.open("a") as file:
                file.write(f"{step} {json.dumps(metrics.as_dict())}\n")

    @hookimpl
    def on_run_end(self, summary: Mapping[str, Any]) -> None:
        self.path = None


def logger(**methods: Callable[..., Any]) -> type:
    return attrs.define(eq=False)(type("Wrong", (Notes,), {name: hookimpl(method) for name, method in methods.items()}))


def remembering_logger(give: Callable[..., Any], take: Callable[..., None] = lambda self, state: None) -> type:
    return attrs.define(eq=False)(type("Wrong", (Notes,), {"state_dict": give, "load_state_dict": take}))


def named_files(self: Notes, metrics: Metrics, step: int) -> None:
    if self.path:
        for seed in metrics.seeds:
            (self.path.parent / seed.site).write_text("")


def as_integers(self: Notes, metrics: Metrics, step: int) -> None:
    [int(value) for value in metrics.as_dict().values()]


def mean(self: Notes, histograms: Mapping[str, np.ndarray[Any, Any]]) -> None:
    sum(map(len, histograms.values())) / len(histograms)


def results(self: Notes, summary: Mapping[str, Any]) -> None:
    format(summary["test"], ".3f")


def once(self: Notes, run: RunInfo) -> None:
    assert self.path is None, "a run is on"
    self.path = run.folder / self.file
    self.file = "only once"
    self.path.touch(exist_ok=False)


def stays(self: Notes, run: RunInfo) -> None:
    if self.path is None:
        self.path = run.folder / self.file


def threaded(self: Notes, summary: Mapping[str, Any]) -> None:
    threading.Thread(target=time.sleep, args=(3,), daemon=True).start()


def swallows(self: Notes, summary: Mapping[str, Any]) -> None:
    sys.stdout = sys.stderr


def events(self: Notes, event: Event) -> None:
    assert event.seed.stage != "active", "a stage of which nobody told"


def spread(self: Notes, histograms: Mapping[str, np.ndarray[Any, Any]]) -> None:
    [values.max() for values in histograms.values()]


def lacking(self: Notes, state: dict[str, Any]) -> None:
    self.file = state["what it never gave"]


LOGGERS = {
    "survives a whole run": (logger(on_seed_change=events),),
    "survives a failed run": (logger(on_run_end=results),),
    "survives unusual names": (
        logger(log_metrics=named_files),
        logger(log_metrics=as_integers),
        logger(log_histograms=spread),
    ),
    "survives an empty epoch": (logger(log_histograms=mean),),
    "survives hooks in any order": (logger(log_metrics=lambda self, metrics: self.path.write_text("")),),
    "logs two runs": (logger(on_run_start=stays, on_run_end=lambda self: None),),
    "goes on where it stopped": (logger(on_run_start=once),),
    "takes up what it remembers": (
        remembering_logger(lambda self: {"path": self.path}),
        remembering_logger(lambda self: {}, lacking),
        logger(on_incident=lambda self, incident: 1 / 0),
    ),
    "leaves nothing running": (logger(on_run_end=threaded), logger(on_run_end=swallows)),
    "writes into its folder": (
        logger(on_run_end=lambda self: Path("here.txt").write_text("")),
        logger(on_run_start=lambda self, run: (run.folder.parent / "beside.txt").write_text("")),
    ),
}


def test_a_sound_logger_passes() -> None:
    assert failed(logger_checks(Notes, file="other.txt")) == {}


@pytest.mark.parametrize(("name", "cls"), [(name, cls) for name, many in LOGGERS.items() for cls in many])
def test_a_fault_of_a_logger_is_caught(name: str, cls: type) -> None:
    assert one_sentence(failed(logger_checks(cls), name)[name])


# -- what they need ----------------------------------------------------------------------------------------------------


def test_checks_have_names_that_pytest_shows_and_no_two_are_alike() -> None:
    for checks in (blueprint_checks(Sound), controller_checks(First), logger_checks(Notes)):
        names = [check.__name__ for check in checks]
        assert len(set(names)) == len(names) and names == [check.name for check in checks]


def test_controllers_and_loggers_are_checked_without_torch_and_all_without_pytest() -> None:
    """Each in a process of its own; the plugins are this file's, in a module that needs no torch."""
    source = """
import sys, attrs
for absent in ("pytest", "_pytest", "hypothesis"): sys.modules[absent] = None
from kasmina.testing import blueprint_checks, controller_checks, logger_checks
@attrs.define(eq=False)
class Nothing: pass
for check in [*controller_checks(Nothing), *logger_checks(Nothing)]: check()
assert "torch" not in sys.modules
assert len(blueprint_checks(Nothing)) > 10
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
