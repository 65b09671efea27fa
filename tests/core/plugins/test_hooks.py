"""Hooks: the order of calls, the contract of arguments and answers, and what a plugin that raises costs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import attrs
import numpy as np
import pytest

from kasmina import Metrics, Observation, Proposal, SeedState, Verdict, hookimpl
from kasmina.errors import PluginError
from kasmina.plugins.catalog import KINDS, Entry
from kasmina.plugins.hooks import ANSWERS, HOOKS, Hooks


def entry(name: str, kind: str = "logger") -> Entry:
    return Entry(kind, name, "waves", "1.0", "ready", False, EntryPoint(name, "waves:It", KINDS[kind]))


def hooks_of(*plugins: object, kind: str = "logger") -> tuple[Hooks, list[str]]:
    warnings: list[str] = []
    named = [(entry(f"p{number}", kind), plugin) for number, plugin in enumerate(plugins)]
    return Hooks(named, warnings.append), warnings


@attrs.define
class Recorder:
    """Equal to its like, on purpose: authors forget eq=False."""

    seen: list[tuple[object, int]] = attrs.field(factory=list)

    @hookimpl
    def log_metrics(self, metrics: Metrics, step: int) -> None:
        self.seen.append((metrics, step))


class Raising:
    @hookimpl
    def log_metrics(self, step: int) -> None:
        raise ValueError("disk\nfull")

    @hookimpl
    def on_run_end(self, summary: Any) -> None:
        raise AssertionError("switched off, so never called")


class Answering:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    @hookimpl
    def propose_germination(self, observation: Observation) -> Any:
        return self.answer

    @hookimpl
    def wants_statistics(self, observation: Observation) -> Any:
        return self.answer

    @hookimpl
    def blend_step(self, seed: SeedState) -> Any:
        return self.answer

    @hookimpl
    def judge_seed(self, seed: SeedState) -> Any:
        return self.answer


def ask(hooks: Hooks, hook: str) -> object:
    return getattr(hooks, hook)(**dict.fromkeys(HOOKS[hook]))


def test_called_in_the_order_of_the_command_line() -> None:
    order: list[str] = []

    class Noting:
        def __init__(self, name: Any) -> None:
            self.name = name

        @hookimpl
        def on_step_end(self, step: int) -> None:
            order.append(self.name)

    class Pushing(Noting):
        @hookimpl(tryfirst=True)
        def on_step_end(self, step: int) -> None:
            order.append(self.name)

    hooks, _ = hooks_of(Noting("first"), Noting("second"), Pushing("third"))
    hooks.on_step_end(step=1)
    assert order == ["first", "second", "third"]


def test_first_answer_wins() -> None:
    hooks, _ = hooks_of(Answering(None), Answering(Verdict(True)), Answering(Verdict(False)), kind="controller")
    assert ask(hooks, "judge_seed") == Verdict(True)


def test_nobody_answers() -> None:
    hooks, _ = hooks_of(Recorder())
    assert all(ask(hooks, hook) is None for hook in ANSWERS)
    assert hooks.implements("log_metrics") and not hooks.implements("log_histograms")


def test_equal_plugins_are_two() -> None:
    one, two = Recorder(), Recorder()
    hooks, _ = hooks_of(one, two)
    hooks.log_metrics(metrics={}, step=7)
    assert one.seen == two.seen == [({}, 7)]


def test_specname_static_and_class_methods() -> None:
    seen = []

    class Odd:
        @hookimpl(specname="on_step_end")
        def tick(self, step: int) -> None:
            seen.append(("tick", step))

        @hookimpl
        @staticmethod
        def on_step_end(step: int) -> None:
            seen.append(("static", step))

        @hookimpl
        @classmethod
        def log_metrics(cls, step: int) -> None:
            seen.append(("class", step))

    hooks, _ = hooks_of(Odd())
    hooks.on_step_end(step=1)
    hooks.log_metrics(metrics={}, step=2)
    assert sorted(seen) == [("class", 2), ("static", 1), ("tick", 1)]


@pytest.mark.parametrize("hook", ANSWERS)
@pytest.mark.parametrize("answer", ["yes", 3 + 1j, [0.5], np.ones(1)])
def test_wrong_answer(hook: Any, answer: Any) -> None:
    hooks, _ = hooks_of(Answering(answer), kind="controller")
    with pytest.raises(PluginError) as caught:
        ask(hooks, hook)
    sentence = str(caught.value)
    assert sentence.startswith(f"the controller 'p0' of waves 1.0 answers {hook} with ")
    assert type(answer).__name__ in sentence and sentence.endswith(f"due is {ANSWERS[hook][1]}")


@pytest.mark.parametrize("alpha", [True, float("nan"), float("inf"), np.float32("nan")])
def test_alpha_is_a_finite_number(alpha: Any) -> None:
    with pytest.raises(PluginError, match="blend_step"):
        ask(hooks_of(Answering(alpha), kind="controller")[0], "blend_step")


@pytest.mark.parametrize("alpha", [0, 0.5, 1, np.float32(0.5), np.float64(0.5)])
def test_alpha_of_any_real_type(alpha: Any) -> None:
    assert ask(hooks_of(Answering(alpha), kind="controller")[0], "blend_step") == alpha


def test_a_proposal_and_statistics_pass() -> None:
    assert ask(hooks_of(Answering(Proposal("layers.1")))[0], "propose_germination") == Proposal("layers.1")
    assert ask(hooks_of(Answering(False))[0], "wants_statistics") is False


def test_a_raising_logger_is_reported_once_and_the_others_get_that_very_call() -> None:
    before, after = Recorder(), Recorder()
    hooks, warnings = hooks_of(before, Raising(), after)
    for step in (1, 2):
        hooks.log_metrics(metrics={}, step=step)
    hooks.on_run_end(run=None, summary={})
    assert before.seen == after.seen == [({}, 1), ({}, 2)]
    assert len(warnings) == 1
    assert warnings[0].startswith("the logger 'p1' of waves 1.0 failed in log_metrics: ValueError: disk full (line ")
    assert "\n" not in warnings[0] and "test_hooks.py" in warnings[0]


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(3), PluginError("mine")])
def test_another_kind_that_raises_stops_the_run(error: Any) -> None:
    class Controller:
        @hookimpl
        def propose_germination(self) -> None:
            raise error

    hooks, warnings = hooks_of(Controller(), kind="controller")
    with pytest.raises(PluginError, match="the controller 'p0' of waves 1.0 failed in propose_germination: ") as caught:
        ask(hooks, "propose_germination")
    assert caught.value.__cause__ is error and not warnings


def test_an_interrupt_passes() -> None:
    class Logger:
        @hookimpl
        def on_step_end(self) -> None:
            raise KeyboardInterrupt

    hooks, warnings = hooks_of(Logger())
    with pytest.raises(KeyboardInterrupt):
        hooks.on_step_end(step=1)
    assert not warnings


def method(source: str, name: str = "log_metrics", mark: Callable[..., Any] | None = hookimpl) -> object:
    """A plugin with one method `name` of these parameters."""
    scope: dict[str, Any] = {}
    exec(f"def {name}({source}): pass", scope)
    return type("It", (), {name: mark(scope[name]) if mark else scope[name]})()


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("self, metric, step", "metric"),
        ("self, metrics, verbose=False", "verbose=False"),
        ("self, **everything", "**everything"),
        ("self, *, step", "step"),
    ],
)
def test_wrong_arguments(source: str, wrong: str) -> None:
    with pytest.raises(PluginError) as caught:
        hooks_of(method(source))
    said = f"the logger 'p0' of waves 1.0 implements log_metrics (<string>:1) with {wrong}; "
    assert str(caught.value) == said + "plain arguments that it may name: metrics and step"


def test_unknown_hook_gets_the_nearest() -> None:
    with pytest.raises(
        PluginError, match=r"implements 'log_metric' \(<string>:1\), which is no hook; did you mean log_metrics"
    ):
        hooks_of(method("self", "log_metric"))


def test_unknown_hook_that_is_optional_is_let_be() -> None:
    hooks_of(method("self", "of_next_year", hookimpl(optionalhook=True)))


def test_a_wrong_method_is_found_by_file_and_line() -> None:
    class Logger:
        @hookimpl
        @staticmethod
        def log_metric(step: int) -> None:
            pass

    line = inspect.getsourcelines(Logger)[1] + 1
    with pytest.raises(PluginError, match=re.escape(f"'log_metric' ({__file__}:{line}), which")):
        hooks_of(Logger())


def test_wrappers_are_refused() -> None:
    with pytest.raises(PluginError, match=r"implements log_metrics \(<string>:1\) as a wrapper"):
        hooks_of(method("self", mark=hookimpl(wrapper=True)))


def test_a_forgotten_mark_is_reported() -> None:
    _, warnings = hooks_of(method("self, metrics", mark=None))
    said = "the logger 'p0' of waves 1.0 has a method log_metrics (<string>:1) that is never called: "
    assert warnings == [said + "it is not marked @hookimpl"]


def test_calling_an_unknown_hook() -> None:
    hooks, _ = hooks_of()
    with pytest.raises(AttributeError, match="no hook is called 'on_phase_begin'; did you mean on_phase_start"):
        hooks.on_phase_begin(phase=None)


def test_no_call_pays_for_a_look_up() -> None:
    """Through `__getattr__` the look-up would cost half as much as the call itself."""
    hooks, _ = hooks_of()
    assert set(HOOKS) <= set(vars(hooks))
