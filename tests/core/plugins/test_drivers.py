"""Drivers: the one that was named is loaded and nothing else, and made from options that are taken at their word."""

from __future__ import annotations

import enum
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest
from attrs import field, validators
from hypothesis import given
from hypothesis import strategies as st
from stevedore.driver import DriverManager

from kasmina.errors import PluginError, UsageError
from kasmina.plugins import drivers
from kasmina.plugins.catalog import find
from kasmina.plugins.drivers import load, make, options
from kasmina.plugins.messages import described
from kasmina.plugins.structuring import structure

Plant = Callable[..., Path]


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Inner:
    rate: float = field(default=0.5, validator=validators.gt(0))


@attrs.define(eq=False)
class Fourier:
    """Sine features."""

    size: int
    hidden: int = field(default=8, validator=validators.ge(1), metadata={"help": "units in the middle"})
    scale: float = 1.0
    bias: bool = True
    kind: Literal["sine", "cosine", 2] = "sine"
    colour: Colour = Colour.RED
    path: Path = Path("here")
    limit: int | None = None
    either: int | str = 1
    widths: tuple[int, ...] = ()
    pair: tuple[int, str] = (1, "a")
    names: list[str] = field(factory=list)
    inner: Inner = Inner()
    inners: list[Inner] = field(factory=list)
    table: dict[str, float] = field(factory=dict)
    anything: Any = None
    _hidden_name: int = 3
    converted: int = field(default=1, converter=int)
    _made: int = field(default=0, init=False)


@pytest.mark.parametrize(
    ("name", "given", "made"),
    [
        ("hidden", 9, 9),
        ("scale", 2, 2.0),
        ("bias", False, False),
        ("kind", "cosine", "cosine"),
        ("kind", 2, 2),
        ("colour", "blue", Colour.BLUE),
        ("colour", Colour.BLUE, Colour.BLUE),
        ("path", "there/x", Path("there/x")),
        ("limit", None, None),
        ("limit", 4, 4),
        ("either", "x", "x"),
        ("widths", [1, 2], (1, 2)),
        ("pair", [2, "b"], (2, "b")),
        ("names", ("a",), ["a"]),
        ("inner", {"rate": 1}, Inner(1.0)),
        ("inners", [{}, {"rate": 2}], [Inner(), Inner(2.0)]),
        ("table", {"a": 1}, {"a": 1.0}),
        ("anything", {"a": [1]}, {"a": [1]}),
        ("converted", "8", 8),
    ],
)
def test_taken(name: str, given: Any, made: Any) -> None:
    value = getattr(structure({"size": 1, name: given}, Fourier, "blueprint"), name)
    assert value == made and type(value) is type(made)


def test_a_private_field_goes_by_its_public_name() -> None:
    assert structure({"size": 1, "hidden_name": 5}, Fourier, "")._hidden_name == 5
    with pytest.raises(UsageError, match="blueprint.hidden_name: takes int, not 'x'"):
        structure({"size": 1, "hidden_name": "x"}, Fourier, "blueprint")


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("hidden", 8.5, ".hidden: takes int, not 8.5"),
        ("hidden", "8", ".hidden: takes int, not '8'"),
        ("hidden", True, ".hidden: takes int, not True"),
        ("hidden", None, ".hidden: takes int, not None"),
        ("hidden", 0, ": 'hidden' must be >= 1: 0"),
        ("scale", "1", ".scale: takes float, not '1'"),
        ("scale", True, ".scale: takes float, not True"),
        ("bias", 1, ".bias: takes bool, not 1"),
        ("kind", "tan", ".kind: takes 'sine', 'cosine' or 2, not 'tan'"),
        ("kind", 2.0, ".kind: takes 'sine', 'cosine' or 2, not 2.0"),
        ("colour", "green", ".colour: takes 'red' or 'blue', not 'green'"),
        ("path", 3, ".path: takes Path, not 3"),
        ("limit", "x", ".limit: takes int or None, not 'x'"),
        ("either", 2.5, ".either: takes int or str, not 2.5"),
        ("widths", "12", ".widths: takes a tuple of int, not '12'"),
        ("widths", [1, "2"], ".widths[1]: takes int, not '2'"),
        ("pair", [1], ".pair: takes (int, str), not [1]"),
        ("names", "abc", ".names: takes a list of str, not 'abc'"),
        ("inner", {"rate": "x"}, ".inner.rate: takes float, not 'x'"),
        ("inner", 3, ".inner: takes a mapping of options, not 3"),
        ("inners", [{}, {"rate": "x"}], ".inners[1].rate: takes float, not 'x'"),
        ("inners", [{}, {"rate": 0}], ".inners[1]: 'rate' must be > 0: 0.0"),
        ("table", {"a": "b"}, ".table.a: takes float, not 'b'"),
    ],
)
def test_refused(name: str, given: Any, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        structure({"size": 1, name: given}, Fourier, "blueprint")
    assert str(caught.value) == f"blueprint{sentence}"


@given(st.one_of(st.floats(), st.text(), st.booleans(), st.none(), st.binary(), st.lists(st.integers())))
def test_nothing_but_an_int_is_an_int(value: Any) -> None:
    with pytest.raises(UsageError):
        structure(value, int, "x")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)
    )
)
def test_any_document_is_taken_or_refused_in_one_line(document: Any) -> None:
    try:
        structure(document, Fourier, "blueprint")
    except UsageError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"size": 1, "hiden": 3}, "no option is called 'blueprint.hiden'; did you mean hidden or "),
        ({"size": 1, "inner": {"rat": 3}}, "no option is called 'blueprint.inner.rat'; did you mean rate?"),
        ({"size": 1, "made": 3}, "no option is called 'blueprint.made'; "),
        ({}, "blueprint.size: must be given"),
        (None, "blueprint: takes a mapping of options, not None"),
    ],
)
def test_unknown_and_missing(given: Any, sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        structure(given, Fourier, "blueprint")
    assert str(caught.value).startswith(sentence)


def test_options_describe_themselves() -> None:
    shown = {option.name: option for option in options(Fourier)}
    assert (shown["size"].type, shown["size"].default) == ("int", None)
    assert (shown["hidden"].default, shown["hidden"].help) == ("8", "units in the middle")
    assert (shown["kind"].type, shown["kind"].default) == ("'sine', 'cosine' or 2", "sine")
    assert (shown["colour"].type, shown["colour"].default) == ("'red' or 'blue'", "red")
    assert (shown["path"].default, shown["names"].default, shown["limit"].type) == ("here", "[]", "int or None")
    assert "hidden_name" in shown and "made" not in shown


def test_described() -> None:
    texts = ["int", "list of int", "dict of str to float", "(int, str)", "None"]
    assert [described(cls) for cls in (int, list[int], dict[str, float], tuple[int, str], type(None))] == texts


# -- loading -----------------------------------------------------------------------------------------------------------

CAREFUL = "import attrs\n@attrs.define(eq=False)\nclass It:\n    a: int = 1\n"


def test_only_the_named_one_is_imported(plant: Plant) -> None:
    points = {"kasmina.blueprints": {"one": "kasmina_test_one:It", "two": "kasmina_test_two:It"}}
    plant("waves", points, {"kasmina_test_one": CAREFUL, "kasmina_test_two": CAREFUL})
    assert make(find("blueprint", "one"), {"a": 2}).a == 2
    assert "kasmina_test_one" in sys.modules and "kasmina_test_two" not in sys.modules


def test_of_two_distributions_of_one_name_the_other_is_not_imported(plant: Plant) -> None:
    for name in ("waves", "tides"):
        plant(name, {"kasmina.blueprints": {"both": f"kasmina_test_{name}:It"}}, {f"kasmina_test_{name}": CAREFUL})
    assert load(find("blueprint", "tides:both")).__module__ == "kasmina_test_tides"
    assert "kasmina_test_waves" not in sys.modules


def test_a_manager_that_takes_no_type_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """stevedore's managers are generic from 5.6 on, and any from 5.0 is declared to be enough."""

    def plain(cls: type, item: object) -> None:
        raise TypeError(f"type {cls.__name__!r} is not subscriptable")

    monkeypatch.setattr(DriverManager, "__class_getitem__", classmethod(plain), raising=False)
    assert "load" in runpy.run_path(drivers.__file__)


def test_a_falsy_instance_is_an_instance(plant: Plant) -> None:
    empty = CAREFUL + "    def __len__(self):\n        return 0\n"
    plant("waves", {"kasmina.blueprints": {"none": "kasmina_test_falsy:It"}}, {"kasmina_test_falsy": empty})
    assert not isinstance(make(find("blueprint", "none"), {}), type)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import no_such_module_at_all", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("def :", "SyntaxError: invalid syntax"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("assert False, 'two\\nlines'", "AssertionError: two lines"),
        ("class Other: pass", "AttributeError: "),
    ],
)
def test_failing_import(plant: Plant, monkeypatch: pytest.MonkeyPatch, source: str, error: str) -> None:
    plant("waves", {"kasmina.blueprints": {"bad": "kasmina_test_bad:It"}}, {"kasmina_test_bad": source})
    monkeypatch.delitem(sys.modules, "kasmina_test_bad", raising=False)
    with pytest.raises(PluginError) as caught:
        load(find("blueprint", "bad"))
    said = "the blueprint 'bad' of waves 1.0 cannot be loaded: its entry point kasmina_test_bad:It gives "
    assert str(caught.value).startswith(said + error) and "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_an_interrupt_at_import_passes(plant: Plant) -> None:
    plant(
        "waves",
        {"kasmina.blueprints": {"slow": "kasmina_test_slow:It"}},
        {"kasmina_test_slow": "raise KeyboardInterrupt"},
    )
    with pytest.raises(KeyboardInterrupt):
        load(find("blueprint", "slow"))


@pytest.mark.parametrize(
    ("target", "is_"), [("pathlib:Path", "is the plain class Path"), ("os.path:join", "is a func")]
)
def test_a_plugin_must_be_an_attrs_class(plant: Plant, target: str, is_: str) -> None:
    plant("waves", {"kasmina.blueprints": {"fourier": target}})
    with pytest.raises(PluginError, match=f"'fourier' of waves 1.0 must be an attrs class.* {is_}"):
        make(find("blueprint", "fourier"), {})


def test_options_reach_the_instance_or_are_refused(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kasmina_test_here", sys.modules[__name__])
    plant("waves", {"kasmina.blueprints": {"fourier": "kasmina_test_here:Fourier"}})
    entry = find("blueprint", "fourier")
    assert make(entry, {"size": 3}).size == 3
    with pytest.raises(UsageError, match="blueprint.size: takes int, not 'x'"):
        make(entry, {"size": "x"})


def test_a_plugin_that_breaks_when_made(plant: Plant) -> None:
    broken = CAREFUL + "    def __attrs_post_init__(self):\n        raise RuntimeError('no server')\n"
    plant("waves", {"kasmina.loggers": {"cloud": "kasmina_test_cloud:It"}}, {"kasmina_test_cloud": broken})
    with pytest.raises(PluginError, match="the logger 'cloud' of waves 1.0 cannot be made: RuntimeError: no server"):
        make(find("logger", "cloud"), {})


def test_types_that_cannot_be_read_are_the_plugins_fault(plant: Plant) -> None:
    odd = "from __future__ import annotations\n" + CAREFUL + "    b: Nowhere = None\n"
    plant("waves", {"kasmina.loggers": {"odd": "kasmina_test_odd:It"}}, {"kasmina_test_odd": odd})
    with pytest.raises(PluginError, match="'odd' of waves 1.0 cannot be made: NameError: name 'Nowhere'"):
        make(find("logger", "odd"), {"b": 1})
    assert [option.type for option in options(load(find("logger", "odd")))] == ["int", "Nowhere"]


def test_no_cache_on_disk(plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plant("waves", {"kasmina.blueprints": {"one": "kasmina_test_cached:It"}}, {"kasmina_test_cached": CAREFUL})
    load(find("blueprint", "one"))
    assert not os.path.exists(tmp_path / "cache")
