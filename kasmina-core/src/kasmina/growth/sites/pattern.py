"""Patterns such as ``layers.*@Linear[0]``, which name modules of a host and their tensors."""

from __future__ import annotations

import difflib
import re
from fnmatch import fnmatchcase

from torch import nn

from kasmina.errors import UsageError

TENSOR = re.compile(r"(?P<module>.*?[^.])(?P<tensor>(\[[^\[\]]+\])+)")


def ends(host: nn.Module, pattern: str, word: str) -> list[str]:
    """Return the endpoints that `word`, one side of `pattern`, names: names of modules, each with that of its tensor.

    Raises:
        UsageError: There is no such module.
    """
    named = TENSOR.fullmatch(word)
    if named and (names := matches(host, named["module"])):
        return [name + named["tensor"] for name in names]
    # Brackets that are no tensor's are characters to choose from, as in "layers.[02]".
    if names := matches(host, word):
        return names
    raise UsageError(f"site {pattern!r}: {_missing(host, named['module'] if named else word)}")


def matches(host: nn.Module, word: str) -> list[str]:
    """Return the names of the modules that fit ``NAME``, ``NAME@TYPE`` or ``@TYPE``, with wildcards."""
    name, _, kind = word.partition("@")
    return [
        other
        for other, module in host.named_modules()
        if other and fnmatchcase(other, name or "*") and _is(module, kind or "*")
    ]


def split(end: str) -> tuple[str, str]:
    """Return the name of a module, and that of the tensor behind it ("" if there is none)."""
    name, bracket, rest = end.partition("[")
    return name, bracket + rest


def _is(module: nn.Module, kind: str) -> bool:
    """Return whether the class of a module, or one of its bases, has such a name: `LazyLinear` is a `Linear` too."""
    return any(fnmatchcase(other.__name__, kind) for other in type(module).__mro__)


def _missing(host: nn.Module, word: str) -> str:
    name, _, kind = word.partition("@")
    names = [other for other, _ in host.named_modules() if other]
    if kind and any(fnmatchcase(other, name or "*") for other in names):
        known = sorted({type(module).__name__ for module in host.modules()})
        return f"the host has no module of type {kind!r} there; the nearest: {_nearest(kind, known)}"
    again = {id(module): other for other, module in host.named_modules()}
    for other, module in host.named_modules(remove_duplicate=False):
        if fnmatchcase(other, name):
            return f"{other} is the same module as {again[id(module)]}: say {again[id(module)]}"
    return f"the host has no module {word!r}; the nearest: {_nearest(name, names)}"


def _nearest(word: str, known: list[str]) -> str:
    return ", ".join(difflib.get_close_matches(word, known, n=3, cutoff=0.3)) or "none"
