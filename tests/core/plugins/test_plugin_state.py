"""What plugins remember: kept whole or refused, and nobody else's business."""

from __future__ import annotations

import json
import math
import random
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import cached_property, partial
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kasmina import SeedState, Stage
from kasmina.errors import PluginError
from kasmina.plugins.catalog import KINDS, Entry
from kasmina.plugins.field_state import load_fields
from kasmina.plugins.plugin_state import PluginStates

if TYPE_CHECKING:
    from decimal import Decimal


def entry(name: str, kind: str) -> Entry:
    return Entry(kind, name, "waves", "1.0", "ready", False, EntryPoint(name, "waves:It", KINDS[kind]))


def states_of(*plugins: object, kind: str = "controller") -> tuple[PluginStates, list[str]]:
    warnings: list[str] = []
    return PluginStates([(entry("it", kind), plugin) for plugin in plugins], warnings.append), warnings


def through_json(states: Any) -> Any:
    return json.loads(json.dumps(states))


class Mood(Enum):
    GOOD = auto()
    BAD = (1, "x")


@attrs.define
class Best:
    loss: float = math.inf
    _seen: int = 0
    after: int = attrs.field(init=False, default=0)


SEEDS = st.builds(
    SeedState,
    st.integers(),
    st.text(max_size=3),
    st.just("narrow"),
    st.sampled_from(Stage),
    st.floats(),
    st.integers(),
    st.integers(),
    st.none() | st.integers(),
    st.none() | st.floats(),
)
FLOATS = st.floats() | st.integers()
ANYTHING: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(),
    float: FLOATS | st.floats().map(np.float64),
    bool: st.booleans(),
    str: st.text(),
    float | None: st.none() | FLOATS,
    int | str: st.integers() | st.text(),
    Literal["a", 1]: st.sampled_from(["a", 1]),
    Stage: st.sampled_from(Stage),
    Mood: st.sampled_from(Mood),
    SeedState | None: st.none() | SEEDS,
    list[SeedState]: st.lists(SEEDS, max_size=3),
    tuple[int, ...]: st.lists(st.integers()).map(tuple),
    tuple[int, Stage]: st.tuples(st.integers(), st.sampled_from(Stage)),
    set[str]: st.sets(st.text()),
    frozenset[tuple[int, str]]: st.frozensets(st.tuples(st.integers(), st.text())),
    dict[str, list[float]]: st.dictionaries(st.text(), st.lists(st.floats())),
    dict[str, tuple[str, float]]: st.dictionaries(st.text(), st.tuples(st.text(), st.floats())),
    Mapping[str, float]: st.dictionaries(st.text(), st.floats()),
    Any: st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=6,
    ),
}


def remembering(**fields: Any) -> type:
    """A controller's class with these fields, by their types."""
    made = {name: attrs.field(init=False, type=cls) for name, cls in fields.items()}
    return attrs.make_class("It", made, eq=False)


@given(st.data())
@pytest.mark.parametrize("declared", ANYTHING, ids=str)
def test_what_is_in_a_fields_comes_back_as_what_it_was(declared: Any, data: st.DataObject) -> None:
    value = data.draw(ANYTHING[declared])
    cls = remembering(_value=declared)
    one, other = cls(), cls()
    one._value = value
    saved = through_json(states_of(one)[0].state_dict())
    states_of(other)[0].load_state_dict(saved)
    assert_same(other._value, value)


def assert_same(one: Any, other: Any) -> None:
    """By their texts, because NaN equals nothing and 0 equals 0.0; those of sets are in any order."""
    other = float(other) if isinstance(other, np.float64) else other
    assert type(one) is type(other)
    assert one == other if isinstance(one, (set, frozenset)) else repr(one) == repr(other)


def test_records_of_an_authors_own_keep_what_is_private_and_what_is_no_argument() -> None:
    cls = remembering(_best=Best, _all=list[Best])
    one, other = cls(), cls()
    one._best, one._all = Best(0.5, 3), [Best(), Best(math.inf, 1)]
    one._best.after = 7
    states_of(other)[0].load_state_dict(through_json(states_of(one)[0].state_dict()))
    assert (other._best, other._all) == (one._best, one._all) and other._best.after == 7


def test_a_field_without_a_value_yet_has_none_again() -> None:
    cls = remembering(_late=int, _there=int)
    one, other = cls(), cls()
    one._there, other._there, other._late = 1, 2, 3
    states_of(other)[0].load_state_dict(through_json(states_of(one)[0].state_dict()))
    assert other._there == 1 and not hasattr(other, "_late")


def test_what_is_saved_is_a_copy_and_what_is_loaded_another() -> None:
    cls = remembering(_seen=Any)
    one, other = cls(), cls()
    one._seen = [[1]]
    saved = states_of(one)[0].state_dict()
    one._seen[0].append(2)
    states_of(other)[0].load_state_dict(saved)
    other._seen[0].append(3)
    assert saved == {"controller": {"_seen": [[1]]}}


def test_options_are_no_state_and_who_remembers_nothing_is_left_out() -> None:
    @attrs.define(eq=False)
    class Plain:
        patience: int = 5

    assert states_of(Plain())[0].state_dict() == {}
    states_of(Plain())[0].load_state_dict({})


def with_value(value: Any, declared: Any = Any) -> Any:
    plugin = remembering(_value=declared)()
    plugin._value = value
    return plugin


class Unslotted:
    def __init__(self) -> None:
        self.count = 0


@attrs.define(eq=False)
class Hidden:
    """Its type is known to type checkers only."""

    _sum: Decimal = attrs.field(init=False, default=None)


@pytest.mark.parametrize(
    ("plugin", "words"),
    [
        (with_value(random.Random(0), random.Random), "'_value' (Random) a Random"),
        (with_value(object()), "'_value' (Any) a object"),
        (with_value((1, 2)), "'_value' (Any) a tuple"),
        (with_value([(1, 2)], list[Any]), "a tuple"),
        (with_value({1: 2}), "the key 1"),
        (with_value({1: 2}, dict[int, int]), "the key 1"),
        (with_value({Stage.ACTIVE: 2}, dict[Stage, int]), "the key <Stage.ACTIVE"),
        (with_value(deque([1.0]), deque[float]), "(deque of float) a deque"),
        (with_value(defaultdict(int), defaultdict[str, int]), "a defaultdict"),
        (with_value("GOOD", Mood | str), "a str"),
        (with_value(Mood.GOOD, str | Mood), "a Mood"),
        (with_value((1, 2), tuple[int]), "a tuple"),
        (with_value(Stage.ACTIVE), "a Stage"),
        (with_value("x", int), "a str"),
        (with_value(np.float32(0.1), float), "a float32"),
        (with_value(defaultdict(int), dict[str, int]), "a defaultdict"),
        (with_value([with_value(1)], list), "a It"),
        (with_value(np.zeros(2)), "a ndarray"),
        (Unslotted(), "'count', which is no attrs field"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(plugin: object, words: str) -> None:
    states, warnings = states_of(plugin)
    with pytest.raises(PluginError) as caught:
        states.state_dict()
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert "the controller 'it' of waves 1.0 keeps" in sentence and words in sentence
    assert "; write state_dict() and load_state_dict() for it, as in torch" in sentence
    for _ in range(2):
        assert states.try_state_dict() is None and states.why_not_resumable == sentence
    assert warnings == [f"this run cannot be resumed: {sentence}"]


def test_a_type_that_cannot_be_found_is_no_hindrance_to_plain_values() -> None:
    plugin = Hidden()
    plugin._sum = 3  # type: ignore[assignment]
    states, _ = states_of(plugin)
    assert states.state_dict() == {"controller": {"_sum": 3}}


def test_what_can_be_computed_again_is_no_state() -> None:
    @attrs.define(eq=False, slots=False)
    class Lazy:
        @cached_property
        def table(self) -> object:
            return object()

    plugin = Lazy()
    assert plugin.table and states_of(plugin)[0].state_dict() == {}


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        ({}, "a field '_value'"),
        ({"_value": 1, "_other": 2}, "no field '_other'"),
        ({"_value": "x"}, "finds 'x' for its field '_value', due is int"),
        ({"_value": True}, "finds True for its field '_value', due is int"),
        ({"_value": None}, "finds None for its field '_value', due is int"),
        ({"_value": [1]}, "finds [1] for its field '_value', due is int"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_whole(saved: dict[str, Any], words: str) -> None:
    plugin = with_value(7, int)
    with pytest.raises(PluginError) as caught:
        states_of(plugin)[0].load_state_dict({"controller": saved})
    assert words in str(caught.value) and "the controller 'it' of waves 1.0" in str(caught.value)
    assert plugin._value == 7


def test_a_state_that_is_missing_or_of_nobody_is_refused() -> None:
    states, _ = states_of(with_value(7, int))
    with pytest.raises(PluginError, match="no state of the controller 'it'"):
        states.load_state_dict({})
    with pytest.raises(PluginError, match="'blueprint.other'"):
        states.load_state_dict({"controller": {"_value": 1}, "blueprint.other": {}})
    states.load_state_dict({"controller": {"_value": 1}, "logger.gone": {}})  # a record less is no other run


# -- the two methods ---------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class Own:
    """Has the methods, so its fields are its own affair."""

    give: Callable[[], Any] = lambda: {}
    _loaded: Any = attrs.field(init=False, default=None)
    _stream: random.Random = attrs.field(init=False, factory=random.Random)

    def state_dict(self) -> Any:
        return self.give()

    def load_state_dict(self, state: Any) -> None:
        self._loaded = state


@pytest.mark.parametrize("kind", ["controller", "blueprint", "logger"])
def test_its_own_methods_go_first(kind: str) -> None:
    kept = {"a": (1, [2.5, None]), "w": torch.arange(3.0)}
    plugin = Own(lambda: kept)
    states, warnings = states_of(plugin, kind=kind)
    saved = states.state_dict()
    (state,) = saved.values()
    assert state["a"] == [1, [2.5, None]] and state["w"] is not kept["w"] and state["w"].equal(kept["w"])
    states.load_state_dict(saved)
    assert plugin._loaded is not state and plugin._loaded["w"].equal(kept["w"]) and not warnings


@pytest.mark.parametrize("wrong", [None, [1], {"a": object()}, {1: 2}, {"a": {1}}])
@pytest.mark.parametrize("kind", ["controller", "logger"])
def test_an_answer_that_cannot_be_saved_is_a_fault(kind: str, wrong: Any) -> None:
    states, warnings = states_of(Own(lambda: wrong), kind=kind)
    if kind == "logger":
        assert states.state_dict() == {} and "answers state_dict with" in warnings[0]
    else:
        with pytest.raises(PluginError, match="answers state_dict with"):
            states.state_dict()


@attrs.define(eq=False)
class Failing:
    _log: list[str] = attrs.field(init=False, factory=list)

    def state_dict(self) -> dict[str, Any]:
        raise ValueError("disk\nfull")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        raise SystemExit(3)


def test_a_logger_that_fails_costs_one_warning_each_way() -> None:
    states, warnings = states_of(Failing(), kind="logger")
    for _ in range(3):
        assert states.state_dict() == {}
        states.load_state_dict({"logger.it": {}})
    assert [warning.split(" (line")[0] for warning in warnings] == [
        "the logger 'it' of waves 1.0 failed in state_dict: ValueError: disk full",
        "the logger 'it' of waves 1.0 failed in load_state_dict: SystemExit: 3",
    ]
    assert all(w.endswith("; what is learned is not affected") and "of test_plugin_state.py)" in w for w in warnings)


def test_one_that_decides_and_fails_stops_the_run() -> None:
    states, _ = states_of(Failing(), kind="blueprint")
    with pytest.raises(PluginError, match="blueprint 'it' of waves 1.0 failed in state_dict: ValueError: disk full"):
        states.state_dict()
    with pytest.raises(PluginError, match="failed in load_state_dict: SystemExit: 3"):
        states.load_state_dict({"blueprint.it": {}})


@pytest.mark.parametrize("only", ["state_dict", "load_state_dict"])
def test_half_of_the_methods_is_a_fault(only: str) -> None:
    plugin = type("Half", (), {only: lambda self, *state: {}})()
    with pytest.raises(PluginError, match=f"has {only} and not the other"):
        states_of(plugin)[0].state_dict()
    states, warnings = states_of(plugin, kind="logger")
    assert states.state_dict() == {} and f"has {only} and not the other" in warnings[0]


def test_a_logger_without_methods_keeps_nothing_whatever_its_fields() -> None:
    states, warnings = states_of(with_value(object()), kind="logger")
    assert states.state_dict() == {} and not warnings
    states.load_state_dict({"logger.it": {"gone": 1}})


def test_every_plugin_has_a_key_of_its_own() -> None:
    warnings: list[str] = []
    plugins = [("controller", "it"), ("blueprint", "a"), ("blueprint", "b"), ("logger", "a"), ("logger", "a")]
    made = [(entry(name, kind), Own(partial(dict, n=n))) for n, (kind, name) in enumerate(plugins)]
    saved = PluginStates(made, warnings.append).state_dict()
    assert list(saved) == ["controller", "blueprint.a", "blueprint.b", "logger.a", "logger.a#2"]
    PluginStates(made, warnings.append).load_state_dict(saved)
    assert [plugin._loaded["n"] for _, plugin in made] == [0, 1, 2, 3, 4]


def test_all_or_nothing() -> None:
    plugin = remembering(_a=int, _b=int)()
    plugin._a, plugin._b = 1, 2
    with pytest.raises(Exception, match="'_b'"):
        load_fields(plugin, {"_a": 5, "_b": "x"})
    assert (plugin._a, plugin._b) == (1, 2)
