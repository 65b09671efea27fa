"""Hosts and tasks of the user's own that are not installed, named ``package.module:callable``.

Such a word was typed by the user (run/trust.py sees to that). So it may name a module in the working folder, from which
nothing else is imported: the folder is on the module path only while that one module is imported.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module, invalidate_caches
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import attrs
from attrs import frozen

from kasmina.errors import KasminaError, UsageError, nearest
from kasmina.plugins.catalog import KINDS, Entry, entries, matches
from kasmina.plugins.installed import normal
from kasmina.plugins.messages import one_line, raised_at
from kasmina.plugins.structuring import structure

METHODS: Mapping[str, str] = {"host": "build", "task": "load"}
"""Method that an attrs class has in common with a plugin, for each kind that may be the user's own."""

GIVEN: Mapping[str, tuple[str, ...]] = {"host": ("in_shape", "outputs"), "task": ()}
"""Keywords that the callable of each kind gets from Kasmina; all others are options."""

WORD = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")

PLAIN = (type(None), bool, int, float, str)
"""Types of values that YAML gives back unchanged."""


@frozen(eq=False)
class UserCallable:
    """Host or task of the user's own, with the methods that a plugin has."""

    kind: str
    word: str
    file: str
    """Path of the module's file, for messages."""
    call: Callable[..., Any]
    options: Mapping[str, Any]
    """Options for config.yaml: those that were given, and the defaults that are plain values."""
    keywords: Mapping[str, Any]
    """Keywords that the callable gets in addition to Kasmina's own."""
    default_sites: tuple[str, ...] = ()

    def build(self, in_shape: tuple[int, ...], outputs: int) -> Any:
        """Call it as a host: it should return a module."""
        return self._called(in_shape=in_shape, outputs=outputs)

    def load(self) -> Any:
        """Call it as a task: it should return Data."""
        return self._called()

    def _called(self, **given: Any) -> Any:
        try:
            return self.call(**given, **self.keywords)
        except (Exception, SystemExit) as error:
            where = raised_at(error.__traceback__, self.file)
            raise UsageError(f"{self.kind} {self.word!r} raises {one_line(error)}{where}") from error


def is_user_code(kind: str, word: str) -> bool:
    """Return whether `word` names code of the user's own; a plugin's ``DIST:NAME`` looks alike, and goes first."""
    if kind not in METHODS or not WORD.fullmatch(word):
        return False
    known, owner = entries(), normal(word.partition(":")[0])
    return not any(
        entry.kind == kind and matches(entry, word) or normal(entry.distribution) == owner for entry in known
    )


def find_code(word: str) -> str | None:
    """Return where the outermost package of ``package.module:callable`` lies, without running it; None for nowhere."""
    top = word.partition(":")[0].partition(".")[0]
    try:
        with _working_folder():
            spec = find_spec(top)
    except (ImportError, ValueError):  # what is loaded already and does not tell where from
        return top
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    return str(Path(spec.origin).resolve()) if spec.has_location and spec.origin else ", ".join(folders) or top


def load_user_callable(kind: str, word: str, options: Mapping[str, Any]) -> tuple[Entry, UserCallable]:
    """Return the host or task that ``package.module:callable`` names, made with these options.

    Raises:
        UsageError: There is no such module or callable, it cannot be imported, or the options do not fit.
    """
    module, _, path = word.partition(":")
    loaded = _imported(kind, word, module)
    thing = loaded
    for part in path.split("."):
        if not hasattr(thing, part):
            public = [name for name in vars(thing) if not name.startswith("_")] if hasattr(thing, "__dict__") else []
            raise UsageError(f"{kind} {word!r}: {module} has no {path!r}; {nearest(part, public)}")
        thing = getattr(thing, part)
    if not callable(thing):
        raise UsageError(f"{kind} {word!r} is a {type(thing).__name__} and cannot be called")
    file = getattr(loaded, "__file__", None) or module
    entry = Entry(kind, word, "", "", "ready", False, EntryPoint(word, word, KINDS[kind]))
    if isinstance(thing, type) and attrs.has(thing) and callable(getattr(thing, METHODS[kind], None)):
        return entry, _of_class(kind, word, file, thing, options)
    return entry, _of_callable(kind, word, file, thing, options)


def _of_class(kind: str, word: str, file: str, cls: type, options: Mapping[str, Any]) -> UserCallable:
    try:
        plugin: Any = structure(options, cls, kind)
    except KasminaError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{kind} {word!r} raises {one_line(error)}{raised_at(error.__traceback__, file)}") from error
    values = {field.alias: getattr(plugin, field.name) for field in attrs.fields(cls) if field.init}
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}
    sites = tuple(getattr(plugin, "default_sites", ()))
    return UserCallable(kind, word, file, getattr(plugin, METHODS[kind]), plain, {}, sites)


def _of_callable(kind: str, word: str, file: str, call: Callable[..., Any], options: Mapping[str, Any]) -> UserCallable:
    defaults = _checked(kind, word, call, options)
    sites = getattr(call, "default_sites", ())
    return UserCallable(
        kind,
        word,
        file,
        call,
        defaults | dict(options),
        options,
        tuple(sites) if isinstance(sites, tuple | list) else (),
    )


def _checked(kind: str, word: str, call: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the callable's defaults that are plain values.

    Raises:
        UsageError: It does not take what it will be given, or something that it needs is not given.
    """
    try:
        parameters = inspect.signature(call).parameters.values()
    except (ValueError, TypeError):  # written in C, and silent about what it takes
        return {}
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    given = GIVEN[kind]
    for name in given:
        if name not in named and not takes_any:
            keywords = " and ".join(given)
            raise UsageError(f"{kind} {word!r} takes no keyword {name!r}: it is called with {keywords}")
    own = {name: parameter for name, parameter in named.items() if name not in given}
    for name in options:
        if name in given or name not in own and not takes_any:
            raise UsageError(f"no option is called '{kind}.{name}'; {word} takes others: {nearest(name, own)}")
    for name, parameter in own.items():
        if parameter.default is parameter.empty and name not in options:
            raise UsageError(f"{kind}.{name}: must be given, because {word} has no default for it")
    return {name: p.default for name, p in own.items() if type(p.default) in PLAIN}


def _imported(kind: str, word: str, module: str) -> Any:
    try:
        with _working_folder():
            return import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a module may raise anything, SystemExit too
        _refuse(kind, word, module, error)


def _refuse(kind: str, word: str, module: str, error: BaseException) -> NoReturn:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and f"{module}.".startswith(f"{missing}."):
        raise UsageError(
            f"no {kind} is called {word!r}: there is no module {missing!r}, neither in the working folder nor installed"
        ) from error
    file = str(Path(*module.split(".")).with_suffix(".py").absolute())
    where = f" (line {error.lineno} of {Path(error.filename or file).name})" if isinstance(error, SyntaxError) else ""
    raise UsageError(
        f"{kind} {word!r}: importing {module} gives {one_line(error)}{where or raised_at(error.__traceback__, file)}"
    ) from error


@contextmanager
def _working_folder() -> Iterator[None]:
    """Let modules in the working folder be imported, as ``python`` does for the neighbours of a script."""
    folder = str(Path.cwd())
    invalidate_caches()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
