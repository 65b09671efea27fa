"""What a plugin keeps in its attrs fields beside its options, as plain values and back, by the types it declares.

cattrs does the work. Whether a value can be kept at all is not argued from its type but tried: it is turned into plain
values, made anew of them, and the two compared; so what is not quite the same afterwards is refused while the run is
still whole, and not found out by the one that resumes it.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Mapping, Set
from enum import Enum
from functools import cached_property
from typing import Any, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn
from cattrs.preconf.json import make_converter

from kasmina.plugins.messages import described

State = dict[str, Any]

HINT = "give it state_dict() and load_state_dict()"
UNSET = "(unset)"
"""The key, which no field can have as its name, of those that had no value yet."""


class Unkept(Exception):
    """What a field, or a state, has in it cannot be kept; the text is a clause that says so."""


def kept_fields(plugin: object) -> list[attrs.Attribute[Any]]:
    """The fields that are no options: ``init=False``. Types that cannot be resolved stay as they are written."""
    cls = type(plugin)
    if not attrs.has(cls):
        return []
    try:
        attrs.resolve_types(cls)
    except (NameError, AttributeError, TypeError):
        pass  # imported for type checkers only: then the value alone says what it is
    return [field for field in attrs.fields(cls) if not field.init]


def fields_state(plugin: object) -> State:
    """The values of its kept fields, plain and its own: what the plugin does later does not reach into them.

    Raises:
        Unkept: one of them cannot be made anew of plain values, or the plugin keeps something beside its fields.
    """
    fields = kept_fields(plugin)
    if beside := beside_fields(plugin):
        raise Unkept(f"keeps {beside!r}, which is no attrs field; {HINT}")
    there = [field for field in fields if hasattr(plugin, field.name)]
    state = {field.name: _kept(field, getattr(plugin, field.name)) for field in there}
    unset = [field.name for field in fields if field not in there]
    return state | {UNSET: unset} if unset else state


def load_fields(plugin: object, state: Mapping[str, Any]) -> None:
    """Puts the values back that `fields_state` gave; all of them or, if one does not fit, none.

    Raises:
        Unkept: a field is missing or unknown, or a value is not of its type.
    """
    fields = {field.name: field for field in kept_fields(plugin)}
    unset = state.get(UNSET, [])
    names = {*state, *unset} - {UNSET}
    if wrong := sorted(names ^ set(fields)):
        raise Unkept(f"has {'no field' if wrong[0] in names else 'a field'} {wrong[0]!r}, and what was saved says else")
    values = {name: _structured(field, state[name]) for name, field in fields.items() if name not in unset}
    for name, value in values.items():
        # Past converters, validators and frozen classes: it is the value that stood there.
        object.__setattr__(plugin, name, value)
    for name in unset:
        if hasattr(plugin, name):
            object.__delattr__(plugin, name)


def plain(value: Any) -> Any:
    """A copy of plain values, tensors, and lists and dicts of them; tuples become lists, as they would in JSON.

    Raises:
        Unkept: there is something else in it.
    """
    for cls in (bool, int, float, str):  # subclasses such as numpy's float64 become what they derive from
        if isinstance(value, cls) and not isinstance(value, Enum):
            return value if type(value) is cls else cls(value)
    if value is None:
        return None
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise Unkept(f"a dict with the key {wrong[0]!r}, which is no text")
        return {str(key): plain(item) for key, item in value.items()}
    if _is_tensor(value):
        return value.detach().clone()
    raise Unkept(f"a {type(value).__name__}")


def beside_fields(plugin: object) -> str | None:
    """Something that a class without slots keeps and that is no field; what is computed once may be computed again."""
    cls = type(plugin)
    fields = {field.name for field in attrs.fields(cls)} if attrs.has(cls) else set()
    for name in getattr(plugin, "__dict__", {}):
        if name not in fields and not isinstance(getattr(cls, name, None), cached_property):
            return str(name)
    return None


def _kept(field: attrs.Attribute[Any], value: Any) -> Any:
    declared = _declared(field)
    clause = f"keeps in its field {field.name!r} ({described(declared)})"
    try:
        state = plain(_CONVERTER.unstructure(value, unstructure_as=declared))
    except Unkept as error:
        raise Unkept(f"{clause} {error}, which cannot be saved; {HINT}") from None
    except Exception as error:
        raise Unkept(f"{clause} a {type(value).__name__}, which cannot be saved; {HINT}") from error
    try:
        again = _CONVERTER.structure(state, declared)
    except Exception as error:
        raise Unkept(f"{clause} a {type(value).__name__}, which cannot be made anew; {HINT}") from error
    if not _same(value, again):
        raise Unkept(f"{clause} a {type(value).__name__}, which would not come back as it was; {HINT}")
    return state


def _structured(field: attrs.Attribute[Any], state: Any) -> Any:
    declared = _declared(field)
    try:
        value = _CONVERTER.structure(plain(state), declared)
        fits = _same(plain(state), plain(_CONVERTER.unstructure(value, unstructure_as=declared)))
    except Exception:
        fits = False
    if not fits:
        raise Unkept(f"finds {_short(state)} for its field {field.name!r}, due is {described(declared)}")
    return value


def _declared(field: attrs.Attribute[Any]) -> Any:
    return Any if field.type is None or isinstance(field.type, str) else field.type


def _short(state: Any) -> str:
    text = " ".join(repr(state).split())
    return text if len(text) < 60 else f"{text[:57]}…"


def _same(one: Any, other: Any) -> bool:
    """Whether nobody could tell the two apart; NaN is NaN."""
    if isinstance(one, float) and type(other) is float:
        return one == other or (one != one and other != other)
    if type(one) is not type(other):
        return False
    if _is_tensor(one):
        return bool(one.dtype == other.dtype and one.shape == other.shape and one.equal(other))
    if isinstance(one, Mapping):
        return _same(list(one.items()), list(other.items())) and _factory(one) is _factory(other)
    if isinstance(one, (list, tuple, deque)):
        alike = len(one) == len(other) and all(map(_same, one, other))
        return alike and getattr(one, "maxlen", None) == getattr(other, "maxlen", None)
    if attrs.has(type(one)):
        names = [field.name for field in attrs.fields(type(one))]
        return all(_same(getattr(one, name, None), getattr(other, name, None)) for name in names)
    return bool(one == other)


def _factory(table: Any) -> Any:
    """What a defaultdict has beside its items."""
    return getattr(table, "default_factory", None)


def _is_tensor(value: object) -> bool:
    # Without an import: where nobody has loaded torch there are no tensors, and controllers need none.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


# -- cattrs ------------------------------------------------------------------------------------------------------------


def _scalar_out(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def _scalar_in(value: Any, cls: Any) -> Any:
    """0 stays 0 in a field that is declared float, and nothing is converted."""
    if issubclass(cls, Enum):
        return next(member for member in cls if _same(plain(member.value), value))
    if type(value) is cls or (cls is float and type(value) is int):
        return value
    raise ValueError(value)


def _pairs_out(cls: Any, converter: Converter) -> Callable[[Any], Any]:
    key, item = get_args(cls)

    def hook(value: Any) -> Any:
        pair = converter.unstructure
        return [[pair(k, unstructure_as=key), pair(v, unstructure_as=item)] for k, v in value.items()]

    return hook


def _pairs_in(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    key, item = get_args(cls)

    def hook(value: Any, _: Any) -> Any:
        return {converter.structure(k, key): converter.structure(v, item) for k, v in value}

    return hook


def _queue_out(cls: Any, converter: Converter) -> Callable[[Any], Any]:
    (item,) = get_args(cls) or (Any,)
    return lambda value: [value.maxlen, [converter.unstructure(one, unstructure_as=item) for one in value]]


def _queue_in(cls: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    (item,) = get_args(cls) or (Any,)
    return lambda value, _: deque((converter.structure(one, item) for one in value[1]), maxlen=value[0])


def _set_out(cls: Any, converter: Converter) -> Callable[[Any], Any]:
    (item,) = get_args(cls) or (Any,)
    # In an order of its own: that of a set of texts is another in every process.
    return lambda value: sorted((converter.unstructure(one, unstructure_as=item) for one in value), key=repr)


def _base(cls: Any) -> Any:
    return get_origin(cls) or cls


def _has_other_keys(cls: Any) -> bool:
    """Whether it is a dict whose keys JSON would turn into text."""
    return get_origin(cls) in (dict, Mapping) and get_args(cls)[0] is not str


def _made() -> Converter:
    converter = make_converter(unstruct_collection_overrides={})
    for cls in (Enum, bool, int, float, str):  # cattrs takes a StrEnum for a str
        converter.register_unstructure_hook(cls, _scalar_out)
        converter.register_structure_hook(cls, _scalar_in)
    for fits, out, back in (
        (_has_other_keys, _pairs_out, _pairs_in),
        (lambda cls: _base(cls) is deque, _queue_out, _queue_in),
        (
            lambda cls: isinstance(cls, type) and attrs.has(cls),
            lambda cls, inner: make_dict_unstructure_fn(cls, inner, _cattrs_include_init_false=True),
            lambda cls, inner: make_dict_structure_fn(
                cls, inner, _cattrs_include_init_false=True, _cattrs_forbid_extra_keys=True
            ),
        ),
    ):
        converter.register_unstructure_hook_factory(fits)(out)
        converter.register_structure_hook_factory(fits)(back)
    converter.register_unstructure_hook_factory(lambda cls: _base(cls) in (set, frozenset, Set))(_set_out)
    return converter


_CONVERTER = _made()
