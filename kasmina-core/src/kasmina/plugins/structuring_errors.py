"""Sentences about a value that does not fit its type, made of the groups of errors that cattrs raises."""

from __future__ import annotations

import attrs
from cattrs.errors import AttributeValidationNote, BaseValidationError, ForbiddenExtraKeysError, IterableValidationNote

from kasmina.errors import UsageError, nearest
from kasmina.plugins.messages import sentence


def refusal(error: Exception, path: str) -> Exception:
    """Return the first thing that is wrong as a `UsageError`, or whatever else the class itself raised.

    Args:
        error: Error of a converter with detailed validation.
        path: Option that the value was given for, such as ``"blueprint"``.
    """
    if isinstance(error, BaseValidationError):
        first = error.exceptions[0]
        assert isinstance(first, Exception)
        return refusal(first, _path(first, path))
    if isinstance(error, ForbiddenExtraKeysError):
        word = min(error.extra_fields)
        known = [field.alias for field in attrs.fields(error.cl) if field.init]
        return UsageError(f"no option is called {_under(path, word)!r}; {nearest(word, known)}")
    if isinstance(error, KeyError) and any(isinstance(note, AttributeValidationNote) for note in _notes(error)):
        return UsageError(f"{path}: must be given")
    if isinstance(error, (ValueError, TypeError)):
        return UsageError(": ".join(filter(None, [path, sentence(error)])))
    return error


def _path(error: Exception, path: str) -> str:
    for note in _notes(error):
        if isinstance(note, AttributeValidationNote):
            return _under(path, note.name.lstrip("_"))
        if isinstance(note, IterableValidationNote):
            return _under(path, note.index)
    return path


def _under(path: str, name: object) -> str:
    """Return the path of a part: ``layers[1]``, ``blueprint.hidden``."""
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else str(name)


def _notes(error: Exception) -> list[object]:
    return list(getattr(error, "__notes__", []))
