"""Checks of every plugin: an attrs class whose fields are its options, and hooks of the contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint
from typing import Any

import attrs
from attrs import frozen

from kasmina.plugins.catalog import KINDS, Entry
from kasmina.plugins.hooks import Hooks
from kasmina.plugins.plugin_state import PluginStates
from kasmina.plugins.structuring import structure
from kasmina.run.options import yaml
from kasmina.run.plugin_set import options_of
from kasmina.testing.contract_check import Check


@frozen
class Subject:
    """The plugin under test: its class, and options as a config holds them."""

    kind: str
    cls: Any
    options: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name of the class."""
        return getattr(self.cls, "__name__", repr(self.cls))

    def make(self) -> Any:
        """Return a new instance, made as a run makes it."""
        return structure(self.options, self.cls, self.kind)

    @property
    def entry(self) -> Entry:
        """Entry under which a catalogue would list the plugin."""
        point = EntryPoint(self.name, self.name, KINDS[self.kind])
        return Entry(self.kind, self.name, "the code under test", "", "ready", False, point)

    def hooks(self, plugin: object, warn: Callable[[str], None]) -> Hooks:
        """Return the hooks of a run that has only this plugin."""
        return Hooks([(self.entry, plugin)], warn)

    def states(self, plugin: object, warn: Callable[[str], None]) -> PluginStates:
        """Return the state of the plugin, as such a run would save it."""
        return PluginStates([(self.entry, plugin)], warn)


def option_checks(subject: Subject) -> list[Check]:
    """Return the checks of a plugin's options."""
    return [
        Check("is an attrs class", "a plugin is an attrs class with eq=False", lambda: _is_attrs(subject)),
        Check("defaults make it", "every option has a default that works", lambda: _defaults(subject)),
        Check(
            "options come back",
            "config.yaml holds every option and makes the same plugin of it",
            lambda: _round_trip(subject),
        ),
    ]


def hook_checks(subject: Subject) -> list[Check]:
    """Return the check of a plugin's hooks."""
    rule = "every hook is one of the contract, with its arguments, and marked @hookimpl"
    return [Check("implements hooks rightly", rule, lambda: _registers(subject))]


def refuse(sentence: str) -> None:
    """Raise AssertionError: a warning of a run is a fault of the plugin."""
    raise AssertionError(sentence)


def _is_attrs(subject: Subject) -> None:
    cls = subject.cls
    assert isinstance(cls, type), f"{subject.name} is not a class"
    assert attrs.has(cls), f"{subject.name} is a plain class: put @attrs.define(eq=False) above it"
    by_identity = cls.__eq__ is object.__eq__ and cls.__hash__ is object.__hash__
    assert by_identity, f"two {subject.name} with the same options are equal, so Kasmina cannot tell them apart"


def _defaults(subject: Subject) -> None:
    structure({}, subject.cls, subject.kind)


def _round_trip(subject: Subject) -> None:
    before = options_of(subject.make())
    text = yaml.dump(before)
    after = options_of(structure(yaml.load(text.decode()), subject.cls, subject.kind))
    changed = sorted(name for name in before if before[name] != after[name])
    assert not changed, f"{', '.join(changed)} came back as another value"


def _registers(subject: Subject) -> None:
    subject.hooks(subject.make(), refuse)
