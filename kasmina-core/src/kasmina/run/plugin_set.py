"""The plugins of one run, and the run's options including those of the plugins."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from attrs import asdict, field, fields, frozen

from kasmina.errors import PluginError, UsageError, nearest
from kasmina.plugins.catalog import Entry, defaults, find
from kasmina.plugins.drivers import make
from kasmina.plugins.hooks import Hooks
from kasmina.plugins.messages import one_line
from kasmina.plugins.plugin_state import PluginStates
from kasmina.plugins.user_code import UserCallable, is_user_code, load_user_callable
from kasmina.records import Choices
from kasmina.run.options.config import Config, PluginChoice
from kasmina.run.options.sources import Raw

OWED: Mapping[str, str] = {"blueprint": "build", "host": "build", "task": "load"}
"""Method that a plugin of each kind must have. Plugins of other kinds implement hooks, as many as they like."""


@frozen(eq=False)
class PluginSet:
    """One task, host, controller and blueprint, loggers and alternatives by name, each with its entry."""

    task: Any
    host: Any
    controller: Any
    blueprint: Any
    loggers: Mapping[str, Any]
    entries: Mapping[str, Entry]
    """Entries by kind, and by ``"logger.NAME"`` and ``"alternative.NAME"``."""
    alternatives: Mapping[str, Any] = field(factory=dict)
    """Blueprints that compete with the first, by name."""

    @classmethod
    def of(cls, config: Config) -> PluginSet:
        """Load and make the plugins that the options name, and no others.

        Raises:
            UsageError: A name or an option does not exist, or a value does not fit.
            PluginError: A plugin cannot be loaded.
        """
        entries: dict[str, Entry] = {}

        def made(key: str, kind: str, choice: PluginChoice) -> Any:
            entries[key], plugin = choose(kind, choice)
            return plugin

        chosen = {kind: made(kind, kind, choice) for kind, choice in config.choices.items()}
        loggers = {choice.name: made(f"logger.{choice.name}", "logger", choice) for choice in config.loggers}
        alternatives = {
            choice.name: made(f"alternative.{choice.name}", "blueprint", choice) for choice in config.alternatives
        }
        plugins = cls(**chosen, loggers=loggers, entries=entries, alternatives=alternatives)
        names = [entry.name for entry, _ in plugins.blueprints]
        if twice := {name for name in names if names.count(name) > 1}:
            raise UsageError(
                f"blueprint {twice.pop()!r} is named twice; --set growth.candidates=2 lets two of it compete"
            )
        return plugins

    @property
    def blueprints(self) -> list[tuple[Entry, Any]]:
        """Blueprints of the run: its own first, and then the alternatives."""
        alternatives = [
            (self.entries[f"alternative.{name}"], alternative) for name, alternative in self.alternatives.items()
        ]
        return [(self.entries["blueprint"], self.blueprint), *alternatives]

    @property
    def names(self) -> Choices:
        """Names of all but the loggers."""
        task, host, controller = (self.entries[kind].name for kind in ("task", "host", "controller"))
        return Choices(task, host, controller, tuple(entry.name for entry, _ in self.blueprints))

    @property
    def code(self) -> dict[str, str]:
        """Versions of the distributions that compute the run, and digests of the user's own code."""
        installed = {entry.distribution: entry.version for entry in self.entries.values() if entry.version}
        return {"torch": version("torch")} | installed | code_of([self.task, self.host])

    @property
    def told(self) -> list[tuple[Entry, Any]]:
        """Plugins that may implement hooks and have states: controller, blueprints, loggers in their order."""
        controller = self.entries["controller"], self.controller
        loggers = [(self.entries[f"logger.{name}"], logger) for name, logger in self.loggers.items()]
        return [controller, *self.blueprints, *loggers]

    def prepare(self, warn: Callable[[str], None]) -> None:
        """Let loggers start what takes long, before data and host are made ready."""
        for name, logger in self.loggers.items():
            try:
                if hasattr(logger, "prepare"):
                    logger.prepare()
            except Exception as error:
                warn(f"the {self.entries[f'logger.{name}']} failed in prepare: {one_line(error)}; the run goes on")

    def hooks(self, warn: Callable[[str], None]) -> Hooks:
        """Return the plugins' hooks, registered afresh."""
        return Hooks(self.told, warn)

    def states(self, warn: Callable[[str], None]) -> PluginStates:
        """Return the object that saves and restores the plugins' states."""
        return PluginStates(self.told, warn)


def code_of(plugins: Iterable[object]) -> dict[str, str]:
    """Return the digests of the files with the user's own code, by the option that names it."""
    own = [plugin for plugin in plugins if isinstance(plugin, UserCallable) and Path(plugin.file).is_file()]
    return {plugin.word: hashlib.sha256(Path(plugin.file).read_bytes()).hexdigest() for plugin in own}


def tell_changes(then: Mapping[str, str], now: Mapping[str, str], warn: Callable[[str], None]) -> None:
    """Warn of code that has changed since the run began: it may have been mended, or compute another network."""
    for word, digest in now.items():
        if then.get(word, digest) != digest:
            warn(f"the code of {word!r} is not what the run began with; it may compute something else now")


def choose(kind: str, choice: PluginChoice) -> tuple[Entry, Any]:
    """Return the plugin's entry, and the plugin; a host or a task may be code of the user's own.

    Raises:
        UsageError: A name or an option does not exist, or a value does not fit.
        PluginError: A plugin cannot be loaded.
    """
    if is_user_code(kind, choice.name):
        return load_user_callable(kind, choice.name, choice.options)
    entry = find(kind, choice.name)
    plugin = make(entry, choice.options)
    owed = OWED.get(kind)
    if owed and not callable(getattr(plugin, owed, None)):
        hint = nearest(owed, [name for name in dir(plugin) if not name.startswith("_")])
        raise PluginError(f"the {entry} has no method {owed}, which it owes; {hint}")
    return entry, plugin


def written(config: Config, plugins: PluginSet, sites: Sequence[str]) -> Raw:
    """Return the options for config.yaml, with every default of every plugin, to make the same run again."""
    raw: Raw = {
        kind: {"name": choice.name} | options_of(getattr(plugins, kind)) for kind, choice in config.choices.items()
    }
    raw["alternatives"] = {name: options_of(alternative) for name, alternative in plugins.alternatives.items()}
    off = {name: False for name in defaults("logger")}
    raw["loggers"] = off | {name: options_of(logger) for name, logger in plugins.loggers.items()}
    raw["phases"] = {phase.name: asdict(phase, filter=lambda field, _: field.name != "name") for phase in config.phases}
    return raw | asdict(config.settings) | {"sites": list(sites)}


def options_of(plugin: Any) -> Raw:
    """Return the options that a plugin was made with, in the form of config.yaml."""
    if isinstance(plugin, UserCallable):
        return dict(plugin.options)
    values = {field.alias: getattr(plugin, field.name) for field in fields(type(plugin)) if field.init}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
