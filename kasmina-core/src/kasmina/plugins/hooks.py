"""Calls the hooks of a run's plugins, and holds every plugin to the contract.

pluggy does the calling; it stops at the first plugin that raises, takes any answer and says little about whose fault it
was. So each implementation is wrapped once, when it is registered, in a guard that checks its answer, names its plugin
and keeps a broken logger away from the others.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from numbers import Real
from types import ModuleType
from typing import Any

import pluggy

from kasmina import hookspecs
from kasmina.errors import PluginError, nearest
from kasmina.plugins.catalog import Entry
from kasmina.plugins.messages import one_line, place, row, shown
from kasmina.records import Proposal, Verdict

Method = Callable[..., Any]

DUE: dict[str, tuple[Callable[[Any], bool], str]] = {
    "wants_statistics": (lambda answer: isinstance(answer, bool), "True, False or None"),
    "propose_germination": (lambda answer: isinstance(answer, Proposal), "a Proposal or None"),
    "blend_step": (lambda answer: _is_number(answer), "a finite number or None"),
    "judge_seed": (lambda answer: isinstance(answer, Verdict), "a Verdict or None"),
}
"""What each deciding hook may answer besides None. All other hooks' answers are ignored."""

HOOKS: dict[str, list[str]] = {
    name: list(inspect.signature(function).parameters)
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
    if hasattr(function, "kasmina_spec")
}
"""Every hook of the contract, with the names of its arguments."""


class Hooks:
    """The hooks of one run: ``hooks.log_metrics(metrics=…, step=…)`` calls every plugin that implements `log_metrics`.

    Args:
        plugins: what is installed and the instance made from it, in the order in which they are to be called.
        warn: is told, in one line each, what goes wrong without stopping the run.

    Raises:
        PluginError: a plugin implements a hook that does not exist, or with arguments that it does not have. When
            called: it raised (and is no logger), or its answer is of the wrong type.
    """

    def __init__(self, plugins: Iterable[tuple[Entry, object]], warn: Callable[[str], None]) -> None:
        self._manager = pluggy.PluginManager("kasmina")
        self._manager.add_hookspecs(hookspecs)
        self._warn = warn
        # As plain attributes, because a look-up through __getattr__ would cost half as much as the call itself.
        self.__dict__.update((name, getattr(self._manager.hook, name)) for name in HOOKS)
        # pluggy calls what was registered last first.
        for entry, plugin in reversed(list(plugins)):
            self._register(entry, plugin)

    def __getattr__(self, name: str) -> Method:
        raise AttributeError(f"no hook is called {name!r}; {nearest(name, HOOKS)}")

    def implements(self, name: str) -> bool:
        """Whether any plugin implements this hook."""
        caller: pluggy.HookCaller = getattr(self, name)
        return bool(caller.get_hookimpls())

    def watch(self, before: Callable[[str], None], after: Callable[[], None]) -> Callable[[], None]:
        """Has `before` called with a hook's name before each call of a hook, and `after` after it; what undoes that."""
        return self._manager.add_hookcall_monitoring(
            lambda name, methods, arguments: before(name), lambda outcome, name, methods, arguments: after()
        )

    def _register(self, entry: Entry, plugin: object) -> None:
        # A module of guards stands for the plugin. So pluggy, which tells plugins apart by equality, takes two of the
        # same class and options for two.
        guards = ModuleType(entry.full)
        for name, hook in self._implementations(entry, plugin):
            method = getattr(plugin, name)
            _check_arguments(entry, hook, method)
            # Marked anew: a mark may sit on a staticmethod, or ask for another place in the order (tryfirst).
            guard = self._guard(entry, hook, method, guards)
            setattr(guards, name, hookspecs.hookimpl(specname=hook)(guard))
        self._manager.register(guards, f"{entry.full} {id(guards)}")

    def _implementations(self, entry: Entry, plugin: object) -> Iterator[tuple[str, str]]:
        """The plugin's methods that implement hooks, and which."""
        for name in dir(plugin):
            marked = self._manager.parse_hookimpl_opts(plugin, name)
            if marked is not None:
                hook = marked.get("specname") or name
                if hook in HOOKS or not marked.get("optionalhook"):
                    _check_hook(entry, hook, wrapper=bool(marked.get("wrapper") or marked.get("hookwrapper")))
                    yield name, hook
            elif name in HOOKS and inspect.isroutine(inspect.getattr_static(plugin, name)):
                self._warn(f"the {entry} has a method {name} that is never called: it is not marked @hookimpl")

    def _guard(self, entry: Entry, hook: str, method: Method, guards: ModuleType) -> Method:
        fits, due = DUE.get(hook, (None, ""))

        @wraps(method)
        def guard(*args: Any, **kwargs: Any) -> Any:
            try:
                answer = method(*args, **kwargs)
            except (Exception, SystemExit) as error:
                return self._failed(entry, hook, method, guards, error)
            if fits is None or answer is None:
                return None
            if fits(answer):
                return answer
            raise PluginError(
                f"the {entry} answers {hook} with {shown(answer)} ({type(answer).__name__}); due is {due}"
            )

        return guard

    def _failed(self, entry: Entry, hook: str, method: Method, guards: ModuleType, error: BaseException) -> None:
        where = place(error.__traceback__, inspect.getfile(inspect.unwrap(method)))
        sentence = f"the {entry} failed in {hook}: {one_line(error)}{where}"
        if entry.kind != "logger":
            raise PluginError(sentence) from error
        if self._manager.is_registered(guards):  # a hook called within a hook may have switched it off already
            self._manager.unregister(guards)
            self._warn(f"{sentence}; it is switched off, the run goes on")


def _check_hook(entry: Entry, hook: str, wrapper: bool) -> None:
    if hook not in HOOKS:
        raise PluginError(f"the {entry} implements {hook!r}, which is no hook; {nearest(hook, HOOKS)}")
    if wrapper:
        raise PluginError(f"the {entry} implements {hook} as a wrapper around other plugins; it may only answer itself")


def _check_arguments(entry: Entry, hook: str, method: Method) -> None:
    """pluggy passes arguments by position, and only those that the method names."""
    parameters = inspect.signature(method).parameters.values()
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wrong = [str(p).split(":")[0] for p in parameters if p.name not in HOOKS[hook] or p.kind not in named]
    if wrong:
        known = row(HOOKS[hook])
        raise PluginError(f"the {entry} implements {hook} with {row(wrong)}; plain arguments that it may name: {known}")


def _is_number(answer: object) -> bool:
    if type(answer) is float:  # the short way, for what is called at every step
        return math.isfinite(answer)
    return isinstance(answer, Real) and not isinstance(answer, bool) and math.isfinite(answer)
