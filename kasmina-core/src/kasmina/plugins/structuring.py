"""Plain values into typed ones, strictly: 8.5 and "8" are no whole numbers, and an unknown option is an error.

cattrs does the work, because it reads the types that an attrs class declares anyway. Its defaults convert what they can
(``int("8")``, ``int(8.5)``, ``list("abc")``), which would hide a typing error in a config; the hooks below refuse.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from pathlib import Path, PurePath
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.errors import IterableValidationError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn

from kasmina.errors import UsageError
from kasmina.plugins.messages import described
from kasmina.plugins.structuring_errors import refusal

T = TypeVar("T")
Hook = Callable[[Any, Any], Any]


def structure(value: object, cls: type[T], where: str) -> T:
    """Return `value`, made of mappings, lists and plain values, as an instance of `cls`.

    Args:
        value: An instance of `cls`, or what one is made from.
        cls: Type with type hints, such as an attrs class.
        where: Option that the value was given for, such as ``"blueprint"``; messages name what is wrong by its path.

    Raises:
        UsageError: Something does not fit; the sentence names the path, the value and what is allowed.
        Exception: Whatever else the class itself raised when it was made.
    """
    try:
        return _CONVERTER.structure(value, cls)
    except Exception as error:
        refused = refusal(error, where)
        raise refused from (error if isinstance(refused, UsageError) else None)


class _Wrong(ValueError):
    """Value of the wrong type."""

    def __init__(self, value: object, due: str) -> None:
        super().__init__(f"takes {due}, not {value!r}")


# -- hooks: one for each sort of type ----------------------------------------------------------------------------------

_PLAIN: dict[type, tuple[type, ...]] = {
    type(None): (type(None),),
    bool: (bool,),
    int: (int,),
    float: (int, float),
    str: (str,),
    Path: (str, PurePath),
    PurePath: (str, PurePath),
}
"""Types of values that are accepted for each of the plain types."""


def _plain(*accepted: type) -> Hook:
    """Make a hook that takes instances of `accepted`; True and False are no numbers."""

    def hook(value: Any, cls: Any) -> Any:
        if issubclass(cls, Enum):  # cattrs takes a StrEnum for a str
            return _choice(value, cls)
        if not isinstance(value, accepted) or isinstance(value, bool) and bool not in accepted:
            raise _Wrong(value, described(cls))
        return None if value is None else cls(value)

    return hook


def _choice(value: Any, cls: Any) -> Any:
    """Take one of an Enum's members or their values, or one of a Literal's."""
    choices = [(choice.value, choice) for choice in cls] if get_origin(cls) is None else [(c, c) for c in get_args(cls)]
    for word, choice in choices:
        if value is choice or type(value) is type(word) and value == word:
            return choice
    raise _Wrong(value, described(cls))


def _union(cls: Any, converter: Converter) -> Hook:
    members = get_args(cls)

    def hook(value: Any, _: Any) -> Any:
        # Of `float | int`, 8 is the int that it is.
        for member in sorted(members, key=lambda member: type(value) is not member):
            try:
                return converter.structure(value, member)
            except Exception:
                continue
        raise _Wrong(value, described(cls))

    return hook


_ROWS: dict[Any, type] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
    MutableSequence: list,
    AbstractSet: frozenset,
}


def _items(cls: Any, converter: Converter) -> Hook:
    """Make a hook that takes a list for a list, tuple or set; never a string, whose letters would be the items."""
    args, origin = get_args(cls), get_origin(cls) or cls
    many = origin is not tuple or not args or args[-1] is Ellipsis

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, (list, tuple, AbstractSet)) or not many and len(value) != len(args):
            raise _Wrong(value, described(cls) if origin is tuple and not many else f"a {described(cls)}")
        wanted = [args[0] if args else Any] * len(value) if many else args
        return _ROWS[origin](_each(converter, enumerate(value), wanted, cls))

    return hook


def _table(cls: Any, converter: Converter) -> Hook:
    key, item = get_args(cls) or (Any, Any)

    def hook(value: Any, _: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _Wrong(value, f"a mapping ({described(cls)})")
        keys = _each(converter, ((word, word) for word in value), [key] * len(value), cls)
        return dict(zip(keys, _each(converter, value.items(), [item] * len(value), cls), strict=True))

    return hook


def _each(converter: Converter, items: Any, wanted: Sequence[Any], cls: Any) -> list[Any]:
    done = []
    for (index, item), type_ in zip(items, wanted, strict=True):
        try:
            done.append(converter.structure(item, type_))
        except Exception as error:
            error.add_note(IterableValidationNote("", index, type_))
            raise IterableValidationError("", [error], cls) from None
    return done


def _options(cls: Any, converter: Converter) -> Hook:
    """Make a hook that takes a mapping for an attrs class, or an instance of it as it is."""
    inner = make_dict_structure_fn(cls, converter, _cattrs_forbid_extra_keys=True, _cattrs_use_alias=True)

    def hook(value: Any, _: Any) -> Any:
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise _Wrong(value, "a mapping of options")
        return inner({str(name): item for name, item in value.items()}, cls)

    return hook


def _converter() -> Converter:
    converter = Converter(detailed_validation=True, prefer_attrib_converters=True)
    for cls, accepted in _PLAIN.items():
        converter.register_structure_hook(cls, _plain(*accepted))
    factories: list[tuple[Callable[[Any], bool], Callable[[Any, Converter], Hook]]] = [
        (lambda cls: isinstance(cls, type) and issubclass(cls, Enum), lambda *_: _choice),
        (lambda cls: get_origin(cls) is Literal, lambda *_: _choice),
        (lambda cls: get_origin(cls) in (Union, types.UnionType), _union),
        (lambda cls: (get_origin(cls) or cls) in _ROWS, _items),
        (lambda cls: (get_origin(cls) or cls) in (dict, Mapping), _table),
        (lambda cls: isinstance(cls, type) and attrs.has(cls), _options),
    ]
    for fits, factory in factories:
        converter.register_structure_hook_factory(fits)(factory)
    return converter


_CONVERTER = _converter()
