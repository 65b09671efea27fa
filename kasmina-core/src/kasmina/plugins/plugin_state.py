"""State of a run's plugins, so that the run can be resumed exactly."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from kasmina.errors import PluginError
from kasmina.plugins.catalog import Entry
from kasmina.plugins.field_state import (
    NotSavable,
    State,
    fields_state,
    load_fields,
    outside_fields,
    plain,
    state_fields,
)
from kasmina.plugins.messages import one_line, raised_at

METHODS = ("state_dict", "load_state_dict")


class PluginStates:
    """States of one run's plugins, together; see :class:`kasmina.protocols.Stateful`.

    Args:
        plugins: Installed plugins with the instances made from them, in an order that is the same in every process.
        warn: Function that is called, with one line each, about what goes wrong without stopping the run.
    """

    def __init__(self, plugins: Iterable[tuple[Entry, object]], warn: Callable[[str], None]) -> None:
        self._plugins = dict(_keyed(plugins))
        self._warn = warn
        self._warned: set[tuple[str, str]] = set()
        self.why_not_resumable: str | None = None
        """Reason in a sentence why the state of a controller or blueprint cannot be saved; None as long as it can."""

    def state_dict(self) -> dict[str, State]:
        """Return plain values and tensors by plugin: "controller", "blueprint.NAME", "logger.NAME"; a copy throughout.

        Plugins that have no way to remember anything are left out, and a logger that failed.

        Raises:
            PluginError: A controller or blueprint failed, or keeps what cannot be saved; the sentence says what.
        """
        states = {}
        for key, (entry, plugin) in self._plugins.items():
            if has_state(entry.kind, plugin):
                state = self._called(key, "state_dict", partial(state_of, plugin))
                if state is not None:
                    states[key] = state
        return states

    def load_state_dict(self, states: Mapping[str, State]) -> None:
        """Put back what `state_dict` gave, in this process or in another.

        Raises:
            PluginError: A controller or blueprint failed, its state does not fit, or there is none for it.
        """
        for key in states:
            if key not in self._plugins and not key.startswith("logger."):
                raise PluginError(f"what was saved has the state of a plugin {key!r}, and the run has no such plugin")
        for key, (entry, plugin) in self._plugins.items():
            if key in states:
                self._called(key, "load_state_dict", partial(load_state, plugin, states[key]))
            elif entry.kind != "logger" and has_state(entry.kind, plugin):
                raise PluginError(f"what was saved has no state of the {entry}, which remembers things")

    def try_state_dict(self) -> dict[str, State] | None:
        """Return what `state_dict` gives, or None once it raises: the run goes on, but it cannot be resumed.

        A warning says so the first time.
        """
        if self.why_not_resumable is None:
            try:
                return self.state_dict()
            except PluginError as error:
                self.why_not_resumable = str(error)
                self._warn(f"this run cannot be resumed: {error}")
        return None

    def _called(self, key: str, method: str, call: Callable[[], State | None]) -> State | None:
        """Return what the call gives; a logger that fails costs one warning, and keeps its hooks."""
        entry, plugin = self._plugins[key]
        try:
            return call()
        except (Exception, SystemExit) as error:
            sentence = _sentence(entry, plugin, method, error)
            if entry.kind != "logger":
                raise PluginError(sentence) from error
        if (key, method) not in self._warned:
            self._warned.add((key, method))
            self._warn(f"{sentence}; what is learned is not affected")
        return None


def has_state(kind: str, plugin: object) -> bool:
    """Return whether a plugin has a state; without the two methods, a controller's or blueprint's fields are one."""
    methods = any(hasattr(plugin, method) for method in METHODS)
    return methods or kind != "logger" and bool(state_fields(plugin) or outside_fields(plugin))


def state_of(plugin: object) -> State:
    """Return what the plugin's `state_dict` gives or, if it has none, the values of its fields that are no options.

    Raises:
        NotSavable: It is not made of plain values and tensors.
        Exception: Whatever the plugin raised.
    """
    if not _has_methods(plugin):
        return fields_state(plugin)
    state = plugin.state_dict()  # type: ignore[attr-defined]
    if not isinstance(state, Mapping):
        raise NotSavable(f"answers state_dict with a {type(state).__name__}, due is a dict")
    try:
        return dict(plain(state))
    except NotSavable as error:
        raise NotSavable(
            f"answers state_dict with {error}; plain values, lists, dicts and tensors can be saved"
        ) from None


def load_state(plugin: object, state: State) -> None:
    """Give a plugin back the state that `state_of` returned.

    Raises:
        NotSavable: The state does not fit the plugin's fields.
        Exception: Whatever the plugin raised.
    """
    if _has_methods(plugin):
        plugin.load_state_dict(plain(state))  # type: ignore[attr-defined]
    else:
        load_fields(plugin, state)


def _has_methods(plugin: object) -> bool:
    there = [method for method in METHODS if callable(getattr(plugin, method, None))]
    if len(there) == 1:
        raise NotSavable(f"has {there[0]} and not the other of {METHODS[0]} and {METHODS[1]}")
    return bool(there)


def _sentence(entry: Entry, plugin: object, method: str, error: BaseException) -> str:
    if isinstance(error, NotSavable):
        return f"the {entry} {error}"
    if isinstance(error, OSError):  # of files, and no fault of the code
        return f"the {entry}: {error}"
    called = inspect.unwrap(getattr(plugin, method))
    return f"the {entry} failed in {method}: {one_line(error)}{raised_at(error.__traceback__, inspect.getfile(called))}"


def _keyed(plugins: Iterable[tuple[Entry, object]]) -> Iterator[tuple[str, tuple[Entry, object]]]:
    """Yield each plugin with a key of its own; of several with one name, the later keys are numbered."""
    seen: Counter[str] = Counter()
    for entry, plugin in plugins:
        key = entry.kind if entry.kind == "controller" else f"{entry.kind}.{entry.name}"
        seen[key] += 1
        yield (key if seen[key] == 1 else f"{key}#{seen[key]}"), (entry, plugin)
