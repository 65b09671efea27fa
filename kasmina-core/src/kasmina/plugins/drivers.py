"""Loading of the plugin that was named, and of nothing else; making an instance of it from its options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum
from importlib.metadata import EntryPoint
from pathlib import PurePath
from typing import Any

import attrs
from attrs import frozen
from stevedore.driver import DriverManager

from kasmina.errors import KasminaError, PluginError, UsageError
from kasmina.plugins.catalog import KINDS, Entry, entries
from kasmina.plugins.messages import described, one_line
from kasmina.plugins.structuring import structure


@frozen
class Option:
    """Option of a plugin, as help shows it."""

    name: str
    type: str
    default: str | None
    """Default as one would type it; None if the option must be given."""
    help: str


def load(entry: Entry) -> Any:
    """Import the plugin and return what its entry point names: an attrs class, or a click command for a command.

    Raises:
        PluginError: It cannot be imported, for whatever reason.
    """
    try:
        # `.plugin`, because `.driver` gives the class where an instance is falsy.
        return _Installed(KINDS[entry.kind], entry.full).extensions[0].plugin
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin's module may raise anything, SystemExit too
        raise PluginError(
            f"the {entry} cannot be loaded: its entry point {entry.entry_point.value} gives {one_line(error)}"
        ) from error


def make(entry: Entry, options: Mapping[str, Any]) -> Any:
    """Make an instance of the plugin with these options, which are plain values as a config file holds them.

    Raises:
        PluginError: It cannot be imported, is no attrs class, or breaks when it is made.
        UsageError: An option is unknown, missing, or has the wrong type or value.
    """
    cls = _class(entry)
    try:
        return structure(options, cls, entry.kind)
    except UsageError as error:
        raise UsageError(f"{error} (the {entry.kind} is {entry.name!r})") from error
    except KasminaError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginError(f"the {entry} cannot be made: {one_line(error)}") from error


def options(cls: type) -> list[Option]:
    """Return the options of a plugin's class, in the order of its fields."""
    with suppress(Exception):  # a name that exists for type checkers only: the type is shown as it is written
        attrs.resolve_types(cls)
    return [
        Option(
            field.alias,
            described(Any if field.type is None else field.type),
            _default(field.default),
            str(field.metadata.get("help", "")),
        )
        for field in attrs.fields(cls)
        if field.init
    ]


class _Installed(DriverManager):  # type: ignore[type-arg]  # generic from stevedore 5.6 on
    """Installed plugins of a kind, of which stevedore chooses and loads the one with the full name ``DIST:NAME``.

    By itself stevedore reads the names from a cache on disk. It imports every plugin of a name before it decides
    between them, and may know nothing of one that has just been installed, or disabled.
    """

    def list_entry_points(self) -> list[EntryPoint]:
        """Return the entry points of all plugins of the kind that are not disabled, each under its full name."""
        known = (entry for entry in entries() if KINDS[entry.kind] == self.namespace and entry.state != "disabled")
        return [EntryPoint(entry.full, entry.entry_point.value, self.namespace) for entry in known]


def _class(entry: Entry) -> type:
    cls = load(entry)
    if isinstance(cls, type) and attrs.has(cls):
        return cls
    raise PluginError(
        f"the {entry} must be an attrs class, whose fields are its options; {entry.entry_point.value} is "
        + (f"the plain class {cls.__name__}" if isinstance(cls, type) else f"a {type(cls).__name__}")
    )


def _default(default: Any) -> str | None:
    """Return a default as one would type it on the command line."""
    if default is attrs.NOTHING:
        return None
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class at run time, a function in the stubs
        if default.takes_self:
            return "computed"
        default = default.factory()
    if isinstance(default, Enum):
        default = default.value
    if isinstance(default, PurePath) or default and isinstance(default, str):
        return str(default)
    return json.dumps(default, default=repr)
