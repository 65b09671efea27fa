"""Ranges in a trace that say whose work is done: of the host, of each seed, of plugins, of Kasmina."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

from attrs import evolve

# By this and not by `record_function`, which takes ten times as long and would show a small step as something else.
from torch._C._profiler import _RecordFunctionFast as Range
from torch.utils.hooks import RemovableHandle

from kasmina.run.training import Training

Function = Callable[..., Any]

STEP, HOST, LOSS, SEED, KASMINA, PLUGINS = "step", "host", "loss", "seed", "Kasmina", "plugins"
"""What the ranges are called, or how their names begin: "seed 1", "Kasmina grows", "plugins on_step_end"."""


@contextmanager
def ranges(run: Training) -> Iterator[None]:
    """Around one training step; within it, everybody's work stands in ranges of their own."""
    with ExitStack() as stack:
        for seed in run.growth.manager.seeds.values():
            stack.enter_context(_replaced(seed.handles, f"{SEED} {seed.id}"))
        for watch in run.growth.watches:
            stack.enter_context(_replaced(watch.handles, f"{KASMINA} watches"))
        _around_host(run, stack)
        _around_loss(run, stack)
        for name, what in (("after_backward", "looks at gradients"), ("after_step", "grows")):
            setattr(run.growth, name, _within(f"{KASMINA} {what}", getattr(run.growth, name)))
            stack.callback(delattr, run.growth, name)
        calls = _Open()
        stack.callback(run.hooks.watch(lambda name: calls.open(f"{PLUGINS} {name}"), calls.close))
        with Range(STEP):
            yield


class _Open:
    """Ranges that are open, one within the other."""

    def __init__(self) -> None:
        self._ranges: list[AbstractContextManager[object]] = []

    def open(self, name: str) -> None:
        self._ranges.append(Range(name))
        self._ranges[-1].__enter__()

    def close(self) -> None:
        self._ranges.pop().__exit__(None, None, None)

    def close_all(self) -> None:
        while self._ranges:
            self.close()


def _within(name: str, function: Function) -> Function:
    def called(*args: Any, **kwargs: Any) -> Any:
        with Range(name):
            return function(*args, **kwargs)

    return called


def _around_host(run: Training, stack: ExitStack) -> None:
    calls = _Open()
    stack.callback(calls.close_all)  # of a forward that raised
    before = run.host.register_forward_pre_hook(lambda module, args: calls.open(HOST), prepend=True)
    after = run.host.register_forward_hook(lambda module, args, output: calls.close())
    for handle in (before, after):
        stack.callback(handle.remove)


def _around_loss(run: Training, stack: ExitStack) -> None:
    objective = run.objective
    run.objective = evolve(objective, loss=_within(LOSS, objective.loss))
    stack.callback(partial(setattr, run, "objective", objective))


@contextmanager
def _replaced(handles: Iterable[RemovableHandle], name: str) -> Iterator[None]:
    """Hooks of modules within ranges of this name, each in its place of the order in which they are called."""
    hooks = [(found, handle.id) for handle in handles if (found := handle.hooks_dict_ref()) is not None]
    kept = [(found, id, found[id]) for found, id in hooks]
    for found, id, hook in kept:
        found[id] = _within(name, hook)
    try:
        yield
    finally:
        for found, id, hook in kept:
            if id in found:  # it may have been taken off meanwhile
                found[id] = hook
