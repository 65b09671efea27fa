"""Calls of the hooks of a run's plugins, which hold every plugin to the contract.

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
from kasmina.plugins.messages import defined_at, one_line, raised_at, row, shown
from kasmina.records import Proposal, Verdict

Method = Callable[..., Any]

ANSWERS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "wants_statistics": (lambda answer: isinstance(answer, bool), "True, False or None"),
    "propose_germination": (lambda answer: isinstance(answer, Proposal), "a Proposal or None"),
    "blend_step": (lambda answer: _is_number(answer), "a finite number or None"),
    "judge_seed": (lambda answer: isinstance(answer, Verdict), "a Verdict or None"),
}
"""Answers of each deciding hook besides None: a test, and the words for it. All other hooks' answers are ignored."""

HOOKS: dict[str, list[str]] = {
    name: list(inspect.signature(function).parameters)
    for name, function in inspect.getmembers(hookspecs, inspect.isfunction)
    if hasattr(function, "kasmina_spec")
}
"""Names of the arguments of every hook."""


class Hooks:
    """Hooks of one run: ``hooks.log_metrics(metrics=…, step=…)`` calls every plugin that implements `log_metrics`.

    Args:
        plugins: Installed plugins with the instances made from them, in the order in which they are called.
        warn: Function that is called, with one line each, about what goes wrong without stopping the run.

    Raises:
        PluginError: A plugin implements a hook that does not exist, or with arguments that the hook does not have. When
            called: a plugin raised that is not a logger, or its answer is of the wrong type.
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
        """Return whether any plugin implements this hook."""
        caller: pluggy.HookCaller = getattr(self, name)
        return bool(caller.get_hookimpls())

    def watch(self, before: Callable[[str], None], after: Callable[[], None]) -> Callable[[], None]:
        """Call `before` with the name of a hook before each call of it, and `after` after it; return what ends that."""
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
        """Yield the names of the plugin's methods that implement hooks, and of the hooks."""
        for name in dir(plugin):
            marked = self._manager.parse_hookimpl_opts(plugin, name)
            if marked is not None:
                hook = marked.get("specname") or name
                if hook in HOOKS or not marked.get("optionalhook"):
                    _check_hook(
                        entry, hook, getattr(plugin, name), bool(marked.get("wrapper") or marked.get("hookwrapper"))
                    )
                    yield name, hook
            elif name in HOOKS and inspect.isroutine(inspect.getattr_static(plugin, name)):
                where = defined_at(getattr(plugin, name))
                self._warn(f"the {entry} has a method {name}{where} that is never called: it is not marked @hookimpl")

    def _guard(self, entry: Entry, hook: str, method: Method, guards: ModuleType) -> Method:
        fits, due = ANSWERS.get(hook, (None, ""))

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
        where = raised_at(error.__traceback__, inspect.getfile(inspect.unwrap(method)))
        sentence = f"the {entry} failed in {hook}: {one_line(error)}{where}"
        if entry.kind != "logger":
            raise PluginError(sentence) from error
        if self._manager.is_registered(guards):  # a hook called within a hook may have switched it off already
            self._manager.unregister(guards)
            self._warn(f"{sentence}; it is switched off, the run goes on")


def _check_hook(entry: Entry, hook: str, method: Method, wrapper: bool) -> None:
    where = defined_at(method)
    if hook not in HOOKS:
        raise PluginError(f"the {entry} implements {hook!r}{where}, which is no hook; {nearest(hook, HOOKS)}")
    if wrapper:
        raise PluginError(
            f"the {entry} implements {hook}{where} as a wrapper around other plugins; it may only answer itself"
        )


def _check_arguments(entry: Entry, hook: str, method: Method) -> None:
    """Refuse what pluggy cannot pass: it passes arguments by position, and only those that the method names."""
    parameters = inspect.signature(method).parameters.values()
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    wrong = [str(p).split(":")[0] for p in parameters if p.name not in HOOKS[hook] or p.kind not in named]
    if wrong:
        raise PluginError(
            f"the {entry} implements {hook}{defined_at(method)} with {row(wrong)}; plain arguments that it may name:"
            f" {row(HOOKS[hook])}"
        )


def _is_number(answer: object) -> bool:
    if type(answer) is float:  # the short way, for what is called at every step
        return math.isfinite(answer)
    return isinstance(answer, Real) and not isinstance(answer, bool) and math.isfinite(answer)
