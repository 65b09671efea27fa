"""Where something is wrong in a value of many parts, and what: cattrs' groups of errors taken apart."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from cattrs.errors import AttributeValidationNote, BaseValidationError, ForbiddenExtraKeysError, IterableValidationNote

from kasmina.errors import nearest


class Unknown(Exception):
    """An option that the class does not have."""

    def __init__(self, word: str, hint: str) -> None:
        super().__init__(word, hint)
        self.word, self.hint = word, hint


class Missing(Exception):
    """An option that has no default and was not given."""


def under(path: str, name: object) -> str:
    """The path of a part: ``layers[1]``, ``blueprint.hidden``."""
    if isinstance(name, int):
        return f"{path}[{name}]"
    return f"{path}.{name}" if path else str(name)


def faults(error: BaseException, path: str) -> Iterator[tuple[str, Exception]]:
    """The single faults in the error of a structuring, each with its path."""
    if isinstance(error, BaseValidationError):
        for part in error.exceptions:
            yield from faults(part, _place(part, path))
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.alias for field in attrs.fields(error.cl) if field.init]
        for word in sorted(error.extra_fields):
            yield path, Unknown(word, nearest(word, known))
    elif isinstance(error, KeyError) and any(isinstance(n, AttributeValidationNote) for n in _notes(error)):
        yield path, Missing()
    elif isinstance(error, Exception):
        yield path, error


def _place(error: BaseException, path: str) -> str:
    for note in _notes(error):
        if isinstance(note, AttributeValidationNote):
            return under(path, note.name.lstrip("_"))
        if isinstance(note, IterableValidationNote):
            return under(path, note.index)
    return path


def _notes(error: BaseException) -> list[object]:
    return list(getattr(error, "__notes__", []))
