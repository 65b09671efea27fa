"""The content of a checkpoint: a run between two of its steps as one tree of plain values and tensors, and back.

The same tree is written to the disk for a later process, and kept in memory so that the run can go back to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from kasmina.growth.grown import ended
from kasmina.run.seeding import set_states, states
from kasmina.run.training import Training


def state_of(run: Training) -> dict[str, Any]:
    """Return the present state of the run. Its tensors are the run's own, not copies."""
    plugins = run.plugins.states.try_state_dict()
    return first_state(run) | {"why_not_resumable": run.plugins.states.why_not_resumable, "plugins": plugins}


def first_state(run: Training) -> dict[str, Any]:
    """Return the state of the run before `on_run_start`, when its plugins have no states yet."""
    return {
        "host": dict(weights(run.host)),
        "growth": run.growth.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        # Each epoch begins with random numbers of its own.
        "random": states(run.splits.device) if run.growth.batches else None,
        "flops": run.flops.state_dict(),
        "governor": run.governor.state_dict(),
        "course": run.course.state_dict(),
        "why_not_resumable": None,
        "plugins": None,
    }


def restore_state(run: Training, state: dict[str, Any]) -> None:
    """Restore the run to an earlier state.

    Its plugins, the random generators that it shares with them, and the governor stay as they are.

    Args:
        state: State from `state_of`, of the same options. Its tensors become the run's own.

    Raises:
        KeyError, RuntimeError, ValueError: The state is of other options.
    """
    load_weights(run.host, state["host"])
    run.growth.load_state_dict(state["growth"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.flops.load_state_dict(state["flops"])
    run.course.load_state_dict(state["course"])


def restore_network(run: Training, state: dict[str, Any]) -> None:
    """Restore host and seeds to an earlier state, to be measured and shown: the run cannot go on from there.

    Args:
        state: State from `state_of`, of the same options. Seeds in training are left out.

    Raises:
        KeyError, RuntimeError, ValueError: The state is of other options.
    """
    load_weights(run.host, state["host"])
    run.growth.load_state_dict(ended(state["growth"]))


def restore_plugins(run: Training, state: dict[str, Any]) -> None:
    """Restore the states of the plugins, as far as they can take them.

    Raises:
        PluginError: A plugin that decides cannot take its state.
    """
    if state["plugins"] is not None:
        run.plugins.states.load_state_dict(state["plugins"])


def restore_random(run: Training, state: dict[str, Any]) -> None:
    """Restore the shared random generators. Do this last, because plugins may draw random numbers."""
    if state["random"]:
        set_states(state["random"], run.splits.device)


def weights(host: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield all tensors of a host by name: its `state_dict`, and the buffers that are not in it."""
    kept = host.state_dict()
    yield from kept.items()
    for name, buffer in host.named_buffers():
        if name not in kept:
            yield name, buffer


def load_weights(host: nn.Module, kept: dict[str, Any]) -> None:
    """Copy tensors from `weights` back into the host, in place.

    Raises:
        RuntimeError: A name or a shape differs.
    """
    own = host.state_dict()
    aside: dict[str, Tensor] = {name: buffer for name, buffer in host.named_buffers() if name not in own}
    host.load_state_dict({name: value for name, value in kept.items() if name not in aside})
    for name, buffer in aside.items():
        buffer.copy_(kept[name])
