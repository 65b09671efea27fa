"""State that a plugin keeps in its attrs fields, turned into plain values and back by the types that it declares.

Numbers, text, None, enums and attrs classes are kept, and lists, tuples, sets and dicts with text as keys of them. All
else is refused while the run is still whole, and not found out by the one that resumes it: a plugin that keeps more
writes `state_dict` and `load_state_dict`.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from enum import Enum
from functools import cached_property
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from kasmina.plugins.messages import described, shown

State = dict[str, Any]

HINT = "write state_dict() and load_state_dict() for it, as in torch"
UNSET = "(unset)"
"""Key of the names of fields without a value; no field can be called so."""
SCALARS = (bool, int, float, str, NoneType)
ROWS = (list, tuple, set, frozenset)


class NotSavable(Exception):
    """A value, or a state, that cannot be kept; the text is a clause that says so."""


def state_fields(plugin: object) -> list[attrs.Attribute[Any]]:
    """Return the fields of a plugin that are not options: those with ``init=False``."""
    return [field for field in _fields(type(plugin)) if not field.init]


def fields_state(plugin: object) -> State:
    """Return the values of a plugin's kept fields as plain values: a copy, which the plugin does not change later.

    Raises:
        NotSavable: a value is of no type that can be kept, or the plugin keeps something outside its fields.
    """
    if outside := outside_fields(plugin):
        raise NotSavable(f"keeps {outside!r}, which is no attrs field; {HINT}")
    fields = state_fields(plugin)
    there = [field for field in fields if hasattr(plugin, field.name)]
    state = {field.name: _kept(field, getattr(plugin, field.name)) for field in there}
    unset = [field.name for field in fields if field not in there]
    return state | {UNSET: unset} if unset else state


def load_fields(plugin: object, state: Mapping[str, Any]) -> None:
    """Put the values back that `fields_state` gave; all of them or, if one does not fit, none.

    Raises:
        NotSavable: a field is missing or unknown, or a value is not of its type.
    """
    fields = {field.name: field for field in state_fields(plugin)}
    unset = state.get(UNSET, [])
    names = {*state, *unset} - {UNSET}
    if wrong := sorted(names ^ set(fields)):
        raise NotSavable(
            f"has {'no field' if wrong[0] in names else 'a field'} {wrong[0]!r}, and what was saved says else"
        )
    values = {name: _loaded(field, state[name]) for name, field in fields.items() if name not in unset}
    for name, value in values.items():
        # Past converters, validators and frozen classes: it is the value that stood there.
        object.__setattr__(plugin, name, value)
    for name in unset:
        if hasattr(plugin, name):
            object.__delattr__(plugin, name)


def plain(value: Any) -> Any:
    """Return a copy of plain values, tensors, and lists and dicts of them; tuples become lists, as they would in JSON.

    Raises:
        NotSavable: there is something else in it.
    """
    for cls in (bool, int, float, str):  # subclasses such as numpy's float64 become what they derive from
        if isinstance(value, cls) and not isinstance(value, Enum):
            return value if type(value) is cls else cls(value)
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {_text(key): plain(item) for key, item in value.items()}
    # Without an import: where nobody has loaded torch there are no tensors, and controllers need none.
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return value.detach().clone()
    raise _not_savable(value)


def outside_fields(plugin: object) -> str | None:
    """Return the name of something that a class without slots keeps outside its fields; cached properties are not."""
    cls = type(plugin)
    fields = {field.name for field in _fields(cls)}
    for name in getattr(plugin, "__dict__", {}):
        if name not in fields and not isinstance(getattr(cls, name, None), cached_property):
            return str(name)
    return None


def _fields(cls: type) -> tuple[attrs.Attribute[Any], ...]:
    if not attrs.has(cls):
        return ()
    with suppress(NameError, AttributeError, TypeError):  # imported for type checkers only: the type stays text
        attrs.resolve_types(cls)
    fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cls)
    return fields


def _kept(field: attrs.Attribute[Any], value: Any) -> Any:
    try:
        return _encode(value, field.type)
    except NotSavable as error:
        clause = f"keeps in its field {field.name!r} ({described(_known(field.type))}) {error}"
        raise NotSavable(f"{clause}, which cannot be saved; {HINT}") from None


def _loaded(field: attrs.Attribute[Any], state: Any) -> Any:
    try:
        return _decode(state, field.type)
    except NotSavable:
        raise NotSavable(
            f"finds {shown(state)} for its field {field.name!r}, due is {described(_known(field.type))}"
        ) from None


# -- values and plain values -------------------------------------------------------------------------------------------


def _encode(value: Any, declared: Any) -> Any:
    """Return a plain value from which `_decode` makes `value` again; refuse what is not just of the declared type."""
    kind, args = _kind(declared, type(value)), get_args(declared)
    if kind is Union:
        # The member that is found again: "ACTIVE" could be a text or the name of a Stage.
        for member in args:
            with suppress(NotSavable):
                state = _encode(value, member)
                if type(_decode(state, declared)) is type(_decode(state, member)):
                    return state
    elif kind in SCALARS:
        return _scalar(value, declared, kind)
    elif type(value) is not kind:
        raise _not_savable(value)
    elif kind in ROWS:
        items = [_encode(item, type_) for item, type_ in zip(value, _items(kind, args, value), strict=True)]
        return sorted(items, key=repr) if isinstance(value, (set, frozenset)) else items  # in an order of their own
    elif kind is dict:
        return {_text(key): _encode(item, args[1] if args else Any) for key, item in value.items()}
    elif attrs.has(kind):
        return {field.name: _encode(getattr(value, field.name, None), field.type) for field in _fields(kind)}
    elif isinstance(value, Enum) and kind.__members__.get(value.name) is value:
        return value.name
    raise _not_savable(value)


def _decode(state: Any, declared: Any) -> Any:
    """Return the value of which `_encode` made `state`."""
    kind, args = _kind(declared, type(state)), get_args(declared)
    if kind is Union:
        for member in args:
            with suppress(NotSavable):
                return _decode(state, member)
    elif kind in SCALARS:
        return _scalar(state, declared, kind)
    elif kind in ROWS and type(state) is list:
        return kind(_decode(item, type_) for item, type_ in zip(state, _items(kind, args, state), strict=True))
    elif kind is dict and type(state) is dict:
        return {_text(key): _decode(item, args[1] if args else Any) for key, item in state.items()}
    elif attrs.has(kind) and type(state) is dict and state.keys() == {field.name for field in _fields(kind)}:
        made = object.__new__(kind)
        for field in _fields(kind):
            object.__setattr__(made, field.name, _decode(state[field.name], field.type))
        return made
    elif issubclass(kind, Enum) and type(state) is str and state in kind.__members__:
        return kind[state]
    raise _not_savable(state)


def _kind(declared: Any, found: type) -> Any:
    """Return the class that a declared type is of; where nothing is declared, that of a plain value."""
    declared = _known(declared)
    if declared is Any:
        return found if found in (*SCALARS, list, dict) else object
    kind = get_origin(declared) or declared
    if kind is UnionType:
        return Union
    if kind is Literal:
        return found if found in SCALARS else object
    if kind is Mapping:
        return dict
    return kind if isinstance(kind, type) or kind is Union else object


def _known(declared: Any) -> Any:
    return Any if declared is None or isinstance(declared, str) else declared


def _scalar(value: Any, declared: Any, kind: type) -> Any:
    """Return the value if it is just of the declared type; 0 stays 0 in a field that is declared float."""
    if get_origin(declared) is Literal:
        fits = any(type(value) is type(arg) and value == arg for arg in get_args(declared))
    else:
        fits = type(value) is kind or kind is float and type(value) is int
    if fits:
        return value
    if kind is float and isinstance(value, float) and not isinstance(value, Enum):  # such as numpy's float64
        return float(value)
    raise _not_savable(value)


def _items(kind: type, args: tuple[Any, ...], row: Collection[Any]) -> Sequence[Any]:
    """Return the declared type of each item of a list, tuple or set."""
    if kind is not tuple or not args or args[-1] is Ellipsis:
        return [args[0] if args else Any] * len(row)
    if len(args) != len(row):
        raise _not_savable(row)
    return args


def _text(key: Any) -> str:
    if type(key) is not str:
        raise NotSavable(f"a dict with the key {key!r}, which is no text")
    return key


def _not_savable(value: Any) -> NotSavable:
    return NotSavable(f"a {type(value).__name__}")
