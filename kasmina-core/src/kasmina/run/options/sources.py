"""Sources of a run's options, merged as plain nested mappings.

A later source wins over an earlier one: defaults, the file of ``--config``, the options of the command line, and each
``--set`` in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yaml import YAMLError

from kasmina import files
from kasmina.errors import UsageError, nearest
from kasmina.run.options import yaml

Raw = dict[str, Any]

CHOICES = ("task", "host", "controller", "blueprint")
SEVERAL = ("alternatives", "loggers")

LIMIT = 1 << 20
"""Largest file of options, in bytes: more would take the reader of YAML minutes."""


def layered(defaults: Raw, file: Path | None, options: Mapping[str, Any], sets: Sequence[str]) -> Raw:
    """Merge all options, in the shape of config.yaml.

    Raises:
        UsageError: A file cannot be read, or a word is not KEY=VALUE.
    """
    raw = defaults
    for layer in [_read(file) if file else {}, dict(options)]:
        raw = _merged(raw, _normal(layer))
    for word in sets:
        raw = _merged(raw, _said(raw, word))
    return raw


def typed(options: Mapping[str, Any], sets: Sequence[str]) -> dict[str, object]:
    """Return the names of plugins, by kind, that were typed and not read from a file."""
    said = layered({}, None, options, [word for word in sets if word.partition("=")[0].partition(".")[0] in CHOICES])
    return {kind: said[kind].get("name") for kind in CHOICES if isinstance(said.get(kind), dict)}


def _read(file: Path) -> Raw:
    try:
        raw = yaml.load(files.read(file, LIMIT).decode())
    except OSError as error:
        raise UsageError(f"--config {file}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--config {file}: is not text in UTF-8") from error
    except YAMLError as error:
        raise UsageError(f"--config {file}: is not YAML for options: {' '.join(str(error).split())}") from error
    if raw is None:
        return {}
    if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
        raise UsageError(f"--config {file}: the options must be a mapping, such as 'task: spirals'")
    return raw


def _normal(layer: Raw) -> Raw:
    """Write short forms in full: ``host: mlp`` as ``host: {name: mlp}``, ``loggers: [x]`` as ``loggers: {x: {}}``."""
    layer = dict(layer)
    for kind in CHOICES:
        if isinstance(layer.get(kind), str):
            layer[kind] = {"name": layer[kind]}
    for kind in SEVERAL:
        if isinstance(layer.get(kind), list):
            layer[kind] = {str(name): {} for name in layer[kind]}
    return layer


def _merged(below: Raw, above: Raw) -> Raw:
    """Merge `above` over `below`, mappings within mappings; another plugin inherits no options."""
    raw = dict(below)
    for key, value in above.items():
        old = raw.get(key)
        raw[key] = value
        if isinstance(old, dict) and isinstance(value, dict):
            # Options without a name are for whichever plugin is named later.
            renamed = key in CHOICES and "name" in value and old.get("name", value["name"]) != value["name"]
            raw[key] = value if renamed else _merged(old, value)
    return raw


def _said(raw: Raw, word: str) -> Raw:
    """Return the options that one ``--set KEY=VALUE`` sets."""
    path, equals, text = word.partition("=")
    *parents, last = path.split(".")
    if not equals or not all([*parents, last]):
        raise UsageError(f"--set {word}: takes KEY=VALUE, such as host.hidden=8")
    try:
        layer = {last: yaml.load(text)}
    except YAMLError as error:
        raise UsageError(f"--set {word}: {text!r} is not a YAML value: {_problem(error)}") from error
    for key in reversed(parents):
        layer = {key: layer}
    _check_path(raw, word, parents)
    return _normal(layer)


def _problem(error: YAMLError) -> str:
    """Return what is wrong, without its line and column: it is a single word."""
    return " ".join(str(getattr(error, "problem", None) or error).split())


def _check_path(raw: Raw, word: str, parents: list[str]) -> None:
    place: Any = raw
    for depth, key in enumerate(parents):
        if depth == 1 and parents[0] in ("phases", *SEVERAL) and key not in place:
            raise UsageError(f"--set {word}: no {parents[0][:-1]} of this run is called {key!r}; {nearest(key, place)}")
        place = place.get(key, {})
        if not isinstance(place, dict):
            raise UsageError(f"--set {word}: {'.'.join(parents[: depth + 1])} has no options of its own")
